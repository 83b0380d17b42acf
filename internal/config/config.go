// Package config reads the environment and the flags of Baton's programs, and defines default locations. It changes
// nothing but the file of [NoteAddress]. internal/temporalenv reads Temporal's own variables.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/limit"
)

// defaultData is the folder in which `baton dev` stores all data.
const defaultData = ".baton"

// The default addresses of `baton dev`.
const (
	DefaultTemporal = "127.0.0.1:7233"
	DefaultUI       = "127.0.0.1:8233"
	DefaultHTTP     = "127.0.0.1:8080"
)

// Config says where the desk and the Temporal server are.
type Config struct {
	// Database is the desk's database: sqlite:PATH or postgres://USER@HOST/DATABASE.
	Database string
	// Temporal is the address of the Temporal server; empty means the one in Temporal's environment configuration.
	Temporal string
	// Namespace is the Temporal namespace; empty means the one in Temporal's environment configuration.
	Namespace string
}

// Data returns the data folder: the given one, else BATON_DATA, else [defaultData].
func Data(getenv func(string) string, given string) string {
	return cmp.Or(given, getenv("BATON_DATA"), defaultData)
}

// Load reads BATON_DATABASE and the data folder (see [Data]). If the environment does not set the Temporal server's
// address, it uses that of the dev server that last ran on the data folder.
func Load(getenv func(string) string, data string) (Config, error) {
	data = Data(getenv, data)
	c := Config{Database: getenv("BATON_DATABASE")}
	if c.Database == "" {
		c.Database = Database(data)
	}
	if err := CheckDatabase("BATON_DATABASE", c.Database); err != nil {
		return c, err
	}
	if getenv("TEMPORAL_ADDRESS") != "" || getenv("TEMPORAL_PROFILE") != "" || getenv("TEMPORAL_CONFIG_FILE") != "" {
		return c, nil
	}
	address, err := os.ReadFile(addressFile(data))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("read where the dev server of %s listens: %w", data, err)
	}
	c.Temporal = strings.TrimSpace(string(address))
	return c, nil
}

// Gateway configures the gateway: its addresses, sign-in, limits and webhooks.
type Gateway struct {
	// Address is BATON_HTTP, or [DefaultHTTP].
	Address string
	// WebhookAllow is BATON_WEBHOOK_ALLOW: non-public addresses that webhooks may be sent to, such as
	// 10.1.0.0/16,192.168.7.9.
	WebhookAllow string
	// WebhookRedirects is BATON_WEBHOOK_REDIRECTS: whether webhooks follow redirects.
	WebhookRedirects bool
	// URL is BATON_URL: the gateway's public address without a path, such as https://baton.example.com; empty if
	// not set.
	URL string
	// OIDC is the provider that people sign in to the pages with; zero means none.
	OIDC OIDC
	// SessionIdle is BATON_SESSION_IDLE: the time without a request after which a person is signed out.
	SessionIdle time.Duration
	// TemporalUI is BATON_TEMPORAL_UI: the prefix of a workflow's page in the Temporal Web UI, to which its ID is
	// added, such as https://temporal.example.com/namespaces/default/workflows/. Empty means no links.
	TemporalUI string
	// TrustedProxies are BATON_TRUSTED_PROXIES: the networks, such as 10.1.0.0/16,192.168.7.9, whose
	// X-Forwarded-For and X-Forwarded-Proto headers are used.
	TrustedProxies []netip.Prefix
	// Limits are the BATON_LIMIT_ variables; a zero pace means not set.
	Limits Limits
	// CodecOrigins are BATON_CODEC_ORIGINS: the origins whose pages may call the codec server, such as
	// https://temporal.example.com.
	CodecOrigins []string
}

// Limits are rate limits: for each address or chat, and in total.
type Limits struct {
	// Chats is BATON_LIMIT_CHATS, ChatsTotal BATON_LIMIT_CHATS_TOTAL, and so on.
	Chats, ChatsTotal, SignIns, SignInsTotal, Messages, MessagesTotal, Credentials, CredentialsTotal limit.Pace
}

