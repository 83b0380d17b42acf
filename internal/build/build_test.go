package build

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIDIsNeverEmptyAndTellsBuildsApart(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	from := func(version, modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: commit}, {Key: "vcs.modified", Value: modified},
		}}
	}
	for _, test := range []struct {
		name, linked string
		read         *debug.BuildInfo
		wanted       string
	}{
		{"of a commit", "", from("v1.2.0", "false"), "0123456789ab"},
		{"of a changed checkout", "", from("v1.2.0+dirty", "true"), "0123456789ab-modified-digest"},
		{"of a module", "", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}}, "v1.2.0"},
		{"of an unknown commit", "", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "unknown-modified-digest"},
		{"without build information", "", &debug.BuildInfo{}, "unknown-modified-digest"},
		{"set by the linker", "blue", from("v1.2.0", "false"), "blue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := idOf(test.read, test.linked, func() (string, error) { return "digest", nil })
			require.NoError(t, err)
			require.Equal(t, test.wanted, got)
		})
	}
}

func TestReadOfThisProgram(t *testing.T) {
	t.Parallel()
	info, err := Read()
	require.NoError(t, err)
	require.NotEmpty(t, info.ID)
	again, err := Read()
	require.NoError(t, err)
	require.Equal(t, info, again)
	require.Contains(t, info.String(), info.ID)
}
