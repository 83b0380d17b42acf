package deploy

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// checkout is the top of the repository.
const checkout = "../.."

// object is the part of a Kubernetes object that the tests read.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Data map[string]string `json:"data"`
	Spec struct {
		Selector       map[string]any `json:"selector"`
		Replicas       *int           `json:"replicas"`
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		Template template `json:"template"`
		Triggers []struct {
			Type     string            `json:"type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
		SecretTargetRef []struct {
			Parameter string `json:"parameter"`
		} `json:"secretTargetRef"`
	} `json:"spec"`
}

type template struct {
	Metadata struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Grace        int64           `json:"terminationGracePeriodSeconds"`
		TokenMounted *bool           `json:"automountServiceAccountToken"`
		Security     securityContext `json:"securityContext"`
		Containers   []container     `json:"containers"`
	} `json:"spec"`
}

type container struct {
	Image   string     `json:"image"`
	Command []string   `json:"command"`
	Env     []variable `json:"env"`
	EnvFrom []struct {
		ConfigMapRef struct {
			Name string `json:"name"`
		} `json:"configMapRef"`
	} `json:"envFrom"`
	Ports []struct {
		Name          string `json:"name"`
		ContainerPort int    `json:"containerPort"`
	} `json:"ports"`
	Startup   *probe `json:"startupProbe"`
	Liveness  *probe `json:"livenessProbe"`
	Readiness *probe `json:"readinessProbe"`
	Lifecycle struct {
		PreStop struct {
			Sleep struct {
				Seconds int64 `json:"seconds"`
			} `json:"sleep"`
		} `json:"preStop"`
	} `json:"lifecycle"`
	Resources struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	} `json:"resources"`
	Security securityContext `json:"securityContext"`
}

type variable struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	ValueFrom struct {
		SecretKeyRef *struct{ Name string } `json:"secretKeyRef"`
	} `json:"valueFrom"`
}

type probe struct {
	HTTPGet struct {
		Path string `json:"path"`
		Port string `json:"port"`
	} `json:"httpGet"`
}

type securityContext struct {
	RunAsNonRoot             bool                    `json:"runAsNonRoot"`
	RunAsUser                int                     `json:"runAsUser"`
	AllowPrivilegeEscalation *bool                   `json:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool                    `json:"readOnlyRootFilesystem"`
	Capabilities             struct{ Drop []string } `json:"capabilities"`
	SeccompProfile           struct{ Type string }   `json:"seccompProfile"`
}

// built returns what `kubectl apply -k` would send for a folder of deploy/kubernetes.
func built(t *testing.T, folder string) []byte {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(checkout, "deploy", "kubernetes", folder))
	require.NoError(t, err)
	manifests, err := resources.AsYaml()
	require.NoError(t, err)
	return manifests
}

func objects(t *testing.T, manifests []byte) []object {
	t.Helper()
	var all []object
	for document := range bytes.SplitSeq(manifests, []byte("\n---\n")) {
		var one object
		require.NoError(t, yaml.Unmarshal(document, &one))
		all = append(all, one)
	}
	return all
}

// refused returns what kubeconform rejects in the manifests.
func refused(check validator.Validator, manifests []byte) []string {
	var sentences []string
	for _, result := range check.Validate("manifests", io.NopCloser(bytes.NewReader(manifests))) {
		if result.Status != validator.Valid && result.Status != validator.Empty {
			sentences = append(sentences, string(result.Resource.Bytes[:min(len(result.Resource.Bytes), 80)])+": "+result.Err.Error())
		}
	}
	return sentences
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	check := checker(t)
	for _, folder := range []string{"base", "example", "versioned"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			manifests := built(t, folder)
			require.Empty(t, refused(check, manifests))
			all := objects(t, manifests)
			for _, one := range all {
				if one.Kind != "Namespace" {
					require.Equal(t, "baton", one.Metadata.Namespace, "%s %s", one.Kind, one.Metadata.Name)
				}
				require.NotEqual(t, "Secret", one.Kind, "secrets are made elsewhere, and named here")
				if len(one.Spec.Template.Spec.Containers) > 0 {
					checkPods(t, one.Kind+" "+one.Metadata.Name, one.Spec.Template, all)
				}
			}
			checkReferences(t, all)
			checkRoles(t, all)
			if folder != "base" {
				checkDigests(t, all)
			}
		})
	}
	t.Run("each build has its own workers", func(t *testing.T) {
		t.Parallel()
		all := objects(t, built(t, "versioned"))
		builds := map[string]string{}
		for _, one := range all {
			if one.Kind == "Deployment" && one.Spec.Template.Metadata.Labels["app.kubernetes.io/name"] == "worker" {
				c := one.Spec.Template.Spec.Containers[0]
				environment := environmentOf(t, c, all)
				require.Equal(t, "baton", environment["BATON_DEPLOYMENT"])
				image, _, _ := strings.Cut(c.Image, "@")
				require.Equal(t, environment["BATON_BUILD_ID"], image[strings.LastIndex(image, ":")+1:], "the build is the image's")
				builds[one.Metadata.Name] = environment["BATON_BUILD_ID"]
			}
		}
		require.Equal(t, map[string]string{"worker-0-1-0": "0.1.0", "worker-0-2-0": "0.2.0"}, builds)
	})
	t.Run("mistakes are found", func(t *testing.T) {
		t.Parallel()
		manifests := string(built(t, "example"))
		for _, mistake := range [][2]string{
			{"readinessProbe:", "readynessProbe:"},
			{"containerPort: 9090", "containerPort: metrics"},
			{"maxUnavailable: 1\n", "maxUnavailible: 1\n"},
			{"minReplicaCount:", "minReplicas:"},
			{"secretTargetRef:", "secretRef:"},
			{"podMetricsEndpoints:", "endpoints:"},
			{"averageUtilization:", "averageUtilisation:"},
			{"kind: ScaledObject", "kind: ScalingObject"},
			{"pathType: Prefix", "pathType: [Prefix]"},
			{"ttlSecondsAfterFinished: 3600", "ttlSecondsAfterFinished: an hour"},
			{"podSelector:", "podSelect:"},
		} {
			require.True(t, strings.Contains(manifests, mistake[0]), mistake[0])
			require.NotEmpty(t, refused(check, []byte(strings.Replace(manifests, mistake[0], mistake[1], 1))), mistake[1])
		}
	})
}

