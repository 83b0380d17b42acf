package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/jsonkeys"
)

// Input is what a request asks for, and the route that says what it may ask for.
type Input struct {
	// Form holds the query of a GET or DELETE, or the form of a POST; Body holds a POST's JSON.
	Form url.Values
	Body []byte

	route Route
}

// MaxBody is the maximum size of a request's body in bytes.
const MaxBody = 1 << 20

// read reads and checks the query and the body.
func (i *Input) read(w http.ResponseWriter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return i.Wrong("", "The query of the URL can't be read: encode it as application/x-www-form-urlencoded")
	}
	i.Form = query
	if r.Method == http.MethodPost {
		if err := i.readBody(w, r); err != nil {
			return err
		}
	}
	if err := i.validText(query, i.Form); err != nil {
		return err
	}
	return i.supported(r, query)
}

func (i *Input) readBody(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case kind == "application/json" && (i.route.JSON || i.route.Path == ""):
		return i.readJSON(r)
	case kind == "application/x-www-form-urlencoded":
	default: // net/http would ignore its parameters without an error
		if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
			return &Problem{
				Status: http.StatusUnsupportedMediaType, Code: 20415,
				Message: "The body's type is not supported: send application/x-www-form-urlencoded, or application/json where the call takes it",
			}
		}
	}
	err := r.ParseForm()
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return tooLong()
	}
	if err != nil {
		return i.Wrong("", "The body can't be read: send application/x-www-form-urlencoded")
	}
	i.Form = r.PostForm
	return nil
}

func (i *Input) readJSON(r *http.Request) error {
	var body json.RawMessage
	err := json.NewDecoder(r.Body).Decode(&body)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return tooLong()
	}
	if err != nil {
		return i.Wrong("", "The body isn't valid JSON")
	}
	i.Body = body
	return nil
}

// validText refuses parameters, and fields of a body, that are not valid UTF-8.
func (i *Input) validText(parameters ...url.Values) error {
	const advice = "is not valid UTF-8: encode the text as UTF-8"
	for _, given := range parameters {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			switch {
			case !utf8.ValidString(name):
				return i.Wrong("", "The name of a parameter %s", advice)
			case slices.ContainsFunc(given[name], func(value string) bool { return !utf8.ValidString(value) }):
				return i.Wrong(name, "%s %s", name, advice)
			}
		}
	}
	if field, found := conversation.InvalidText(i.Body); found {
		return i.Wrong(field, "%s %s", cmp.Or(field, "The body"), advice)
	}
	return nil
}

// supported refuses a request for something that Baton does not do. Parameters without a value count as not given.
// Names that Twilio does not document are ignored, as by Twilio.
func (i *Input) supported(r *http.Request, query url.Values) error {
	given := func(name string) []string { return append(query[name], i.Form[name]...) }
	if r.Method != http.MethodPost || i.Body != nil {
		given = func(name string) []string { return query[name] }
	}
	for _, refused := range i.route.refused {
		for _, value := range given(refused.name) {
			switch {
			case value == "" || refused.only != "" && strings.EqualFold(value, refused.only):
			case refused.only != "":
				return i.Wrong(refused.name, "%s can only be %s: leave it out", refused.name, refused.only)
			default:
				return i.Wrong(refused.name, "%s is not supported: leave it out", refused.name)
			}
		}
	}
	if r.Method == http.MethodPost {
		for _, name := range i.route.Takes {
			if name = strings.TrimSuffix(name, "*"); query.Has(name) {
				return i.Wrong(name, "%s is in the query of the URL: send it in the body", name)
			}
		}
	}
	if i.route.Product == ProductConversations && r.Method != http.MethodGet && strings.EqualFold(r.Header.Get(webhookHeader), "true") {
		return i.Wrong(webhookHeader, "%s can only be false, for there are no webhooks of conversations: leave it out", webhookHeader)
	}
	return nil
}

// unsupported is a parameter that Twilio documents for a route and that Baton does not support.
type unsupported struct {
	name string
	// only is the value that describes what Baton does in any case; "" if there is none.
	only string
}

// webhookHeader requests the webhooks of conversations, which Baton does not send.
const webhookHeader = "X-Twilio-Webhook-Enabled"

// Wrong is the answer to a wrong parameter. The message states which value would be right.
func (i *Input) Wrong(field, format string, args ...any) *Problem {
	return &Problem{
		Status: http.StatusBadRequest, Code: wrongParameter.code(i.route.Product), Message: fmt.Sprintf(format, args...),
		Details: map[string]any{"reason": conversation.CodeInvalidPayload, "field": field},
	}
}

// Required returns a field's value, or a refusal if the field is blank.
func (i *Input) Required(field string) (string, error) {
	value := i.Form.Get(field)
	if strings.TrimSpace(value) == "" {
		return "", i.Wrong(field, "Missing required parameter %s", field)
	}
	return value, nil
}

// Optional returns the field's value; nil if the field is absent.
func (i *Input) Optional(field string) *string {
	if !i.Form.Has(field) {
		return nil
	}
	return new(i.Form.Get(field))
}

