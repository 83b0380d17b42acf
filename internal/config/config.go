// Package config says what Baton's programs read from their environment and flags, and where things
// are by default. It only reads; what is Temporal's own is read by internal/temporalenv.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DefaultData is the folder that `starter dev` keeps everything in.
const DefaultData = ".baton"

// The addresses of `starter dev`.
const (
	DefaultTemporal = "127.0.0.1:7233"
	DefaultUI       = "127.0.0.1:8233"
	DefaultHTTP     = "127.0.0.1:8080"
)

// Config says where the desk and the Temporal server are.
type Config struct {
	// Database is the desk's: sqlite:PATH.
	Database string
	// Temporal is the server's address; empty: as Temporal's environment configuration says.
	Temporal string
	// Namespace is Temporal's; empty: likewise.
	Namespace string
}

// Data returns the data folder: the one given, else BATON_DATA, else [DefaultData].
func Data(getenv func(string) string, given string) string {
	return cmp.Or(given, getenv("BATON_DATA"), DefaultData)
}

// Load reads BATON_DATABASE and the data folder (see [Data]). Where nothing tells the Temporal
// server's address, it is that of the dev server that has last run on the data folder.
func Load(getenv func(string) string, data string) (Config, error) {
	data = Data(getenv, data)
	c := Config{Database: getenv("BATON_DATABASE")}
	if c.Database == "" {
		c.Database = Database(data)
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

// Gateway says where the gateway listens, and what its webhooks may do.
type Gateway struct {
	// Address is BATON_HTTP, or [DefaultHTTP].
	Address string
	// WebhookAllow is BATON_WEBHOOK_ALLOW: the addresses, as 10.1.0.0/16,192.168.7.9, that webhooks may
	// go to though they are no public ones.
	WebhookAllow string
	// WebhookRedirects is BATON_WEBHOOK_REDIRECTS: whether webhooks follow redirects.
	WebhookRedirects bool
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
	return g, nil
}

// Database returns the desk's database in a data folder.
func Database(data string) string { return "sqlite:" + filepath.Join(data, "desk.db") }

// TemporalFile returns the dev server's database in a data folder.
func TemporalFile(data string) string { return filepath.Join(data, "temporal.db") }

func addressFile(data string) string { return filepath.Join(data, "temporal-address") }

// NoteAddress keeps the address of the data folder's dev server for whoever loads its configuration.
func NoteAddress(data, address string) error {
	if err := os.WriteFile(addressFile(data), []byte(address+"\n"), 0o600); err != nil {
		return fmt.Errorf("note where the dev server listens: %w", err)
	}
	return nil
}
