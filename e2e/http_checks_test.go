package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// checking sends requests for *.twilio.com to the gateway, with the Host header unchanged. It checks every answer
// against Twilio's OpenAPI documents, if they are available, and for rules that they do not contain. A mistake
// fails the test, but the answer is still returned: Twilio's library reads pages in its own goroutines.
type checking struct {
	t       *testing.T
	network http.RoundTripper
	gateway string
	// documents is nil if they are not available.
	documents []routers.Router
}

func checkingOf(t *testing.T, network http.RoundTripper, gateway string) *checking {
	t.Helper()
	c := &checking{t: t, network: network, gateway: strings.TrimPrefix(gateway, "http://")}
	c.documents, _ = twilioDocuments() // without them, another test reports it
	return c
}

// RoundTrip implements [http.RoundTripper].
func (c *checking) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := r.Clone(r.Context())
	if strings.HasSuffix(r.URL.Host, ".twilio.com") {
		sent.URL.Scheme, sent.URL.Host, sent.Host = "http", c.gateway, r.URL.Host
	}
	answered, err := c.network.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answered.Body)
	_ = answered.Body.Close()
	if err != nil {
		return nil, err
	}
	answered.Body = io.NopCloser(bytes.NewReader(body))
	for _, wrong := range c.mistakes(sent, answered, body) {
		c.t.Errorf("%s %s was answered with %d and %s\n%s", r.Method, r.URL, answered.StatusCode, body, wrong)
	}
	return answered, nil
}

// mistakes returns what is wrong with an answer.
func (c *checking) mistakes(r *http.Request, answered *http.Response, body []byte) []string {
	if answered.StatusCode == http.StatusNoContent {
		if len(body) > 0 {
			return []string{"an answer without content has some"}
		}
		return nil
	}
	var wrong []string
	if kind := answered.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		wrong = append(wrong, "its Content-Type is "+kind)
	}
	for _, secret := range inside {
		if strings.Contains(string(body), secret) {
			wrong = append(wrong, "it tells of what is inside: "+secret)
		}
	}
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		return append(wrong, "it is no JSON object: "+err.Error())
	}
	if answered.StatusCode >= http.StatusBadRequest {
		return append(wrong, errorMistakes(answered, object)...)
	}
	wrong = append(wrong, addressMistakes(baseOf(r), object)...)
	if c.documents == nil {
		return wrong
	}
	return append(wrong, c.shapeMistakes(r, answered, body, object)...)
}

// inside are words that no answer may contain: terms of the implementation.
var inside = []string{"sqlite", "SQL", "SELECT ", "goroutine", ".go:", "rpc error", "runtime error", "panic", "conversation/CH", "127.0.0.1:7233", "context deadline"}

// errorMistakes returns what is wrong with an error. Twilio's library decodes only these keys.
func errorMistakes(answered *http.Response, object map[string]any) (wrong []string) {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(object)), func(key string) bool { return key == "details" })
	if !slices.Equal(keys, []string{"code", "message", "more_info", "status"}) {
		wrong = append(wrong, fmt.Sprintf("an error with the keys %v", keys))
	}
	if details, given := object["details"]; given {
		if of, isObject := details.(map[string]any); !isObject || len(of) == 0 {
			wrong = append(wrong, "details that are no object, or an empty one")
		}
	}
	code, _ := object["code"].(float64)
	if object["status"] != float64(answered.StatusCode) {
		wrong = append(wrong, "another status in the body than in the answer")
	}
	if object["more_info"] != fmt.Sprintf("https://www.twilio.com/docs/errors/%d", int(code)) || code < 20001 {
		wrong = append(wrong, "a code that is none of Twilio's, or a more_info for another")
	}
	if message, _ := object["message"].(string); strings.TrimSpace(message) == "" {
		wrong = append(wrong, "an error without a message")
	}
	return wrong
}

// baseOf returns the required beginning of the addresses in the answer to a request.
func baseOf(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if strings.HasSuffix(host, ".twilio.com") || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + host + "/"
	}
	return "http://" + host + "/"
}