// The stop timeouts of the gateway and the worker; see internal/serve and codec.
const (
	gatewayDrain = 10 * time.Second
	workerGrace  = 3 * time.Second
)

// sensitive are the variables whose values are secret.
var sensitive = regexp.MustCompile(`^(BATON_DATABASE|BATON_ENCRYPTION_KEYS|BATON_OIDC_CLIENT_SECRET|PGPASSWORD|TEMPORAL_API_KEY|TEMPORAL_TLS_\w+_DATA)$`)

func checkPods(t *testing.T, name string, pods template, all []object) {
	t.Helper()
	spec := pods.Spec
	require.NotNil(t, spec.TokenMounted, name)
	require.False(t, *spec.TokenMounted, "%s asks nothing of Kubernetes", name)
	require.True(t, spec.Security.RunAsNonRoot, name)
	require.Positive(t, spec.Security.RunAsUser, name)
	require.Equal(t, "RuntimeDefault", spec.Security.SeccompProfile.Type, name)
	require.Len(t, spec.Containers, 1, name)
	c := spec.Containers[0]
	require.NotNil(t, c.Security.AllowPrivilegeEscalation, name)
	require.False(t, *c.Security.AllowPrivilegeEscalation, name)
	require.True(t, c.Security.ReadOnlyRootFilesystem, name)
	require.Equal(t, []string{"ALL"}, c.Security.Capabilities.Drop, name)
	for _, resource := range []string{"cpu", "memory"} {
		require.NotEmpty(t, c.Resources.Requests[resource], "%s %s", name, resource)
		require.NotEmpty(t, c.Resources.Limits[resource], "%s %s", name, resource)
	}
	require.Regexp(t, `:[^:]+$`, c.Image, "%s: which version runs is said", name)
	require.NotContains(t, c.Image, ":latest", name)

	environment := environmentOf(t, c, all)
	for _, v := range c.Env {
		require.False(t, sensitive.MatchString(v.Name) && v.ValueFrom.SecretKeyRef == nil, "%s: %s comes from a secret", name, v.Name)
	}
	program := c.Command[0]
	if program == "baton" {
		return
	}
	drain := map[string]time.Duration{"worker": workerGrace, "gateway": gatewayDrain}[program]
	sleep := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	require.Greater(t, time.Duration(spec.Grace)*time.Second, sleep+drain+5*time.Second, "%s is ended while it stops", name)
	listens := map[string]string{"http": environment["BATON_HTTP"], "metrics": environment["BATON_METRICS"]}
	ports := map[string]string{}
	for _, port := range c.Ports {
		ports[port.Name] = ":" + strconv.Itoa(port.ContainerPort)
		require.Equal(t, listens[port.Name], ports[port.Name], "%s: where it listens", name)
	}
	require.Equal(t, ports["metrics"], ":"+pods.Metadata.Annotations["prometheus.io/port"], name)
	for kind, p := range map[string]*probe{"/healthz": c.Liveness, "/readyz": c.Readiness} {
		require.NotNil(t, p, name)
		require.Equal(t, kind, p.HTTPGet.Path, name)
		require.Contains(t, ports, p.HTTPGet.Port, name)
	}
	require.Equal(t, c.Liveness.HTTPGet, c.Startup.HTTPGet, name)
}

