package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// tokenBytes is the number of random bytes in an auth token or a key's secret.
const tokenBytes = 16

// DefaultWorkspaceName is the workspace's name until it is renamed.
const DefaultWorkspaceName = "Baton"

// Account is the account of the HTTP API. A desk has one, with one workspace.
type Account struct {
	SID string
	// AuthToken is the account's password. It also signs the webhooks until they have a secret of their own.
	AuthToken string
	// Webhook signs the webhooks instead of the auth token. It is zero until [RenewWebhookSecret].
	Webhook   WebhookSecret
	Workspace Workspace
	CreatedAt time.Time
	UpdatedAt time.Time
}

// WebhookSecret is the secret that signs the webhooks and, during a renewal, the next one.
type WebhookSecret struct {
	// Current is empty until the first secret is in use. Next replaces it at NextAt, and is empty while no renewal
	// is in progress.
	Current, Next string
	NextAt        time.Time
}

// Signing returns the secrets that sign a webhook at that time: the one that receivers have, and the one that will
// replace it, which is empty while no renewal is in progress.
func (a Account) Signing(now time.Time) (current, next string) {
	w := a.Webhook.at(now)
	return cmp.Or(w.Current, a.AuthToken), w.Next
}

// Signing returns the secrets that sign a webhook now, see [Account.Signing].
func Signing(d *desk.Desk, a Account) (current, next string) { return a.Signing(d.Now()) }

// at returns the secret at that time: after a renewal the next secret is the current one.
func (w WebhookSecret) at(now time.Time) WebhookSecret {
	if w.Next != "" && !now.Before(w.NextAt) {
		return WebhookSecret{Current: w.Next}
	}
	return w
}

// Workspace holds the settings of the account's workspace.
type Workspace struct {
	FriendlyName string
	// EventCallbackURL receives the events as webhooks; if it is empty, none are sent.
	EventCallbackURL string
	// EventsFilter holds the names of the events to be sent; if it is empty, all are sent.
	EventsFilter []string
}

// ReadAccount returns the account. The first call creates it, with its own auth token.
func ReadAccount(ctx context.Context, d *desk.Desk) (Account, error) {
	var account Account
	var found bool
	err := d.QueryOne(ctx, "read the account", func(tx *desk.Tx) (err error) {
		account, found, err = ReadAccountTx(ctx, tx)
		return err
	})
	if err != nil || found {
		return account, err
	}
	err = d.ExclusiveTx(ctx, "make the account", func(tx *desk.Tx) error {
		now := sqldb.Micros(d.Now())
		_, err := tx.Exec(ctx, `INSERT INTO account (id, sid, auth_token, workspace_name, event_callback_url, events_filter, created_at, updated_at)
			VALUES (1, $1, $2, $3, '', '', $4, $4) ON CONFLICT (id) DO NOTHING`,
			conversation.SIDOf(desk.PrefixAccount, uuid.New()), tx.Sealed(desk.AccountToken, desk.AccountRow, newToken()), DefaultWorkspaceName, now)
		if err != nil {
			return err
		}
		account, _, err = ReadAccountTx(ctx, tx)
		return err
	})
	return account, err
}

// RenewAuthToken gives the account a new auth token. The old one is no longer valid.
func RenewAuthToken(ctx context.Context, d *desk.Desk) (Account, error) {
	if _, err := ReadAccount(ctx, d); err != nil {
		return Account{}, err
	}
	var account Account
	err := d.ExclusiveTx(ctx, "renew the auth token", func(tx *desk.Tx) error {
		now := sqldb.Micros(d.Now())
		if _, err := tx.Exec(ctx, `UPDATE account SET auth_token = $1, updated_at = $2 WHERE id = 1`, tx.Sealed(desk.AccountToken, desk.AccountRow, newToken()), now); err != nil {
			return err
		}
		tx.Secure(ctx, seclog.Entry{Event: seclog.AuthTokenRenewed})
		if err := tx.Audit(ctx, now, desk.Changed{What: "account.auth_token", After: "renewed"}); err != nil {
			return err
		}
		var err error
		account, _, err = ReadAccountTx(ctx, tx)
		return err
	})
	return account, err
}

