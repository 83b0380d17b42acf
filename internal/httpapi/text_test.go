package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every route refuses text that is not valid UTF-8, and names the parameter.
func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	for _, test := range []struct {
		method, path string
		form         url.Values
		field        string
	}{
		{http.MethodPost, workspace + "/Tasks", url.Values{"Attributes": {"{\"company\":\"M\xfcller\"}"}}, "Attributes"},
		{http.MethodPost, workspace + "/TaskQueues", url.Values{"FriendlyName": {"\xff\xfe"}}, "FriendlyName"},
		{http.MethodPost, workspace + "/Workers", url.Values{"FriendlyName": {"ok"}, "Attributes": {"{\"a\":\"\xed\xa0\x80\"}"}}, "Attributes"},
		{http.MethodPost, "/v1/Conversations", url.Values{"FriendlyName": {"\xc3", "\xbc"}}, "FriendlyName"},
		{http.MethodGet, workspace + "/Workers", url.Values{"FriendlyName": {"\xfc"}}, "FriendlyName"},
	} {
		answer := h.ask(h.service, test.method, test.path, test.form).is(http.StatusBadRequest)
		var told struct {
			Message string
			Details struct{ Field string }
		}
		answer.read(&told)
		require.Equal(t, test.field, told.Details.Field, "%s", answer.body)
		require.Contains(t, told.Message, "is not valid UTF-8")
	}
	sid := h.give("alice")[2:]
	answer := h.send(h.service, http.MethodPost, "/v1/Interactions/KD"+sid+"/Channels/UO"+sid+"/Transfers", "application/json", "{\"from\":\"a\",\"to\":\"\xff\"}")
	require.Contains(t, answer.is(http.StatusBadRequest).body, "to is not valid UTF-8")
}
