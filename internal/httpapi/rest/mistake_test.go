package rest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMistakesNameTheKey(t *testing.T) {
	t.Parallel()
	type body struct {
		On    *bool    `json:"on"`
		Text  string   `json:"text"`
		Count *int     `json:"count"`
		Share float64  `json:"share"`
		Names []string `json:"names"`
		Parts []struct {
			Deep map[string]any `json:"deep"`
		} `json:"parts"`
	}
	for given, want := range map[string][2]string{
		`{"on":"secret"}`:         {"on", "on has to be true or false: it is a string"},
		`{"text":true}`:           {"text", "text has to be a string: it is true or false"},
		`{"count":1.5}`:           {"count", "count has to be a whole number: it is a number"},
		`{"share":{}}`:            {"share", "share has to be a number: it is an object"},
		`{"names":7}`:             {"names", "names has to be a list: it is a number"},
		`{"parts":[{"deep":[]}]}`: {"parts.deep", "parts.deep has to be an object: it is a list"},
		`[]`:                      {"", "The body has to be an object: it is a list"},
		`{"on":`:                  {"", "The body is not valid JSON"},
	} {
		key, sentence := mistake("The body", json.Unmarshal([]byte(given), new(body)))
		require.Equal(t, want, [2]string{key, sentence}, given)
	}
}