// maxWebhookOverlap limits how long webhooks are signed with two secrets.
const maxWebhookOverlap = 30 * 24 * time.Hour

// RenewWebhookSecret creates a new secret to sign webhooks with, and returns the account and that secret. During
// the overlap webhooks are signed with both secrets, then only with the new one. Refused with invalid_payload: an
// overlap that is negative or longer than 30 days, or a nonzero one while another renewal is in progress.
func RenewWebhookSecret(ctx context.Context, d *desk.Desk, overlap time.Duration) (_ Account, secret string, err error) {
	if overlap < 0 || overlap > maxWebhookOverlap {
		return Account{}, "", desk.Invalid("overlap", "an overlap of %s is not possible: choose 0 to 720h", overlap)
	}
	if _, err := ReadAccount(ctx, d); err != nil {
		return Account{}, "", err
	}
	secret = newToken()
	var account Account
	err = d.ExclusiveTx(ctx, "renew the webhooks' secret", func(tx *desk.Tx) error {
		var err error
		if account, _, err = ReadAccountTx(ctx, tx); err != nil {
			return err
		}
		now := d.Now()
		w := account.Webhook.at(now)
		if w.Next != "" && overlap > 0 {
			return desk.Invalid("overlap", "a renewal is under way until %s: renew again after that, or at once with an overlap of 0", w.NextAt.UTC().Format(time.RFC3339))
		}
		w.Next, w.NextAt = secret, now.Add(overlap)
		if overlap == 0 {
			w = WebhookSecret{Current: secret}
		}
		if _, err := tx.Exec(ctx, `UPDATE account SET webhook_secret = $1, webhook_secret_next = $2, webhook_secret_next_at = $3, updated_at = $4 WHERE id = 1`,
			tx.Sealed(desk.AccountWebhook, desk.AccountRow, w.Current), tx.Sealed(desk.AccountWebhookNext, desk.AccountRow, w.Next), sqldb.Micros(w.NextAt), sqldb.Micros(now)); err != nil {
			return err
		}
		tx.Secure(ctx, seclog.Entry{Event: seclog.WebhookSecretRenewed})
		if err := tx.Audit(ctx, sqldb.Micros(now), desk.Changed{What: "account.webhook_secret", After: "renewed, overlap " + overlap.String()}); err != nil {
			return err
		}
		account, _, err = ReadAccountTx(ctx, tx)
		return err
	})
	return account, secret, err
}

// NoteSecretShown records in the audit list and the security log that a secret was displayed. The secret has a
// name, such as "auth_token".
func NoteSecretShown(ctx context.Context, d *desk.Desk, name string) error {
	return d.ExclusiveTx(ctx, "record that a secret was shown", func(tx *desk.Tx) error {
		tx.Secure(ctx, seclog.Entry{Event: seclog.SecretShown, Subject: name})
		return tx.Audit(ctx, sqldb.Micros(d.Now()), desk.Changed{What: "account." + name, After: "shown"})
	})
}

// SetWorkspace changes the workspace. It may call the function more than once. Refused with invalid_payload: a URL
// that is not http or https, an unknown event.
func SetWorkspace(ctx context.Context, d *desk.Desk, change func(*Workspace)) (Account, error) {
	if _, err := ReadAccount(ctx, d); err != nil {
		return Account{}, err
	}
	var account Account
	err := d.ExclusiveTx(ctx, "change the workspace", func(tx *desk.Tx) error {
		var err error
		if account, _, err = ReadAccountTx(ctx, tx); err != nil {
			return err
		}
		before := account.Workspace
		change(&account.Workspace)
		if refusal := validWorkspace(&account.Workspace); refusal != nil {
			return refusal
		}
		w, now := account.Workspace, sqldb.Micros(d.Now())
		if err := auditWorkspace(ctx, tx, now, before, w); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `UPDATE account SET workspace_name = $1, event_callback_url = $2, events_filter = $3, updated_at = $4 WHERE id = 1`,
			w.FriendlyName, tx.Sealed(desk.AccountCallback, desk.AccountRow, w.EventCallbackURL), strings.Join(w.EventsFilter, ","), now); err != nil {
			return err
		}
		account, _, err = ReadAccountTx(ctx, tx)
		return err
	})
	return account, err
}

