// Package naming makes unique names and search keys from names in any script. It must not import other packages of
// Baton than conversation, and knows no database.
package naming

import (
	"strings"
	"unicode"

	"github.com/mozillazg/go-unidecode"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/baton-transfers/baton/conversation"
)

// MaxSlug is the maximum number of characters in a unique name.
const MaxSlug = 64

// Slug returns a unique name in the letters a to z, digits, '.', '_' and '-' for a name in any script: "ivan-petrov"
// for "Иван Петров", "zhang-wei" for "張偉". It returns "" if nothing in the name has a transliteration, as in a name
// made of emoji.
func Slug(name string) string {
	var plain strings.Builder
	for _, r := range norm.NFC.String(conversation.CleanName(name)) {
		if r <= unicode.MaxASCII {
			plain.WriteRune(r)
			continue
		}
		latin := unidecode.Unidecode(string(r))
		if unicode.IsLetter(r) || unicode.IsMark(r) {
			latin = lettersOnly.Replace(latin)
		}
		plain.WriteString(latin)
	}
	var slug strings.Builder
	gap := false
	for _, r := range strings.ToLower(plain.String()) {
		if r != '.' && r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') {
			gap = true
			continue
		}
		if gap {
			slug.WriteByte('-')
			gap = false
		}
		slug.WriteRune(r)
	}
	return trimmed(slug.String(), MaxSlug)
}

// lettersOnly removes the signs that transliterations write for letters without a sound, such as the soft sign.
var lettersOnly = strings.NewReplacer("'", "", `"`, "", "`", "", "@", "a")

// Numbered returns the slug with a number appended, no longer than MaxSlug: "jose-2".
func Numbered(slug, number string) string {
	return trimmed(slug, MaxSlug-1-len(number)) + "-" + number
}

// trimmed returns at most limit characters of a slug, beginning and ending with a letter or digit.
func trimmed(slug string, limit int) string {
	slug = strings.TrimLeft(slug, "-._")
	return strings.TrimRight(slug[:min(len(slug), limit)], "-._")
}

// Same reports whether two names differ only in case and in how Unicode encodes their characters. Accents count.
func Same(a, b string) bool { return folded(a) == folded(b) }

func folded(name string) string { return norm.NFC.String(caseless(norm.NFC.String(name))) }

// caseless folds case. The lower case of the fold is the same for both cases of Cherokee too.
func caseless(text string) string { return strings.ToLower(cases.Fold().String(text)) }

// Fold returns what a search compares: the text without case, diacritics, width and other variants of characters,
// invisible characters and repeated spaces. "Éric" and "eric" have the same fold, and so have "Müller" and
// "muller", "Groß" and "GROSS", "Işık" and "isik", "Ｓａｌｅｓ" and "sales". Both databases store folds, so that the
// result does not depend on the database's own rules. Fold of a fold is that fold.
func Fold(text string) string {
	if ascii(text) { // most texts, and many times as fast
		return strings.Join(strings.Fields(strings.ToLower(text)), " ")
	}
	text = stripped(caseless(stripped(conversation.CleanName(text))))
	var plain strings.Builder
	for _, r := range text {
		// Covers ø, ł, ı and other letters that Unicode does not decompose.
		if r > unicode.MaxASCII && unicode.Is(unicode.Latin, r) {
			if latin := unidecode.Unidecode(string(r)); onlyLetters(latin) {
				plain.WriteString(strings.ToLower(latin))
				continue
			}
		}
		plain.WriteRune(r)
	}
	return strings.Join(strings.Fields(plain.String()), " ")
}

// ascii reports whether the text has only printable ASCII characters, line breaks and tabs.
func ascii(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < ' ' || c > '~') && c != '\n' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// stripped returns the text in compatible characters, without diacritics and joiners.
func stripped(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) && unicode.In(r, unicode.Inherited, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Cyrillic) {
			return -1
		}
		if r == '\u200c' || r == '\u200d' {
			return -1
		}
		return r
	}, norm.NFKD.String(text))
}

func onlyLetters(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
}

// Containing returns a LIKE pattern, with \ as escape character, for folds that contain the fold of the text.
func Containing(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(Fold(text)) + "%"
}
