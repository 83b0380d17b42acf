package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNamesControlNoTerminal prints what people may have called themselves.
func TestNamesControlNoTerminal(t *testing.T) {
	t.Parallel()
	const name = "Éric \u202egnp\u001b[31m \u009b31m 👩\u200d💻 張偉"
	var out bytes.Buffer
	c := &cli{stdout: &out}
	require.NoError(t, c.print(nil, func(w io.Writer) {
		fmt.Fprintln(w, name)
		table(w, []string{"NAME"}, [][]string{{oneLine(name + "\nnext")}})
	}))
	require.Equal(t, "Éric gnp[31m 31m 👩\u200d💻 張偉\nNAME\nÉric gnp[31m 31m 👩\u200d💻 張偉 next\n", out.String())

	out.Reset()
	c.json = true
	require.NoError(t, c.print(map[string]string{"name": name}, nil))
	require.NotContains(t, out.String(), "\u202e")
	require.NotContains(t, out.String(), "\u009b")
	var read map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Equal(t, name, read["name"], "programs read what is there")
}

func TestNamesToBeAdded(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][2]string{
		"alice": {"alice", ""}, "Dave": {"Dave", ""}, "Иван": {"", "Иван"}, "Billing Team": {"", "Billing Team"},
	} {
		unique, shown := namesOf(given, "")
		require.Equal(t, want, [2]string{unique, shown})
	}
	unique, shown := namesOf("ivan", "Иван")
	require.Equal(t, []string{"ivan", "Иван"}, []string{unique, shown})
}