func loadLimits(getenv func(string) string) (l Limits, err error) {
	for _, setting := range []struct {
		variable string
		into     *limit.Pace
	}{
		{"BATON_LIMIT_CHATS", &l.Chats},
		{"BATON_LIMIT_CHATS_TOTAL", &l.ChatsTotal},
		{"BATON_LIMIT_SIGN_INS", &l.SignIns},
		{"BATON_LIMIT_SIGN_INS_TOTAL", &l.SignInsTotal},
		{"BATON_LIMIT_MESSAGES", &l.Messages},
		{"BATON_LIMIT_MESSAGES_TOTAL", &l.MessagesTotal},
		{"BATON_LIMIT_CREDENTIALS", &l.Credentials},
		{"BATON_LIMIT_CREDENTIALS_TOTAL", &l.CredentialsTotal},
	} {
		given := strings.TrimSpace(getenv(setting.variable))
		if given == "" {
			continue
		}
		if *setting.into, err = limit.ParsePace(given); err != nil {
			return Limits{}, fmt.Errorf("%s: %w", setting.variable, err)
		}
	}
	return l, nil
}

// OIDC is an OpenID Connect provider, and the gateway's client credentials there.
type OIDC struct {
	// Issuer is BATON_OIDC_ISSUER, ClientID and ClientSecret are BATON_OIDC_CLIENT_ID and
	// BATON_OIDC_CLIENT_SECRET; a public client has no secret.
	Issuer, ClientID, ClientSecret string
	// Claim is BATON_OIDC_CLAIM: the claim with a person's name; empty means the default claim.
	Claim string
	// Domain is BATON_OIDC_DOMAIN: the required part of a name after the @, which is removed; empty means that
	// names have no domain.
	Domain string
}

// LoadGateway reads the gateway's environment.
func LoadGateway(getenv func(string) string) (Gateway, error) {
	g := Gateway{Address: cmp.Or(getenv("BATON_HTTP"), DefaultHTTP), WebhookAllow: getenv("BATON_WEBHOOK_ALLOW")}
	switch redirects := getenv("BATON_WEBHOOK_REDIRECTS"); redirects {
	case "", "off":
	case "on":
		g.WebhookRedirects = true
	default:
		return g, fmt.Errorf("BATON_WEBHOOK_REDIRECTS is %q: set it to on or off", redirects)
	}
	public, err := loadURL(getenv("BATON_URL"))
	if err != nil {
		return g, err
	}
	g.URL = public
	if g.TemporalUI, err = loadTemporalUI(getenv("BATON_TEMPORAL_UI")); err != nil {
		return g, err
	}
	if g.TrustedProxies, err = forwarded.ParseProxies(getenv("BATON_TRUSTED_PROXIES")); err != nil {
		return g, fmt.Errorf("BATON_TRUSTED_PROXIES: %w", err)
	}
	if g.Limits, err = loadLimits(getenv); err != nil {
		return g, err
	}
	if g.SessionIdle, err = loadIdle(getenv("BATON_SESSION_IDLE")); err != nil {
		return g, err
	}
	if g.CodecOrigins, err = loadOrigins(getenv("BATON_CODEC_ORIGINS")); err != nil {
		return g, err
	}
	g.OIDC, err = loadOIDC(getenv, public)
	return g, err
}

// The limits of BATON_SESSION_IDLE.
const (
	shortestIdle = 5 * time.Minute
	longestIdle  = 12 * time.Hour
)

// loadIdle parses a duration such as 30m or 4h; zero if the text is empty.
func loadIdle(given string) (time.Duration, error) {
	if given == "" {
		return 0, nil
	}
	idle, err := time.ParseDuration(given)
	if err != nil || idle < shortestIdle || idle > longestIdle {
		return 0, fmt.Errorf("BATON_SESSION_IDLE is %q: set it to a time from 5m to 12h, as 4h", given)
	}
	return idle, nil
}

func loadURL(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	public, err := secureURL("BATON_URL", given)
	if err != nil {
		return "", err
	}
	if strings.Trim(public.Path, "/") != "" {
		return "", fmt.Errorf("BATON_URL has the path %s: serve the pages at the root of a host, as https://baton.example.com", public.Path)
	}
	return origin(public), nil
}

// origin returns an address as browsers write it in the header Origin: in lower case, without the scheme's default
// port.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host
}

// CheckReach refuses a gateway that other machines can reach if its public address is not set. Without it, cookies
// would go over plain HTTP, and addresses in answers would use any host name that a client sends. setting names the
// setting of the address, for the error.
func CheckReach(setting, address, public string) error {
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return fmt.Errorf("%s is %q: set it to an address and a port, as 127.0.0.1:8080", setting, address)
	case IsLoopback(host) || public != "":
		return nil
	}
	return fmt.Errorf("BATON_URL is missing, and the gateway listens on %s, beyond this machine: set BATON_URL to its public address, as https://baton.example.com, or listen on 127.0.0.1", address)
}

