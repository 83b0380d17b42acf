package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatIsWrongIsReportedFirst checks that errors in the configuration are reported before the gateway connects.
func TestWhatIsWrongIsReportedFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ variable, value, sentence string }{
		{"BATON_HTTP", ":8080", "BATON_URL is missing"},
		{"BATON_HTTP", "0.0.0.0:8080", "set BATON_URL to its public address"},
		{"BATON_HTTP", "8080", "set it to an address and a port"},
		{"BATON_TRUSTED_PROXIES", "ingress", "BATON_TRUSTED_PROXIES"},
		{"BATON_LIMIT_CHATS", "many", "BATON_LIMIT_CHATS"},
	} {
		environment := map[string]string{test.variable: test.value, "TEMPORAL_ADDRESS": "127.0.0.1:1", "BATON_DATABASE": "postgres://127.0.0.1:1/none"}
		err := run(t.Context(), nil, func(name string) string { return environment[name] }, io.Discard, io.Discard)
		require.ErrorContains(t, err, test.sentence, "%s=%s", test.variable, test.value)
	}
}
