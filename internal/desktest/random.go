package desktest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/codec"
)

// One returns one of the elements.
func One[T any](random *rand.Rand, of []T) T { return of[random.IntN(len(of))] }

// Names returns different names.
func Names(prefix string, count int) []string {
	var made []string
	for i := range count {
		made = append(made, fmt.Sprintf("%s-%04d", prefix, i))
	}
	return made
}

// Key returns a key with that ID.
func Key(t testing.TB, id string) string {
	t.Helper()
	key, err := codec.FreshKey(id)
	require.NoError(t, err)
	return key
}

// KeyRing returns a key ring with the keys, the newest first.
func KeyRing(t testing.TB, keys ...string) *codec.KeyRing {
	t.Helper()
	ring, err := codec.ParseKeyRing(strings.Join(keys, ","))
	require.NoError(t, err)
	return ring
}
