package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/forwarded"
)

// whole is a model of Twilio's library that encodes all of its keys, with null for empty ones. The models alone
// omit empty keys, but the API does not.
type whole[T any] struct{ model T }

// MarshalJSON implements [json.Marshaler].
func (w whole[T]) MarshalJSON() ([]byte, error) {
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

// all wraps a model for an answer.
func all[T any](model T) whole[T] { return whole[T]{model} }

// date returns a time in the form of Twilio: in whole seconds and UTC; nil, which is null in JSON, for the zero
// time.
func date(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC().Truncate(time.Second))
}

// text returns a pointer to the string; nil, which is null in JSON, for "".
func text(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// object returns any JSON value as the models hold it.
func object(value any) *any { return new(value) }

// seconds returns the whole seconds between two times; 0 if to is before from.
func seconds(from, to time.Time) int { return max(int(to.Sub(from)/time.Second), 0) }

// twilioHost matches Twilio's hosts. A helper library requests them if its connections, but not its URLs, lead to
// Baton.
var twilioHost = regexp.MustCompile(`(?i)^([a-z0-9-]+\.)+twilio\.com$`)

// url returns the URL of a resource: on Twilio's host if the client requested that, else at the public address. If
// no public address is set, it uses the host that the client requested.
func (c *call) url(parts ...string) string {
	return c.base() + "/" + strings.Join(parts, "/")
}

func (c *call) base() string {
	switch {
	case twilioHost.MatchString(c.r.Host):
		return "https://" + c.r.Host
	case c.public != "":
		return c.public
	case forwarded.Of(c.r).HTTPS:
		return "https://" + c.r.Host
	}
	return "http://" + c.r.Host
}

// links returns the URLs of the resources below a resource.
func links(base string, names ...string) *map[string]any {
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

func (c *call) workspaceSID() string {
	return conversation.SameSID(desk.PrefixWorkspace, c.account.SID)
}

func (c *call) instanceSID() string { return conversation.SameSID(desk.PrefixInstance, c.account.SID) }

// workspaceURL returns the URL of a resource in the workspace.
func (c *call) workspaceURL(parts ...string) string {
	return c.url(append([]string{"v1", "Workspaces", c.workspaceSID()}, parts...)...)
}

// channelSID returns the SID (TC…) of a task channel.
func channelSID(channel conversation.Channel) string {
	return desk.NamedSID(desk.PrefixTaskChannel, string(channel))
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
