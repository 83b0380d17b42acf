package conversation_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/conversation"
)

func TestCleanName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Alice": "Alice", "\u00a0Éric Müller\t": "Éric Müller", "張偉": "張偉", "a\u202egnp.exe": "agnp.exe", "a\u2066b\u2069c\u200f": "abc",
		"zero\u200bwidth\ufeff": "zerowidth", "\x1b[31mred": "[31mred", "\u009b31mred": "31mred", "two\nlines\tx\u2028y": "two lines x y", "a\x00b": "ab",
		"bad\xff": "bad", "\u202e": "", "\U000e0041tag": "tag", "soft\u00adhyphen": "softhyphen", "\u3164\u2800": "",
		"می\u200cخواهم": "می\u200cخواهم", "ශ්\u200dරී": "ශ්\u200dරී", "👩\u200d💻": "👩\u200d💻", "❤️": "❤️",
		"ali\u200dce": "alice", "\u200dalice\u200d": "alice", "م\u200c\u200c\u200cن": "م\u200cن",
	} {
		require.Equal(t, want, conversation.CleanName(name), "%q", name)
	}
}

func TestCleanNamesStayClean(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := conversation.CleanName(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "text"))
		require.Equal(t, name, conversation.CleanName(name))
		require.True(t, utf8.ValidString(name))
		require.False(t, strings.ContainsFunc(name, conversation.Hidden))
	})
}