// checkRoles checks that only the setup may change the desk's tables: workers and gateways use the role without
// DDL.
func checkRoles(t *testing.T, all []object) {
	t.Helper()
	owners := 0
	for _, one := range all {
		for _, c := range one.Spec.Template.Spec.Containers {
			i := slices.IndexFunc(c.Env, func(v variable) bool { return v.Name == "BATON_DATABASE" })
			require.GreaterOrEqual(t, i, 0, "%s %s", one.Kind, one.Metadata.Name)
			secret := c.Env[i].ValueFrom.SecretKeyRef.Name
			if c.Command[0] != "baton" {
				require.Equal(t, "baton-desk", secret, "%s %s", one.Kind, one.Metadata.Name)
				continue
			}
			owners++
			require.Equal(t, "baton-desk-owner", secret, "%s %s", one.Kind, one.Metadata.Name)
			require.Equal(t, []string{"baton", "setup", "--grant", "baton_run"}, c.Command)
		}
	}
	require.Equal(t, 1, owners)
}

// checkDigests checks that images are pinned by digest. A tag does not identify the bytes of an image.
func checkDigests(t *testing.T, all []object) {
	t.Helper()
	for _, one := range all {
		for _, c := range one.Spec.Template.Spec.Containers {
			require.Regexp(t, `:[^:@]+@sha256:[0-9a-f]{64}$`, c.Image, "%s %s", one.Kind, one.Metadata.Name)
		}
	}
}

// environmentOf returns a container's environment. The values of secrets are empty.
func environmentOf(t *testing.T, c container, all []object) map[string]string {
	t.Helper()
	environment := map[string]string{}
	for _, from := range c.EnvFrom {
		named := func(o object) bool { return o.Kind == "ConfigMap" && o.Metadata.Name == from.ConfigMapRef.Name }
		i := slices.IndexFunc(all, named)
		require.GreaterOrEqual(t, i, 0, "there is no ConfigMap %s", from.ConfigMapRef.Name)
		maps.Copy(environment, all[i].Data)
	}
	for _, v := range c.Env {
		environment[v.Name] = v.Value
	}
	return environment
}

// checkReferences checks that everything that selects pods matches existing pods.
func checkReferences(t *testing.T, all []object) {
	t.Helper()
	for _, one := range all {
		name := one.Kind + " " + one.Metadata.Name
		selects := func(o object) bool { return matches(one.Spec.Selector, o.Spec.Template.Metadata.Labels) }
		switch one.Kind {
		case "Deployment":
			require.True(t, selects(one), name)
			require.Len(t, those(all, selects), 1, "%s takes another's pods for its own", name)
		case "PodDisruptionBudget":
			require.Len(t, those(all, selects), 1, "%s: pods under two budgets are never moved", name)
		case "Service", "PodMonitor":
			require.True(t, slices.ContainsFunc(all, selects), "%s is of no pods", name)
		case "HorizontalPodAutoscaler", "ScaledObject":
			target := slices.IndexFunc(all, func(o object) bool { return o.Kind == "Deployment" && o.Metadata.Name == one.Spec.ScaleTargetRef.Name })
			require.GreaterOrEqual(t, target, 0, name)
			require.Nil(t, all[target].Spec.Replicas, "%s says how many there are, and applying the Deployment again must not", name)
		}
	}
}

// those returns the objects that wanted accepts.
func those(all []object, wanted func(object) bool) (found []object) {
	for _, one := range all {
		if wanted(one) {
			found = append(found, one)
		}
	}
	return found
}

// matches reports whether a selector, in any of the forms used here, matches the labels.
func matches(selector map[string]any, labels map[string]string) bool {
	if len(labels) == 0 {
		return false
	}
	if inner, ok := selector["matchLabels"].(map[string]any); ok {
		selector = inner
	}
	for key, value := range selector {
		if expressions, ok := value.([]any); ok && key == "matchExpressions" {
			for _, expression := range expressions {
				e, _ := expression.(map[string]any)
				values, _ := e["values"].([]any)
				if label, _ := e["key"].(string); !slices.Contains(values, any(labels[label])) {
					return false
				}
			}
		} else if labels[key] != value {
			return false
		}
	}
	return true
}

// TestScaler compares the trigger's settings with those that KEDA's scaler reads. No schema describes them.
func TestScaler(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(keda.folder(t), "pkg/scalers/temporal_scaler.go"))
	require.NoError(t, err)
	settings := map[string]string{} // where the scaler reads each setting from
	for _, setting := range regexp.MustCompile("`keda:\"name=(\\w+),\\s*order=([\\w;]+)").FindAllSubmatch(source, -1) {
		settings[string(setting[1])] = string(setting[2])
	}
	require.Contains(t, settings, "taskQueue")
	found := 0
	for _, one := range objects(t, built(t, "example")) {
		for _, trigger := range one.Spec.Triggers {
			found++
			require.Equal(t, "temporal", trigger.Type)
			for name := range trigger.Metadata {
				name, fromEnvironment := strings.CutSuffix(name, "FromEnv")
				require.Contains(t, settings[name], "triggerMetadata", name)
				require.True(t, !fromEnvironment || strings.Contains(settings[name], "resolvedEnv"), name)
			}
		}
		for _, secret := range one.Spec.SecretTargetRef {
			found++
			require.Contains(t, settings[secret.Parameter], "authParams", secret.Parameter)
		}
	}
	require.Equal(t, 5, found)
}
