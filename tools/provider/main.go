// Command provider is an OpenID provider for the sign-in tests: zitadel's certified provider, with the in-memory
// store of its example and with people and clients that the tests know. Do not keep real identities in it.
//
//	provider --listen 127.0.0.1:0 --redirect http://127.0.0.1:8080/sign-in/callback --signed-out http://127.0.0.1:8080/sign-in
//
// Its first line of output is the issuer. It stops on SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("provider", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "where to listen")
	redirect := flags.String("redirect", "", "the redirect URL of every client")
	signedOut := flags.String("signed-out", "", "where every client's people may be sent once they are signed out")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the arguments: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	issuer := "http://" + listener.Addr().String()
	handler, err := newProvider(issuer, *redirect, *signedOut)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, issuer); err != nil {
		return fmt.Errorf("tell the issuer: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// people are the users by name. All have the password "correct horse".
type people map[string]*storage.User

func everybody() people {
	person := func(name, email string, verified bool) *storage.User {
		return &storage.User{ID: "id-" + name, Username: name, Password: "correct horse", Email: email, EmailVerified: verified}
	}
	return people{
		"alice":   person("alice", "Alice@Example.com", true),
		"bob":     person("bob", "bob@elsewhere.example", true),
		"carol":   person("carol", "carol@elsewhere.example", true),
		"mallory": person("mallory", "carol@example.com", false),
		"nobody":  person("nobody", "", false),
	}
}

func (p people) GetUserByUsername(name string) *storage.User { return p[name] }
func (p people) ExampleClientID() string                     { return storage.ServiceUserID }
func (p people) GetUserByID(id string) *storage.User {
	for _, user := range p {
		if user.ID == id {
			return user
		}
	}
	return nil
}

// The clients, each with the secret "secret". baton and other are normal clients. The ID tokens of asserting
// contain the person's claims. Those of expired have expired.
const (
	baton     = "baton"
	other     = "other"
	asserting = "asserting"
	expired   = "expired"
)

// store is the example's store, with the settings that its clients lack.
type store struct {
	*storage.Storage

	signedOut string
}

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err //nolint:wrapcheck // the provider sends the error as it is
	}
	return client{c, s.signedOut}, nil
}

type client struct {
	op.Client

	signedOut string
}

func (c client) PostLogoutRedirectURIs() []string     { return []string{c.signedOut} }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return c.GetID() == asserting }
func (c client) LoginURL(id string) string            { return "/login?id=" + id }
func (c client) IDTokenLifetime() time.Duration {
	if c.GetID() == expired {
		return -time.Hour
	}
	return time.Hour
}

func newProvider(issuer, redirect, signedOut string) (http.Handler, error) {
	for _, id := range []string{baton, other, asserting, expired} {
		storage.RegisterClients(storage.WebClient(id, "secret", redirect))
	}
	s := store{storage.NewStorage(everybody()), signedOut}
	config := &op.Config{CodeMethodS256: true, DefaultLogoutRedirectURI: "/signed-out"}
	provider, err := op.NewProvider(config, s, op.StaticIssuer(issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, fmt.Errorf("make the provider: %w", err)
	}
	l := login{s, provider, op.AuthCallbackURL(provider)}
	issued := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", l.show)
	mux.Handle("POST /login", issued.HandlerFunc(l.check))
	mux.Handle("POST /deny", issued.HandlerFunc(l.deny))
	mux.Handle("/", provider)
	return mux, nil
}

type login struct {
	store    store
	provider *op.Provider
	callback func(context.Context, string) string
}

var page = template.Must(template.New("login").Parse(`<!doctype html><title>Sign in</title>{{with .Error}}<p role="alert">{{.}}</p>{{end}}
<form method="post" action="/login"><input type="hidden" name="id" value="{{.ID}}"><label>Name <input name="username"></label>
<label>Password <input name="password" type="password"></label><button>Sign in</button></form>
<form method="post" action="/deny"><input type="hidden" name="id" value="{{.ID}}"><button>Deny</button></form>`))

func (l login) show(w http.ResponseWriter, r *http.Request) { showLogin(w, r.FormValue("id"), "") }

func showLogin(w http.ResponseWriter, id, mistake string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, map[string]string{"ID": id, "Error": mistake}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (l login) check(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	if err := l.store.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
		showLogin(w, id, err.Error())
		return
	}
	http.Redirect(w, r, l.callback(r.Context(), id), http.StatusFound)
}

func (l login) deny(w http.ResponseWriter, r *http.Request) {
	request, err := l.store.AuthRequestByID(r.Context(), r.FormValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	op.AuthRequestError(w, r, request, oidc.ErrAccessDenied().WithDescription("the person denied it"), l.provider)
}
