package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesControlNoTerminal prints names with control characters.
func TestNamesControlNoTerminal(t *testing.T) {
	t.Parallel()
	const name = "Éric \u202egnp\u001b[31m \u009b31m 👩\u200d💻 張偉"
	var out bytes.Buffer
	c := &Env{Stdout: &out}
	require.NoError(t, c.Print(nil, func(w io.Writer) {
		fmt.Fprintln(w, name)
		Table(w, []string{"NAME"}, [][]string{{OneLine(name + "\nnext")}})
	}))
	require.Equal(t, "Éric gnp[31m 31m 👩\u200d💻 張偉\nNAME\nÉric gnp[31m 31m 👩\u200d💻 張偉 next\n", out.String())

	out.Reset()
	c.JSON = true
	require.NoError(t, c.Print(map[string]string{"name": name}, nil))
	require.NotContains(t, out.String(), "\u202e")
	require.NotContains(t, out.String(), "\u009b")
	var read map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Equal(t, name, read["name"], "programs read what is there")
}
