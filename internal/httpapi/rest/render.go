package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/forwarded"
)

// Whole is a model of Twilio's library that encodes all of its keys, with null for empty ones. The models alone
// omit empty keys, but the API does not.
type Whole[T any] struct{ model T }

// MarshalJSON implements [json.Marshaler].
func (w Whole[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	value := reflect.ValueOf(w.model)
	for i := range value.NumField() {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		encoded, err := encode(value.Field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", name, err)
		}
		fmt.Fprintf(&b, "%q:%s", name, encoded)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is json.Marshal without the escapes for HTML.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err //nolint:wrapcheck // the callers wrap it with what they encoded
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// All wraps a model for an answer.
func All[T any](model T) Whole[T] { return Whole[T]{model} }

// Date returns a time in the form of Twilio: in whole seconds and UTC; nil, which is null in JSON, for the zero
// time.
func Date(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC().Truncate(time.Second))
}

// Text returns a pointer to the string; nil, which is null in JSON, for "".
func Text(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// Object returns any JSON value as the models hold it.
func Object(value any) *any { return new(value) }

// Seconds returns the whole seconds between two times; 0 if to is before from.
func Seconds(from, to time.Time) int { return max(int(to.Sub(from)/time.Second), 0) }

// twilioHost matches Twilio's hosts. A helper library requests them if its connections, but not its URLs, lead to
// Baton.
var twilioHost = regexp.MustCompile(`(?i)^([a-z0-9-]+\.)+twilio\.com$`)

// URL returns the URL of a resource: on Twilio's host if the client requested that, else at the public address. If
// no public address is set, it uses the host that the client requested.
func (c *Call) URL(parts ...string) string {
	return base(c.Request, c.server.public) + "/" + strings.Join(parts, "/")
}

// base returns the base address of URLs in the answer to a request.
func base(r *http.Request, public string) string {
	switch {
	case twilioHost.MatchString(r.Host):
		return "https://" + r.Host
	case public != "":
		return public
	case forwarded.Of(r).HTTPS:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// Links returns the URLs of the resources below a resource.
func Links(base string, names ...string) *map[string]any {
	found := map[string]any{}
	for _, name := range names {
		found[name] = base + "/" + camel(name)
	}
	return &found
}

// camel turns task_queues into TaskQueues.
func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// WorkspaceSID returns the SID (WS…) of the only workspace.
func (c *Call) WorkspaceSID() string {
	return conversation.SameSID(desk.PrefixWorkspace, c.Account.SID)
}

// WorkspaceURL returns the URL of a resource in the workspace.
func (c *Call) WorkspaceURL(parts ...string) string {
	return c.URL(append([]string{"v1", "Workspaces", c.WorkspaceSID()}, parts...)...)
}

// ChannelSID returns the SID (TC…) of a task channel.
func ChannelSID(channel conversation.Channel) string {
	return desk.NamedSID(desk.PrefixTaskChannel, string(channel))
}

// Latest returns the later of two times.
func Latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// phoneNumber matches a number in the format E.164, also with a provider's prefix, as whatsapp:+15551234567.
var phoneNumber = regexp.MustCompile(`^(?:[a-z]+:)?(\+[1-9][0-9]{5,14})$`)

// PhoneOf returns the number in a messaging address; nil if it has none.
func PhoneOf(address string) *string {
	if found := phoneNumber.FindStringSubmatch(address); found != nil {
		return &found[1]
	}
	return nil
}
