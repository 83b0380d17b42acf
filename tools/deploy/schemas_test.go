package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/yaml"
)

// module is a Go module that contains schemas, with its checksum. kubeconform itself reads schemas from a web site.
// A module is downloaded like code, and its checksum ensures that its files are the reviewed ones. The tests build
// nothing of the module.
type module struct{ version, sum string }

var (
	// kubernetes contains the OpenAPI documents of Kubernetes up to 1.30, the first version that knows
	// preStop.sleep by default. Every kind in documents is stable: later versions only add to it.
	kubernetes = module{"sigs.k8s.io/kubectl-validate@v0.0.4", "h1:tGKuv0awYHn11Cb6KPsZKxUmHgavF46K3NvVH0Nse9U="}
	keda       = module{"github.com/kedacore/keda/v2@v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps="}
	operator   = module{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="}
)

// documents are the files of Kubernetes' OpenAPI documents by API version.
var documents = map[string]string{
	"v1": "api/v1.json", "apps/v1": "apis/apps/v1.json", "autoscaling/v2": "apis/autoscaling/v2.json", "batch/v1": "apis/batch/v1.json",
	"networking.k8s.io/v1": "apis/networking.k8s.io/v1.json", "policy/v1": "apis/policy/v1.json",
}

// definitions are the files with the definitions of custom resources.
var definitions = []struct {
	module
	file string
}{
	{keda, "config/crd/bases/keda.sh_scaledobjects.yaml"},
	{keda, "config/crd/bases/keda.sh_triggerauthentications.yaml"},
	{operator, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"},
}

// folder downloads the module, unless Go's cache has it, and returns its folder.
func (m module) folder(t *testing.T) string {
	t.Helper()
	var downloaded struct{ Dir, Sum, Error string }
	output, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", m.version).Output()
	require.NoError(t, json.Unmarshal(output, &downloaded), "download %s: %v", m.version, err)
	require.Empty(t, downloaded.Error, m.version)
	require.Equal(t, m.sum, downloaded.Sum, "%s isn't what it was", m.version)
	return downloaded.Dir
}

// checker returns a kubeconform validator that knows every kind that is used. It rejects fields that the kind does
// not have.
func checker(t *testing.T) validator.Validator {
	t.Helper()
	to := t.TempDir()
	builtins := filepath.Join(kubernetes.folder(t), "pkg/openapiclient/builtins/1.30")
	for version, file := range documents {
		writeBuiltins(t, to, version, filepath.Join(builtins, file))
	}
	for _, definition := range definitions {
		writeCustom(t, to, filepath.Join(definition.folder(t), definition.file))
	}
	check, err := validator.New([]string{to + "/{{.ResourceKind}}{{.KindSuffix}}.json"}, validator.Opts{Strict: true})
	require.NoError(t, err)
	return check
}

func writeBuiltins(t *testing.T, to, version, file string) {
	t.Helper()
	var document struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &document))
	for _, schema := range document.Components.Schemas {
		refuseUnknown(schema)
	}
	for name, schema := range document.Components.Schemas {
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 || strings.HasSuffix(name, "List") {
			continue // not a kind of a manifest: a part, an option of every API, or a list
		}
		kind, _ := kinds[0].(map[string]any)["kind"].(string)
		writeSchema(t, to, version, kind, map[string]any{"$ref": "#/components/schemas/" + name, "components": document.Components})
	}
}

func writeCustom(t *testing.T, to, file string) {
	t.Helper()
	var definition struct {
		Spec struct {
			Group    string                `json:"group"`
			Names    struct{ Kind string } `json:"names"`
			Versions []struct {
				Name   string `json:"name"`
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &definition))
	for _, version := range definition.Spec.Versions {
		refuseUnknown(version.Schema.OpenAPIV3Schema)
		writeSchema(t, to, definition.Spec.Group+"/"+version.Name, definition.Spec.Names.Kind, version.Schema.OpenAPIV3Schema)
	}
}

// refuseUnknown makes every object of a schema that lists its fields reject other fields. An API server's strict
// validation rejects them, but the schema itself accepts them.
func refuseUnknown(schema map[string]any) {
	_, listed := schema["properties"]
	_, open := schema["additionalProperties"]
	if preserved, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); listed && !open && !preserved {
		schema["additionalProperties"] = false
	}
	for _, part := range schema {
		refuseUnknownIn(part)
	}
}

func refuseUnknownIn(part any) {
	switch part := part.(type) {
	case map[string]any:
		refuseUnknown(part)
	case []any:
		for _, each := range part {
			refuseUnknownIn(each)
		}
	}
}

// writeSchema writes a schema to the file where kubeconform looks for the kind: deployment-apps-v1.json.
func writeSchema(t *testing.T, to, version, kind string, schema any) {
	t.Helper()
	group, rest, grouped := strings.Cut(version, "/")
	name := strings.ToLower(kind) + "-" + strings.Split(group, ".")[0]
	if grouped {
		name += "-" + rest
	}
	content, err := json.Marshal(schema)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(to, name+".json"), content, 0o600))
}
