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

// whole is a model of Twilio's library with all of its keys in JSON, null where it has nothing: the
// models leave such keys out, the API doesn't.
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

// encode is json.Marshal without the escapes that only HTML needs.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err //nolint:wrapcheck // wrapped by who knows what was encoded
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// all is a whole model, for an answer.
func all[T any](model T) whole[T] { return whole[T]{model} }

// date is a time as Twilio writes it: to the second, in UTC; null where there is none.
func date(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC().Truncate(time.Second))
}

// text is a string, null where it is empty.
func text(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// object is any JSON value as the models hold it.
func object(value any) *any { return new(value) }

// seconds is how many whole seconds lie between two times.
func seconds(from, to time.Time) int { return max(int(to.Sub(from)/time.Second), 0) }

// twilioHost matches the hosts that a helper library asks whose connections, not whose URLs, lead here.
var twilioHost = regexp.MustCompile(`(?i)^([a-z0-9-]+\.)+twilio\.com$`)

// url is the address of a resource: on the product's host where the client asked that, else at the public address, or
// at the host that was asked where no public address is set.
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

// links are the addresses of what belongs to a resource.
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

// workspaceURL is the address of something in the workspace.
func (c *call) workspaceURL(parts ...string) string {
	return c.url(append([]string{"v1", "Workspaces", c.workspaceSID()}, parts...)...)
}

// channelSID is the SID (TC…) of a task channel.
func channelSID(channel conversation.Channel) string {
	return desk.NamedSID(desk.PrefixTaskChannel, string(channel))
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