// addressed are the keys whose values are addresses of the API itself.
var addressed = regexp.MustCompile(`^(url|(first|previous|next)_page_url|resource_url|actor_url)$`)

var (
	dated = regexp.MustCompile(`^(date_.*|.*_date|virtual_start_time)$`)
	// twilioDate is Twilio's time format.
	twilioDate = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
)

// addressMistakes returns addresses of another host, and dates in another format than Twilio's, anywhere in an
// answer.
func addressMistakes(base string, value any) (wrong []string) {
	switch v := value.(type) {
	case []any:
		for _, entry := range v {
			wrong = append(wrong, addressMistakes(base, entry)...)
		}
	case map[string]any:
		for key, entry := range v {
			text, isText := entry.(string)
			switch {
			case isText && addressed.MatchString(key) && !strings.HasPrefix(text, base):
				wrong = append(wrong, fmt.Sprintf("%s is %s, and doesn't begin with %s", key, text, base))
			case isText && dated.MatchString(key) && !twilioDate.MatchString(text):
				wrong = append(wrong, fmt.Sprintf("%s is %s, and no date as Twilio writes it", key, text))
			case key == "links":
				wrong = append(wrong, linkMistakes(base, entry)...)
			default:
				wrong = append(wrong, addressMistakes(base, entry)...)
			}
		}
	}
	return wrong
}

func linkMistakes(base string, links any) (wrong []string) {
	of, isObject := links.(map[string]any)
	if !isObject {
		return []string{"links that are no object"}
	}
	for name, link := range of {
		if text, _ := link.(string); !strings.HasPrefix(text, base) {
			wrong = append(wrong, fmt.Sprintf("the link %s is %v, and doesn't begin with %s", name, link, base))
		}
	}
	return wrong
}

// shapeMistakes returns how an answer differs from Twilio's documents, or from the tables here for calls that the
// documents do not contain.
func (c *checking) shapeMistakes(r *http.Request, answered *http.Response, body []byte, object map[string]any) []string {
	route, parameters := c.documented(r)
	if route == nil {
		return undocumentedMistakes(r, object)
	}
	err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route},
		Status:                 answered.StatusCode, Header: answered.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		},
	})
	var wrong []string
	if err != nil {
		wrong = append(wrong, "it isn't as Twilio documents it: "+err.Error())
	}
	response := route.Operation.Responses.Status(answered.StatusCode)
	if response == nil {
		return wrong // which is a mistake already
	}
	content := response.Value.Content.Get("application/json")
	if content == nil {
		return append(wrong, "Twilio documents no content here")
	}
	return append(wrong, keyMistakes("the answer", content.Schema.Value, object)...)
}

// keyMistakes returns the missing and the additional keys of an object. The documents require no keys, but Twilio's
// libraries for languages other than Go do.
func keyMistakes(what string, schema *openapi3.Schema, object map[string]any) (wrong []string) {
	documented, given := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(maps.Keys(object))
	if !slices.Equal(documented, given) {
		wrong = append(wrong, fmt.Sprintf("%s has the keys %v, and Twilio documents %v", what, given, documented))
	}
	for name, property := range schema.Properties {
		switch value := object[name].(type) {
		case []any:
			if property.Value.Items == nil {
				continue
			}
			for i, entry := range value {
				if of, isObject := entry.(map[string]any); isObject && len(property.Value.Items.Value.Properties) > 0 {
					wrong = append(wrong, keyMistakes(fmt.Sprintf("%s[%d]", name, i), property.Value.Items.Value, of)...)
				}
			}
		case map[string]any:
			if len(property.Value.Properties) > 0 {
				wrong = append(wrong, keyMistakes(name, property.Value, value)...)
			}
		}
	}
	return wrong
}

// metaKeys are the keys of every list's meta.
var metaKeys = []string{"first_page_url", "key", "next_page_url", "page", "page_size", "previous_page_url", "url"}

// noteKeys are the keys of a note, for which Twilio has published no document.
var noteKeys = []string{
	"account_sid", "author", "channel_sid", "date_created", "instance_sid", "interaction_sid", "sid", "summary", "type", "url",
}

