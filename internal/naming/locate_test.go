package naming_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/internal/naming"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, search, want string }{
		{"Ask Éric Müller now", "eric mull", "Éric Müll"},
		{"Mu\u0308ller", "mu", "Mu\u0308"},
		{"was wegen Straße?", "STRASSE", "Straße"},
		{"ЁЖ и ёж", "еж", "ЁЖ"},
		{"Ｓａｌｅｓ １００％", "sales 100%", "Ｓａｌｅｓ １００％"},
		{"two   spaces", "two spaces", "two   spaces"},
		{"refund, refund", "refund", "refund"},
	} {
		from, to, found := naming.Locate(test.text, naming.Fold(test.search))
		require.True(t, found, test.text)
		require.Equal(t, test.want, test.text[from:to])
	}
	for _, search := range []string{"", "other", "%", "_"} {
		_, _, found := naming.Locate("Müller", naming.Fold(search))
		require.False(t, found, search)
	}
}

func TestLocatedTextHasTheFold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "before") + "Éric" + rapid.String().Draw(t, "after")
		if from, to, found := naming.Locate(text, "eric"); found {
			require.LessOrEqual(t, from, to)
			require.Contains(t, naming.Fold(text[from:to]), "eric")
		} else {
			require.NotContains(t, naming.Fold(text), "eric")
		}
	})
}