func auditWorkspace(ctx context.Context, tx *desk.Tx, now int64, before, after Workspace) error {
	if before.EventCallbackURL != after.EventCallbackURL { // also if only its hidden parts differ
		c := desk.Changed{What: "workspace.event_callback_url", Before: bare(before.EventCallbackURL), After: bare(after.EventCallbackURL)}
		if err := tx.Record(ctx, now, c); err != nil {
			return err
		}
	}
	return tx.Audit(ctx, now,
		desk.Changed{What: "workspace.friendly_name", Before: before.FriendlyName, After: after.FriendlyName},
		desk.Changed{What: "workspace.events_filter", Before: strings.Join(before.EventsFilter, ", "), After: strings.Join(after.EventsFilter, ", ")})
}

// maxCallbackURL is the maximum length of the event callback URL, in characters.
const maxCallbackURL = 2048

func validWorkspace(w *Workspace) *conversation.Refusal {
	if refusal := desk.CleanName("workspace", &w.FriendlyName); refusal != nil {
		return refusal
	}
	if w.EventCallbackURL != "" {
		to, err := url.Parse(w.EventCallbackURL)
		if err != nil || (to.Scheme != "http" && to.Scheme != "https") || to.Host == "" {
			return desk.Invalid("event_callback_url", "the event callback URL has to be an absolute http or https URL, as in https://example.com/events")
		}
		if length := utf8.RuneCountInString(w.EventCallbackURL); length > maxCallbackURL {
			return desk.Invalid("event_callback_url", "the event callback URL has %d characters: shorten it to at most %d", length, maxCallbackURL)
		}
	}
	for _, name := range w.EventsFilter {
		if !desk.IsEventName(name) {
			return desk.Invalid("events_filter", "there is no event %q: docs/http.md lists the names of events", name)
		}
	}
	return nil
}

// ReadAccountTx returns the account, and whether there is one.
func ReadAccountTx(ctx context.Context, tx *desk.Tx) (Account, bool, error) {
	return sqldb.First(ctx, tx, func(r sqldb.Row) (a Account, err error) {
		filter, id := "", desk.AccountRow
		err = r.Scan(&a.SID, sqldb.Opened(desk.AccountToken, &id, &a.AuthToken), &a.Workspace.FriendlyName,
			sqldb.Opened(desk.AccountCallback, &id, &a.Workspace.EventCallbackURL), &filter, sqldb.Instant(&a.CreatedAt), sqldb.Instant(&a.UpdatedAt),
			sqldb.Opened(desk.AccountWebhook, &id, &a.Webhook.Current), sqldb.Opened(desk.AccountWebhookNext, &id, &a.Webhook.Next), sqldb.Instant(&a.Webhook.NextAt))
		if filter != "" {
			a.Workspace.EventsFilter = strings.Split(filter, ",")
		}
		return a, err
	}, `SELECT sid, auth_token, workspace_name, event_callback_url, events_filter, created_at, updated_at,
		webhook_secret, webhook_secret_next, webhook_secret_next_at FROM account WHERE id = 1`)
}

// newToken returns a new secret of letters and digits only, because Twilio's helper libraries require that of
// credentials.
func newToken() string {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

// bare returns a URL's scheme and host, without parts that may be secret: a password, a path, a query.
func bare(address string) string {
	to, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	host := to.Scheme + "://" + to.Host
	if host != address {
		host += "/…"
	}
	return host
}
