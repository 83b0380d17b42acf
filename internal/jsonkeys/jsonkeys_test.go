package jsonkeys_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/jsonkeys"
)

type embedded struct {
	Inner string `json:"inner"`
}

type document struct {
	embedded

	Name    string            `json:"name"`
	Any     any               `json:"any"`
	Free    map[string]string `json:"free"`
	Raw     json.RawMessage   `json:"raw"`
	Hidden  string            `json:"-"`
	Entries []*struct {
		Queue string `json:"queue"`
	} `json:"entries"`
}

func TestUnread(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][]string{
		`{"name":"a","inner":"b","NAME":"c"}`:            nil,
		`{"any":{"x":1},"free":{"y":"z"},"raw":{"w":1}}`: nil,
		`{"names":"a"}`: {"names"},
		`{"Hidden":"a","-":"b","embedded":{"inner":"c"}}`:                             {"-", "Hidden", "embedded"},
		`{"b":0,"a":false,"c":[],"d":{}}`:                                             {"a", "b", "c", "d"},
		`{"b":null,"a":"","c": null }`:                                                nil,
		`{"entries":[{"queue":"q"},null,{"queue":"q","timeout":7,"skip_if":"1==1"}]}`: {"entries[2].skip_if", "entries[2].timeout"},
		`{"entries":{"queue":"q","timeout":7}}`:                                       nil, // decoding fails
		`[{"names":"a"}]`:                                                             nil,
		`{`:                                                                           nil,
		`null`:                                                                        nil,
	} {
		require.Equal(t, want, jsonkeys.Unread([]byte(given), document{}), given)
		require.Equal(t, want, jsonkeys.Unread([]byte(given), &document{}), given)
	}
}
