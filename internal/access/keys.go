package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// KeyRole determines what the holder of an API key may do.
type KeyRole string

// A service may do everything. A supervisor may read and move all conversations. An agent may act only as the agent
// that the key is bound to.
const (
	KeyService    KeyRole = "service"
	KeySupervisor KeyRole = "supervisor"
	KeyAgent      KeyRole = "agent"
)

// KeyRoles returns every role.
func KeyRoles() []KeyRole { return []KeyRole{KeyService, KeySupervisor, KeyAgent} }

// DefaultRateLimit is the number of requests per second allowed with one API key, or with the auth token.
const DefaultRateLimit = 1000

const maxRateLimit = 1_000_000

// Key is an API key without its secret; the desk stores only a hash of the secret.
type Key struct {
	SID string `json:"sid"`
	// Name says whose key it is, for display. It is recorded as "by" with actions on behalf of others.
	Name string  `json:"name"`
	Role KeyRole `json:"role"`
	// Agent is the agent that a key with the role agent is bound to.
	Agent string `json:"agent,omitempty"`
	// RateLimit is the number of requests per second allowed with the key; zero means DefaultRateLimit.
	RateLimit int       `json:"rate_limit"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	// LastUsedAt is when the key was last used, to the minute; zero means never.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// ErrCredentials is the error for wrong credentials of any kind.
var ErrCredentials = errors.New("the credentials are wrong")

// AddKey adds an API key and returns its secret, which cannot be read again. Refusals: invalid_payload,
// unknown_agent.
func AddKey(ctx context.Context, d *desk.Desk, k Key) (added Key, secret string, err error) {
	if k.RateLimit == 0 {
		k.RateLimit = DefaultRateLimit
	}
	if refusal := validKey(&k); refusal != nil {
		return Key{}, "", refusal
	}
	k.SID, secret = conversation.SIDOf(desk.PrefixKey, uuid.New()), newToken()
	k.CreatedAt, k.RevokedAt, k.LastUsedAt = d.Now().UTC(), time.Time{}, time.Time{}
	err = d.ExclusiveTx(ctx, "add an API key", func(tx *desk.Tx) error {
		if k.Role == KeyAgent {
			if err := desk.RequireAgent(ctx, tx, k.Agent); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO api_keys (sid, name, role, agent, secret_hash, rate_limit, created_at, revoked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
			k.SID, k.Name, string(k.Role), k.Agent, hashSecret(secret), k.RateLimit, sqldb.Micros(k.CreatedAt))
		if err != nil {
			return err
		}
		tx.Secure(ctx, seclog.Entry{Event: seclog.KeyAdded, Subject: k.SID, Reason: string(k.Role)})
		return tx.Audit(ctx, sqldb.Micros(k.CreatedAt), desk.Changed{What: "key.added", Subject: k.SID, After: k.summary()})
	})
	return k, secret, err
}

func validKey(k *Key) *conversation.Refusal {
	switch {
	case !slices.Contains(KeyRoles(), k.Role):
		return desk.Invalid("role", "there is no role %q: choose %s, %s or %s", k.Role, KeyService, KeySupervisor, KeyAgent)
	case k.Role == KeyAgent && k.Agent == "":
		return desk.Invalid("agent", "a key of the role agent is bound to one agent: name them")
	case k.Role != KeyAgent && k.Agent != "":
		return desk.Invalid("agent", "only a key of the role agent is bound to an agent: leave the agent out, or choose that role")
	case k.RateLimit < 0 || k.RateLimit > maxRateLimit:
		return desk.Invalid("rate_limit", "a rate of %d is not possible: choose 1 to %d requests a second", k.RateLimit, maxRateLimit)
	}
	return desk.CleanName("key", &k.Name)
}

const selectKeys = `SELECT sid, name, role, agent, rate_limit, created_at, revoked_at, last_used_at, secret_hash FROM api_keys`

// storedKey is a key and the hash of its secret.
type storedKey struct {
	Key

	hash string
}

func scanKey(r sqldb.Row) (k storedKey, err error) {
	err = r.Scan(&k.SID, &k.Name, &k.Role, &k.Agent, &k.RateLimit, sqldb.Instant(&k.CreatedAt), sqldb.Instant(&k.RevokedAt), sqldb.Instant(&k.LastUsedAt), &k.hash)
	return k, err
}

// ListKeys returns the API keys, oldest first, including revoked ones.
func ListKeys(ctx context.Context, d *desk.Desk) ([]Key, error) {
	keys := []Key{}
	err := d.ReadTx(ctx, "read the API keys", func(tx *desk.Tx) error {
		stored, err := sqldb.All(ctx, tx, scanKey, selectKeys+` ORDER BY created_at, sid`)
		for _, k := range stored {
			keys = append(keys, k.Key)
		}
		return err
	})
	return keys, err
}

// RevokeKey revokes the key. Revoking it again does nothing. Refused with invalid_payload: an unknown SID.
func RevokeKey(ctx context.Context, d *desk.Desk, sid string) error {
	return d.ExclusiveTx(ctx, "revoke an API key", func(tx *desk.Tx) error {
		keys, err := sqldb.All(ctx, tx, scanKey, selectKeys+` WHERE sid = $1`, sid)
		if err == nil && len(keys) == 0 {
			return desk.Invalid("sid", "there is no key %q: see the list of keys", sid)
		}
		if err != nil {
			return err
		}
		return revokeKeys(ctx, tx, sqldb.Micros(d.Now()), keys)
	})
}

// RevokeKeysOf revokes all keys of the agent.
func RevokeKeysOf(ctx context.Context, tx *desk.Tx, agent string, now int64) error {
	keys, err := sqldb.All(ctx, tx, scanKey, selectKeys+` WHERE agent = $1 ORDER BY created_at, sid`, agent)
	if err != nil {
		return err
	}
	return revokeKeys(ctx, tx, now, keys)
}

// revokeKeys revokes those of the keys that are not revoked yet.
func revokeKeys(ctx context.Context, tx *desk.Tx, now int64, keys []storedKey) error {
	for _, k := range keys {
		revoked, err := tx.Exec(ctx, `UPDATE api_keys SET revoked_at = $2 WHERE sid = $1 AND revoked_at = 0`, k.SID, now)
		if err != nil {
			return err
		}
		if revoked == 0 {
			continue
		}
		tx.Secure(ctx, seclog.Entry{Event: seclog.KeyRevoked, Subject: k.SID, Reason: string(k.Role)})
		if err := tx.Audit(ctx, now, desk.Changed{What: "key.revoked", Subject: k.SID, Before: k.summary()}); err != nil {
			return err
		}
	}
	return nil
}

// Authenticator checks the credentials of API keys. It is safe for concurrent use.
type Authenticator struct {
	desk *desk.Desk
	used keyUses
}

// NewAuthenticator returns an authenticator.
func NewAuthenticator(d *desk.Desk) *Authenticator { return &Authenticator{desk: d} }

// Authenticate returns the API key with that SID and secret. It returns [ErrCredentials] if the key does not exist,
// is revoked or has another secret. The time it takes does not show which.
func (a *Authenticator) Authenticate(ctx context.Context, sid, secret string) (Key, error) {
	given := hashSecret(secret)
	var found storedKey
	err := a.desk.QueryOne(ctx, "read an API key", func(tx *desk.Tx) (err error) {
		found, _, err = sqldb.First(ctx, tx, scanKey, selectKeys+` WHERE sid = $1`, sid)
		return err
	})
	if err != nil {
		return Key{}, err
	}
	hash := found.hash
	if hash == "" {
		hash = hashSecret("")
	}
	right := subtle.ConstantTimeCompare([]byte(hash), []byte(given)) == 1
	if !right || found.SID == "" || !found.RevokedAt.IsZero() {
		return Key{}, ErrCredentials
	}
	a.noteUse(ctx, found.Key)
	return found.Key, nil
}

// useNoted is the precision of a key's LastUsedAt.
const useNoted = time.Minute

// keyUses holds when this process last recorded the use of each key, by SID.
type keyUses struct {
	mutex sync.Mutex
	at    map[string]time.Time
}

// due reports whether to record the use: once a minute for each key.
func (u *keyUses) due(sid string, now time.Time) bool {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if last, ok := u.at[sid]; ok && now.Sub(last) < useNoted {
		return false
	}
	if u.at == nil {
		u.at = map[string]time.Time{}
	}
	u.at[sid] = now
	return true
}

// noteUse records that the key was used. An error is logged, because it must not fail the request.
func (a *Authenticator) noteUse(ctx context.Context, k Key) {
	d := a.desk
	now := d.Now()
	if now.Sub(k.LastUsedAt) < useNoted || !a.used.due(k.SID, now) {
		return
	}
	err := d.SharedTx(ctx, "record the use of an API key", func(tx *desk.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE api_keys SET last_used_at = $2 WHERE sid = $1 AND last_used_at <= $3`, k.SID, sqldb.Micros(now), sqldb.Micros(now.Add(-useNoted)))
		return err
	})
	if err != nil {
		d.Log().WarnContext(ctx, "use of a key not recorded", "key", k.SID, "error", err)
	}
}

// hashSecret hashes a secret. It needs no salt and no slow hash, because the secret itself is random.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (k Key) summary() string {
	role := string(k.Role)
	if k.Agent != "" {
		role += " " + k.Agent
	}
	return fmt.Sprintf("%s, %s, %d requests a second", k.Name, role, k.RateLimit)
}