// SID reads a SID with that prefix from the form; "" if the field is empty.
func (i *Input) SID(field, prefix string) (string, error) {
	value := i.Form.Get(field)
	if value == "" {
		return "", nil
	}
	if !IsSID(prefix, value) {
		return "", i.NoSID(field, prefix)
	}
	return prefix + strings.ToLower(value[2:]), nil
}

// NoSID is the answer to a parameter that is not a SID with that prefix.
func (i *Input) NoSID(field, prefix string) *Problem {
	return &Problem{
		Status: http.StatusBadRequest, Code: 20423, Details: map[string]any{"reason": conversation.CodeInvalidPayload, "field": field},
		Message: field + " has to be a SID: " + prefix + " and 32 hex digits",
	}
}

// IsSID reports whether the text is a SID with that prefix. The digits may be in either case.
func IsSID(prefix, text string) bool {
	return len(text) == 34 && strings.HasPrefix(text, prefix) && conversation.IsSID(prefix, prefix+strings.ToLower(text[2:]))
}

// SameDigits reports whether a client's text is that SID. Digits may be in either case.
func SameDigits(given, sid string) bool {
	return IsSID(sid[:2], given) && strings.EqualFold(given[2:], sid[2:])
}

// Number reads an integer between the bounds; the fallback if the field is empty.
func (i *Input) Number(field string, fallback, least, most int) (int, error) {
	value := i.Form.Get(field)
	if value == "" {
		return fallback, nil
	}
	number, err := strconv.Atoi(value)
	if least == most && (err != nil || number != least) {
		return 0, i.Wrong(field, "%s can only be %d: leave it out", field, least)
	}
	if err != nil || number < least || number > most {
		return 0, i.Wrong(field, "%s has to be a whole number from %d to %d", field, least, most)
	}
	return number, nil
}

// Flag reads a boolean; the fallback if the field is empty.
func (i *Input) Flag(field string, fallback bool) (bool, error) {
	switch strings.ToLower(i.Form.Get(field)) {
	case "":
		return fallback, nil
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, i.Wrong(field, "%s has to be true or false", field)
}

// Instant reads a time in ISO 8601; the zero time if the field is empty.
func (i *Input) Instant(field string) (time.Time, error) {
	value := i.Form.Get(field)
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, i.Wrong(field, "%s has to be a time in ISO 8601, as in 2026-11-24T09:00:00Z", field)
}

// Decode reads a form parameter that is JSON. It refuses keys that are not supported.
func (i *Input) Decode(field string, into any) error {
	value, err := i.Required(field)
	if err != nil {
		return err
	}
	var quoted string
	if json.Unmarshal([]byte(value), &quoted) == nil { // twilio-go encodes a string that is already JSON a second time
		value = quoted
	}
	if err := json.Unmarshal([]byte(value), into); err != nil {
		key, sentence := mistake(field, err)
		if key != "" {
			sentence = field + ": " + sentence
		}
		return i.Wrong(field, "%s", sentence)
	}
	return i.unreadKeys(field, []byte(value), into)
}

// DecodeBody reads a body that is a JSON object. It refuses keys that are not supported.
func (i *Input) DecodeBody(into any) error {
	if len(i.Body) == 0 || i.Body[0] != '{' {
		return i.Wrong("", "The body has to be a JSON object, sent as application/json")
	}
	if err := json.Unmarshal(i.Body, into); err != nil {
		field, sentence := mistake("The body", err)
		return i.Wrong(field, "%s", sentence)
	}
	return i.unreadKeys("", i.Body, into)
}

// unreadKeys refuses a JSON document with keys that into does not read. The document is the parameter's value, or
// the body if parameter is "".
func (i *Input) unreadKeys(parameter string, document []byte, into any) error {
	unread := jsonkeys.Unread(document, into)
	switch {
	case len(unread) == 0:
		return nil
	case parameter == "":
		return i.Wrong(Shortened(unread[0]), "%s is not supported: leave it out", Quoted(unread[0]))
	}
	return i.Wrong(parameter, "%s in %s is not supported: leave it out", Quoted(unread[0]), parameter)
}

// mistake returns the key whose value has the wrong type, "" for the whole document, and a sentence that states the
// right type. The sentence contains no values.
func mistake(document string, err error) (key, sentence string) {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return "", document + " is not valid JSON"
	}
	given, _, _ := strings.Cut(wrong.Value, " ") // a number is followed by its digits
	switch given {
	case "bool":
		given = "true or false"
	case "array":
		given = "list"
	}
	return wrong.Field, cmp.Or(wrong.Field, document) + " has to be " + wanted(wrong.Type) + ": it is " + withArticle(given)
}

// withArticle returns the JSON type with its article.
func withArticle(given string) string {
	switch given {
	case "true or false", "null":
		return given
	case "object":
		return "an object"
	}
	return "a " + given
}

// wanted returns the JSON type that can be decoded into the Go type.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() { //nolint:exhaustive // the other kinds are objects
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	}
	return "an object"
}
