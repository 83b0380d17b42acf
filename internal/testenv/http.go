package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
)

// Request is a request to the HTTP API.
type Request struct {
	Method, URL string
	// User and Secret are the credentials; without a user, none are sent.
	User, Secret string
	// Body is a form ([url.Values]), [JSON], [Text] or nil.
	Body   any
	Header http.Header
}

// JSON is a body that is sent as JSON.
type JSON struct{ Value any }

// Text is a body that is sent unchanged, with its content type.
type Text struct{ Type, Content string }

// Answer is the answer to a request.
type Answer struct {
	Status int
	Header http.Header
	Text   string
}

// Decode reads the answer's body, which is JSON.
func (a Answer) Decode(into any) error {
	if err := json.Unmarshal([]byte(a.Text), into); err != nil {
		return fmt.Errorf("read the answer %q: %w", a.Text, err)
	}
	return nil
}

const formType = "application/x-www-form-urlencoded"

// HTTP returns the request for a client.
func (r Request) HTTP(ctx context.Context) (*http.Request, error) {
	kind, content := formType, ""
	switch body := r.Body.(type) {
	case nil:
	case url.Values:
		content = body.Encode()
	case Text:
		kind, content = body.Type, body.Content
	case JSON:
		encoded, err := json.Marshal(body.Value)
		if err != nil {
			return nil, fmt.Errorf("encode the body of %s %s: %w", r.Method, r.URL, err)
		}
		kind, content = "application/json", string(encoded)
	default:
		return nil, fmt.Errorf("%s %s has a body of type %T: use a form, JSON or Text", r.Method, r.URL, body)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, r.URL, strings.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("make the request %s %s: %w", r.Method, r.URL, err)
	}
	request.Header.Set("Content-Type", kind)
	maps.Copy(request.Header, r.Header)
	if r.User != "" {
		request.SetBasicAuth(r.User, r.Secret)
	}
	return request, nil
}

// Call sends a request and reads the answer. Every status is an answer; an error means that there was none.
func Call(ctx context.Context, client *http.Client, r Request) (Answer, error) {
	request, err := r.HTTP(ctx)
	if err != nil {
		return Answer{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", r.Method, r.URL, err)
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer to %s %s: %w", r.Method, r.URL, err)
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Text: string(text)}, nil
}

// Workspace returns the path of the account's workspace, and of what follows.
func Workspace(account access.Account, path string) string {
	return "/v1/Workspaces/" + conversation.SameSID(desk.PrefixWorkspace, account.SID) + path
}

// Channel returns the path of the conversation's channel in its interaction, and of what follows.
func Channel(sid, path string) string {
	return "/v1/Interactions/" + conversation.SameSID(conversation.PrefixInteraction, sid) +
		"/Channels/" + conversation.SameSID(conversation.PrefixInteractionChannel, sid) + path
}

// FreeAddress returns an address at which servers can be started one after the other. It avoids the ports that the
// system assigns to clients: a client that connects to such a port while no server listens can connect to itself, and
// then keeps the port in use.
func FreeAddress(ctx context.Context) (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)) //nolint:gosec // a free port is no secret
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("look for a free port: %w", err)
		}
		return address, nil
	}
	return "", errors.New("no free port was found between 10000 and 30000: end some of what listens there")
}