// undocumented are the calls that no document of Twilio contains, with the keys of their answers.
var undocumented = map[string]map[string][]string{
	"POST /v1/Workspaces/{workspace}/Tasks/{task}/Reservations": {"": {
		"account_sid", "date_created", "date_updated", "links", "reservation_status", "sid", "task_sid", "url", "worker_name", "worker_sid", "workspace_sid",
	}},
	"GET /v3/Instances/{instance}/TransferSettings":  settingsKeys,
	"POST /v3/Instances/{instance}/TransferSettings": settingsKeys,
	"POST /v1/Instances/{instance}/Notes":            {"": noteKeys},
	"GET /v1/Instances/{instance}/Notes/{note}":      {"": noteKeys},
	"GET /v1/Instances/{instance}/Notes":             {"": {"meta", "notes"}, "notes": noteKeys, "meta": metaKeys},
}

var settingsKeys = map[string][]string{
	"": {"transfer_settings"}, "transfer_settings": {"ai_summary_enabled", "enabled", "transfer_notes_enabled"},
}

var undocumentedCalls = sync.OnceValue(func() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern := range undocumented {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	return mux
})

func undocumentedMistakes(r *http.Request, object map[string]any) []string {
	_, pattern := undocumentedCalls().Handler(r)
	keys, known := undocumented[pattern]
	if !known {
		return []string{"neither Twilio's documents nor this test know the call"}
	}
	var wrong []string
	for part, wanted := range keys {
		for _, of := range partsOf(object, part) {
			if given := slices.Sorted(maps.Keys(of)); !slices.Equal(wanted, given) {
				wrong = append(wrong, fmt.Sprintf("%q has the keys %v instead of %v", part, given, wanted))
			}
		}
	}
	return wrong
}

// partsOf returns the object itself, or the objects that it holds under a key.
func partsOf(object map[string]any, part string) (found []map[string]any) {
	if part == "" {
		return []map[string]any{object}
	}
	entries, isList := object[part].([]any)
	if !isList {
		entries = []any{object[part]}
	}
	for _, entry := range entries {
		of, _ := entry.(map[string]any)
		found = append(found, of)
	}
	return found
}

// documented returns Twilio's operation for a request, or nil.
func (c *checking) documented(r *http.Request) (*routers.Route, map[string]string) {
	for _, document := range c.documents {
		if route, parameters, err := document.FindRoute(r); err == nil {
			return route, parameters
		}
	}
	return nil, nil
}

// The folder of Twilio's OpenAPI documents: next to the repository, or given by the variable.
const (
	documentsFolder   = "../../shared/specs"
	documentsVariable = "TWILIO_OAI_DIR"
)

// twilioDocuments reads the documents once: it takes half a second.
var twilioDocuments = sync.OnceValues(func() (found []routers.Router, err error) {
	folder := documentsFolder
	if given := os.Getenv(documentsVariable); given != "" {
		folder = given
	}
	for _, product := range []string{"flex", "taskrouter", "conversations"} {
		document, err := readDocument(filepath.Join(folder, "twilio_"+product+"_v1.json"))
		if err != nil {
			return nil, err
		}
		router, err := gorillamux.NewRouter(document)
		if err != nil {
			return nil, fmt.Errorf("route by Twilio's document of %s: %w", product, err)
		}
		found = append(found, router)
	}
	return found, nil
})

func readDocument(path string) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a document of Twilio's: %w", err)
	}
	document.Servers = nil // requests go to the gateway, not to Twilio
	for _, item := range document.Paths.Map() {
		item.Servers = nil
		for _, operation := range item.Operations() {
			typeForm(operation)
		}
	}
	if err := document.Validate(loader.Context, openapi3.DisableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("a document of Twilio's is not valid: %w", err)
	}
	return document, nil
}

// typeForm adds types to the form fields that Twilio leaves without one.
func typeForm(operation *openapi3.Operation) {
	if operation.RequestBody == nil {
		return
	}
	form := operation.RequestBody.Value.Content.Get("application/x-www-form-urlencoded")
	if form == nil {
		return
	}
	for _, field := range form.Schema.Value.Properties {
		if field.Value.Type == nil {
			field.Value.Type = &openapi3.Types{"string"}
		}
	}
}
