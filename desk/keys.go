package desk

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/seclog"
)

// KeyRole is what the holder of an API key may do.
type KeyRole string

// A service may do everything, a supervisor read and move all conversations, and an agent act only
// as the one agent that the key is bound to.
const (
	KeyService    KeyRole = "service"
	KeySupervisor KeyRole = "supervisor"
	KeyAgent      KeyRole = "agent"
)

// KeyRoles returns every role.
func KeyRoles() []KeyRole { return []KeyRole{KeyService, KeySupervisor, KeyAgent} }

// DefaultRateLimit is how many requests a second may come with one API key, or with the auth token.
const DefaultRateLimit = 1000

const maxRateLimit = 1_000_000

// Key is an API key, without its secret: of that only a hash is kept.
type Key struct {
	SID string `json:"sid"`
	// Name says whose it is, for people; it stands as "by" beside what is done with it for others.
	Name string  `json:"name"`
	Role KeyRole `json:"role"`
	// Agent is whom a key of the role agent is bound to.
	Agent string `json:"agent,omitempty"`
	// RateLimit is how many requests a second may come with it; DefaultRateLimit where it is left out.
	RateLimit int       `json:"rate_limit"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	// LastUsedAt is when a request last came with it, to the minute; zero for never.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// ErrCredentials is what wrong credentials get, in whichever way they are wrong.
var ErrCredentials = errors.New("the credentials are wrong")

// AddKey adds an API key and returns its secret, which can't be read again. Refusals:
// invalid_payload, unknown_agent.
func (d *Desk) AddKey(ctx context.Context, k Key) (added Key, secret string, err error) {
	if k.RateLimit == 0 {
		k.RateLimit = DefaultRateLimit
	}
	if refusal := validKey(&k); refusal != nil {
		return Key{}, "", refusal
	}
	k.SID, secret = conversation.SIDOf(PrefixKey, uuid.New()), newToken()
	k.CreatedAt, k.RevokedAt, k.LastUsedAt = d.now().UTC(), time.Time{}, time.Time{}
	err = d.exclusiveTx(ctx, "add an API key", func(t *transaction) error {
		if k.Role == KeyAgent {
			if err := t.knowAgent(ctx, k.Agent); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, `INSERT INTO api_keys (sid, name, role, agent, secret_hash, rate_limit, created_at, revoked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
			k.SID, k.Name, string(k.Role), k.Agent, hashSecret(secret), k.RateLimit, micros(k.CreatedAt))
		if err != nil {
			return err
		}
		t.secure(ctx, seclog.Entry{Event: seclog.KeyAdded, Subject: k.SID, Reason: string(k.Role)})
		return t.audit(ctx, micros(k.CreatedAt), changed{"key.added", k.SID, "", k.summary()})
	})
	return k, secret, err
}

func validKey(k *Key) *conversation.Refusal {
	switch {
	case !slices.Contains(KeyRoles(), k.Role):
		return invalid("role", "there is no role %q: choose %s, %s or %s", k.Role, KeyService, KeySupervisor, KeyAgent)
	case k.Role == KeyAgent && k.Agent == "":
		return invalid("agent", "a key of the role agent is bound to one agent: name them")
	case k.Role != KeyAgent && k.Agent != "":
		return invalid("agent", "only a key of the role agent is bound to an agent: leave the agent out, or choose that role")
	case k.RateLimit < 0 || k.RateLimit > maxRateLimit:
		return invalid("rate_limit", "a rate of %d is not possible: choose 1 to %d requests a second", k.RateLimit, maxRateLimit)
	}
	return cleanName("key", &k.Name)
}

const selectKeys = `SELECT sid, name, role, agent, rate_limit, created_at, revoked_at, last_used_at, secret_hash FROM api_keys`

// storedKey is a key and the hash of its secret.
type storedKey struct {
	Key

	hash string
}

func scanKey(r row) (k storedKey, err error) {
	err = r.Scan(&k.SID, &k.Name, &k.Role, &k.Agent, &k.RateLimit, instant{&k.CreatedAt}, instant{&k.RevokedAt}, instant{&k.LastUsedAt}, &k.hash)
	return k, err
}

// Keys returns the API keys, oldest first, the revoked ones too.
func (d *Desk) Keys(ctx context.Context) ([]Key, error) {
	keys := []Key{}
	err := d.readTx(ctx, "read the API keys", func(t *transaction) error {
		stored, err := all(ctx, t, scanKey, selectKeys+` ORDER BY created_at, sid`)
		for _, k := range stored {
			keys = append(keys, k.Key)
		}
		return err
	})
	return keys, err
}

// RevokeKey makes the key worthless from now on; again, it does no harm. Refused with invalid_payload: a SID that is no key's.
func (d *Desk) RevokeKey(ctx context.Context, sid string) error {
	return d.exclusiveTx(ctx, "revoke an API key", func(t *transaction) error {
		keys, err := all(ctx, t, scanKey, selectKeys+` WHERE sid = $1`, sid)
		if err == nil && len(keys) == 0 {
			return invalid("sid", "there is no key %q: see the list of keys", sid)
		}
		if err != nil {
			return err
		}
		return t.revoke(ctx, micros(d.now()), keys)
	})
}

// revoke makes those of the keys worthless that aren't yet.
func (t *transaction) revoke(ctx context.Context, now int64, keys []storedKey) error {
	for _, k := range keys {
		revoked, err := t.exec(ctx, `UPDATE api_keys SET revoked_at = $2 WHERE sid = $1 AND revoked_at = 0`, k.SID, now)
		if err != nil {
			return err
		}
		if revoked == 0 {
			continue
		}
		t.secure(ctx, seclog.Entry{Event: seclog.KeyRevoked, Subject: k.SID, Reason: string(k.Role)})
		if err := t.audit(ctx, now, changed{"key.revoked", k.SID, k.summary(), ""}); err != nil {
			return err
		}
	}
	return nil
}

// Authenticate returns the API key with that SID and secret, or [ErrCredentials] for one that isn't
// there, is revoked or has another secret: the time it takes doesn't tell which.
func (d *Desk) Authenticate(ctx context.Context, sid, secret string) (Key, error) {
	given := hashSecret(secret)
	var found storedKey
	err := d.queryOne(ctx, "read an API key", func(t *transaction) (err error) {
		found, _, err = firstRow(ctx, t, scanKey, selectKeys+` WHERE sid = $1`, sid)
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
	d.noteUse(ctx, found.Key)
	return found.Key, nil
}

// useNoted is how exactly it is known when a key was last used.
const useNoted = time.Minute

// keyUses is when this process last recorded the use of each key, by its SID.
type keyUses struct {
	mutex sync.Mutex
	at    map[string]time.Time
}

// due tells whether the use is to be recorded, once a minute for each key.
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

// noteUse records that the key is used. A request isn't refused because that failed.
func (d *Desk) noteUse(ctx context.Context, k Key) {
	now := d.now()
	if now.Sub(k.LastUsedAt) < useNoted || !d.used.due(k.SID, now) {
		return
	}
	err := d.sharedTx(ctx, "record the use of an API key", func(t *transaction) error {
		_, err := t.exec(ctx, `UPDATE api_keys SET last_used_at = $2 WHERE sid = $1 AND last_used_at <= $3`, k.SID, micros(now), micros(now.Add(-useNoted)))
		return err
	})
	if err != nil {
		d.log.WarnContext(ctx, "use of a key not recorded", "key", k.SID, "error", err)
	}
}

// hashSecret hashes a secret that is random itself: no salt and no slowness would add anything.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
