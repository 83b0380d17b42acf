package sqldb

import (
	"fmt"
	"strings"
)

// Batch is how many rows a query reads by an IN list of SIDs.
const Batch = 100

// Arguments appends the values to the arguments of a query, and returns their placeholders for an IN list.
func Arguments[T ~string](args *[]any, values []T) string {
	places := make([]string, len(values))
	for i, value := range values {
		*args = append(*args, string(value))
		places[i] = fmt.Sprintf("$%d", len(*args))
	}
	return strings.Join(places, ", ")
}

// BatchArguments returns the placeholders and arguments of an IN list of at most [Batch] SIDs. There are always Batch
// arguments, so that the same prepared statement serves any number of SIDs.
func BatchArguments(sids []string) (places string, args []any) {
	args = make([]any, 0, Batch)
	padded := make([]string, Batch)
	copy(padded, sids)
	return Arguments(&args, padded), args
}
