package conversation

import (
	"strings"
	"unicode/utf8"
)

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	// firstJoining is the first character of the scripts in which joiners change how a word is written: Arabic and
	// the scripts after it, including those of India, and emoji.
	firstJoining = '\u0600'
)

// CleanName returns a name on one line, without characters that hide, reorder or control the text around them:
// control characters, bidirectional marks, overrides and isolates, zero-width characters and bytes that are not
// UTF-8. Line breaks and tabs become spaces. Spaces around the name are removed. A joiner between two characters of
// a script that needs it is kept, as in Persian, Sinhala and emoji. The ranges are fixed, so that a replay with
// another version of the Unicode tables gives the same name. CleanName of a clean name returns that name.
func CleanName(name string) string {
	if plain(name) {
		return strings.TrimSpace(name)
	}
	runes := make([]rune, 0, len(name))
	for rest := name; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
		switch {
		case r == utf8.RuneError && size == 1:
		case r == '\t' || r == '\n' || r == '\v' || r == '\f' || r == '\r' || r == '\u0085' || r == '\u2028' || r == '\u2029':
			runes = append(runes, ' ')
		case !Hidden(r):
			runes = append(runes, r)
		}
	}
	var clean strings.Builder
	before := rune(0)
	for i, r := range runes {
		if r == zeroWidthJoiner || r == zeroWidthNonJoiner {
			if before < firstJoining || i+1 == len(runes) || runes[i+1] < firstJoining || joiner(runes[i+1]) {
				continue
			}
		}
		clean.WriteRune(r)
		before = r
		if joiner(r) {
			before = 0 // of several joiners in a row, keep the first
		}
	}
	return strings.TrimSpace(clean.String())
}

// Clean returns the customer with a clean name and address, see [CleanName]. A text with U+0000 is left unchanged,
// because the rules refuse it.
func (c Customer) Clean() Customer {
	for _, text := range []*string{&c.Name, &c.Address} {
		if !strings.ContainsRune(*text, 0) {
			*text = CleanName(*text)
		}
	}
	return c
}

// plain reports whether the text has only printable ASCII characters.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func joiner(r rune) bool { return r == zeroWidthJoiner || r == zeroWidthNonJoiner }

// Hidden reports whether a character has no place in a name, because it controls, reorders or hides the text around
// it. Joiners are not included, see [CleanName]. In longer texts, only programs that print to a terminal remove
// hidden characters.
func Hidden(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0: // C0, delete, C1
	case r == '\u00ad', r == '\u034f', r == '\u061c', r == '\u180e', r == '\ufeff': // soft hyphen, grapheme joiner, Arabic mark, old separator, byte order mark
	case r == '\u115f', r == '\u1160', r == '\u3164', r == '\uffa0', r == '\u2800': // fillers of Hangul and Braille: blank, but not spaces
	case r == '\u200b', r >= '\u200e' && r <= '\u200f': // zero-width space, direction marks
	case r >= '\u202a' && r <= '\u202e', r >= '\u2060' && r <= '\u206f': // embeddings, overrides, isolates, invisible operators
	case r >= '\ufff0' && r <= '\ufffb': // interlinear annotation and unassigned characters next to it
	case r >= 0xe0000 && r <= 0xe0fff: // tags and variation selectors beyond those of scripts
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe: // noncharacters
	default:
		return false
	}
	return true
}
