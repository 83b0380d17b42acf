package admin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
