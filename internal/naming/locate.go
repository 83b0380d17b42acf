package naming

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Locate returns where a text first contains the fold, as byte offsets. It returns false if Fold of the text does
// not contain the fold, or the fold is empty.
func Locate(text, fold string) (from, to int, found bool) {
	if fold == "" || !strings.Contains(Fold(text), fold) {
		return 0, 0, false
	}
	ends := []int{0} // of the runes
	for i, r := range text {
		ends = append(ends, i+max(utf8.RuneLen(r), 1))
	}
	// A longer text has a longer fold, so the first end, and then the last start, are found by binary search.
	last := sort.Search(len(ends)-1, func(i int) bool { return strings.Contains(Fold(text[:ends[i]]), fold) })
	to = ends[last]
	begin := sort.Search(last, func(i int) bool { return !strings.Contains(Fold(text[ends[i]:to]), fold) }) - 1
	from = ends[max(begin, 0)]
	for to < len(text) { // marks belong to the character before them
		r, size := utf8.DecodeRuneInString(text[to:])
		if !unicode.Is(unicode.M, r) {
			break
		}
		to += size
	}
	return from, to, true
}
