package naming_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/internal/naming"
)

func TestSlug(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Alice": "alice", "Billing Team": "billing-team", "O'Brien": "o-brien", "O’Brien": "o-brien", "a.b_c-d": "a.b_c-d",
		"Иван Петров": "ivan-petrov", "Илья": "ilia", "Продажи": "prodazhi", "Щукина Объедкова": "shchukina-obedkova",
		"張偉": "zhang-wei", "経理": "jing-li", "서울": "seoul", "けいり": "keiri", "José": "jose", "Jose\u0301": "jose", "Josü": "josu",
		"Çiğdem": "cigdem", "İstanbul Işık": "istanbul-isik", "Groß": "gross", "Łódź": "lodz", "Ångström": "angstrom", "Ｓａｌｅｓ": "sales",
		"Νίκος": "nikos", "محمد": "mhmd", "דוד": "dvd", "\u202eecila": "ecila", "🎉": "", "…!": "", " . ": "", "日本 🎌 Sales": "ri-ben-sales",
	} {
		require.Equal(t, want, naming.Slug(name), name)
	}
	require.Len(t, naming.Slug(strings.Repeat("Иван", 60)), naming.MaxSlug)
	require.Equal(t, strings.Repeat("a", 62)+"-2", naming.Numbered(strings.Repeat("a", 64), "2"))
}

func TestSlugsAreUniqueNames(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)
	rapid.Check(t, func(t *rapid.T) {
		slug := naming.Slug(rapid.String().Draw(t, "name"))
		if slug != "" && (!pattern.MatchString(slug) || !pattern.MatchString(naming.Numbered(slug, "17"))) {
			t.Fatalf("%q is no unique name", slug)
		}
	})
}

func TestFold(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"eric", "Éric", "ÉRIC", "E\u0301ric"},
		{"muller", "Müller", "MÜLLER"},
		{"strasse", "Straße", "STRASSE", "STRAẞE"},
		{"isik", "Işık", "IŞIK", "İSİK", "ISIK"},
		{"иван еж", "Иван Ёж", "ИВАН  ЕЖ"},
		{"sales 1", "Ｓａｌｅｓ　１"},
		{"fine", "ﬁne"},
		{"soren", "Søren"},
		{"lodz", "Łódź"},
		{"aerobe", "Ærobe"},
		{"οδυσσευσ", "Ὀδυσσεύς"},
		{"カ", "ｶ"},
		{"محمد", "مُحَمَّد"},
		{"張偉", "張\u200b偉"},
	} {
		for _, text := range same {
			require.Equal(t, naming.Fold(same[0]), naming.Fold(text), text)
		}
	}
	require.Equal(t, "muller", naming.Fold("Müller"))
	require.NotEqual(t, naming.Fold("आप"), naming.Fold("अप"), "vowels are not diacritics")
	require.Contains(t, naming.Fold("한국"), naming.Fold("하"), "a syllable that is being typed")
	require.Equal(t, `%100\% a\_b\\%`, naming.Containing(` 100% A_B\ `))
}

func TestFoldsAreStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		require.Equal(t, naming.Fold(text), naming.Fold(naming.Fold(text)))
		require.Equal(t, naming.Fold(text), naming.Fold(strings.ToUpper(naming.Fold(text))))
	})
}

func TestSame(t *testing.T) {
	t.Parallel()
	require.True(t, naming.Same("José", "JOSE\u0301"))
	require.False(t, naming.Same("José", "Jose"))
}