func loadOrigins(given string) ([]string, error) {
	var origins []string
	for entry := range strings.SplitSeq(given, ",") {
		if entry = strings.TrimSuffix(strings.TrimSpace(entry), "/"); entry == "" {
			continue
		}
		u, err := secureURL("BATON_CODEC_ORIGINS", entry)
		if err != nil {
			return nil, err
		}
		if u.Path != "" {
			return nil, fmt.Errorf("BATON_CODEC_ORIGINS has the path %s: name the scheme and the host alone, as https://temporal.example.com", u.Path)
		}
		origins = append(origins, origin(u))
	}
	return origins, nil
}

func loadTemporalUI(given string) (string, error) {
	u, err := url.Parse(given)
	switch {
	case given == "":
		return "", nil
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "", errors.New("BATON_TEMPORAL_UI is not an address: set it to the list of workflows, as https://temporal.example.com/namespaces/default/workflows/")
	}
	return strings.TrimSuffix(given, "/") + "/", nil
}

func loadOIDC(getenv func(string) string, public string) (OIDC, error) {
	o := OIDC{
		Issuer: getenv("BATON_OIDC_ISSUER"), ClientID: getenv("BATON_OIDC_CLIENT_ID"), ClientSecret: getenv("BATON_OIDC_CLIENT_SECRET"),
		Claim: getenv("BATON_OIDC_CLAIM"), Domain: getenv("BATON_OIDC_DOMAIN"),
	}
	switch {
	case o == OIDC{}:
		return o, nil
	case o.Issuer == "":
		return OIDC{}, errors.New("BATON_OIDC_ISSUER is missing: set it to the provider's issuer, as https://login.example.com, or unset the other BATON_OIDC_ variables")
	case o.ClientID == "":
		return OIDC{}, errors.New("BATON_OIDC_CLIENT_ID is missing: set it to the ID that the provider has given Baton as a client")
	case public == "":
		return OIDC{}, errors.New("BATON_URL is missing: set it to the gateway's public address, as https://baton.example.com, to which the provider sends people back")
	case strings.ContainsAny(o.Domain, "@ /"):
		return OIDC{}, fmt.Errorf("BATON_OIDC_DOMAIN is %q: set it to a domain alone, as example.com", o.Domain)
	}
	if _, err := secureURL("BATON_OIDC_ISSUER", o.Issuer); err != nil {
		return OIDC{}, err
	}
	return o, nil
}

// secureURL parses an address that secrets are sent to: it must use TLS, or be on this machine.
func secureURL(variable, given string) (*url.URL, error) {
	u, err := url.Parse(given)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s is not an address: set it to one as https://name.example.com", variable)
	case u.Scheme == "https", u.Scheme == "http" && IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s begins with %s://: use https://, because names and sessions are sent over it; use http:// only on this machine, as http://127.0.0.1:8080", variable, u.Scheme)
}

// IsLoopback reports whether a host is this machine's loopback.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || (err == nil && ip.IsLoopback())
}

// Database returns the desk's database in a data folder.
func Database(data string) string { return "sqlite:" + filepath.Join(data, "desk.db") }

// TemporalFile returns the dev server's database in a data folder.
func TemporalFile(data string) string { return filepath.Join(data, "temporal.db") }

// CheckDatabase refuses a database that is neither sqlite:PATH nor a PostgreSQL URL, because a mistyped one would
// create a new, empty desk. setting names the setting, for the error. The error shows only the scheme, because a
// URL may contain a password.
func CheckDatabase(setting, database string) error {
	scheme, rest, _ := strings.Cut(database, ":")
	address, isURL := strings.CutPrefix(rest, "//")
	switch {
	case scheme == "sqlite" && rest != "" && !isURL:
		return nil
	case (scheme == "postgres" || scheme == "postgresql") && isURL && address != "":
		return nil
	}
	const forms = "use sqlite:PATH, as in sqlite:.baton/desk.db, or postgres://USER@HOST/DATABASE"
	if isURL {
		return fmt.Errorf("%s begins with %s://: %s", setting, scheme, forms)
	}
	return fmt.Errorf("%s is not the address of a database: %s", setting, forms)
}

func addressFile(data string) string { return filepath.Join(data, "temporal-address") }

// NoteAddress stores the address of the data folder's dev server, for later calls of [Load].
func NoteAddress(data, address string) error {
	if err := os.WriteFile(addressFile(data), []byte(address+"\n"), 0o600); err != nil {
		return fmt.Errorf("note where the dev server listens: %w", err)
	}
	return nil
}
