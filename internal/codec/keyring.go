// Package codec encrypts what leaves the process with customers' words in it: payloads on their way to the
// Temporal server, and texts on their way to the desk's tables. One key ring serves both.
//
// It knows bytes, keys and payloads alone: no conversation, no record of the desk and no environment variable
// may come in. Keys are never in an error or a log; their IDs are.
package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// KeyRing holds the keys: the first encrypts, all of them decrypt. A nil KeyRing has none: it encrypts nothing,
// and refuses what is encrypted. It is safe for concurrent use.
type KeyRing struct {
	keys []key
	// required is set where conversations refuse what is sent to them in clear.
	required bool
}

// Required returns the ring as one with which conversations refuse what is sent to them in clear.
func (r *KeyRing) Required() *KeyRing { return &KeyRing{keys: r.keys, required: true} }

// IsRequired tells whether conversations refuse what is sent to them in clear.
func (r *KeyRing) IsRequired() bool { return r != nil && r.required }

type key struct {
	id string
	// check tells this key from another one that was given the same ID.
	check  string
	secret []byte
	// boundOnly is set where payloads of this key have to name their workflow.
	boundOnly bool
}

const (
	// keyBytes is the length of a key: AES-256.
	keyBytes = 32
	// randomBytes is what each encryption draws: one half derives a key of its own, the other is its nonce. So
	// a key of the ring isn't used up by the 2^32 messages that one AES-GCM key is good for, which a busy
	// contact centre reaches in days.
	randomBytes = 24
	nonceBytes  = 12
	checkBytes  = 4
)

// boundWord is the cut-off in a ring.
const boundWord = "bound"

// keyID is short, so that it fits in every payload's metadata, and has nothing of a text's separators.
var keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// ParseKeyRing reads keys written `id:base64key`, separated by commas or line ends: 32 bytes each, an ID of at most
// 32 letters, digits, - and _. The word "bound" after one or more keys is a cut-off: payloads of the keys before it are
// refused unless they are bound to their workflow, those of the keys after it may be older. No keys are a nil ring. Errors name a key by its place, never by what is written there.
func ParseKeyRing(text string) (*KeyRing, error) {
	ring := &KeyRing{}
	entries := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
	for _, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		place := len(ring.keys) + 1
		if entry == boundWord {
			if len(ring.keys) == 0 {
				return nil, errors.New(`the word "bound" stands before the first key: write it after the keys that it is for`)
			}
			for i := range ring.keys {
				ring.keys[i].boundOnly = true
			}
			continue
		}
		id, encoded, ok := strings.Cut(entry, ":")
		if !ok || !keyID.MatchString(id) {
			return nil, fmt.Errorf("key %d is not written as ID:KEY, with an ID of at most 32 letters, digits, - and _: `starter keyring new` prints one", place)
		}
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil || len(secret) != keyBytes {
			return nil, fmt.Errorf("key %d is not 32 bytes in base64: `starter keyring new` prints one", place)
		}
		if slices.ContainsFunc(ring.keys, func(k key) bool { return k.id == id }) {
			return nil, fmt.Errorf("key %d has the ID of a key before it: give each key an ID of its own", place)
		}
		ring.keys = append(ring.keys, newKey(id, secret))
	}
	if len(ring.keys) == 0 {
		return nil, nil //nolint:nilnil // no keys is a ring that encrypts nothing
	}
	return ring, nil
}

// FreshKey makes a key under that ID, as [ParseKeyRing] reads it.
func FreshKey(id string) (string, error) {
	if !keyID.MatchString(id) {
		return "", errors.New("a key's ID has 1 to 32 letters, digits, - and _, as in 2026-03")
	}
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails
	return id + ":" + base64.StdEncoding.EncodeToString(secret), nil
}

func newKey(id string, secret []byte) key {
	k := key{id: id, secret: secret}
	k.check = hex.EncodeToString(k.mac("check")[:checkBytes])
	return k
}

// IDs returns the keys' IDs, that of the one which encrypts first.
func (r *KeyRing) IDs() []string {
	ids := []string{}
	if r != nil {
		for _, k := range r.keys {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// Empty tells whether there are no keys, so that nothing is encrypted.
func (r *KeyRing) Empty() bool { return r == nil || len(r.keys) == 0 }

// KeyError says that something is encrypted with a key that isn't in the ring. It can be read once it is.
type KeyError struct {
	// ID is the key's; Other is set where the ring has another key under that ID.
	ID    string
	Other bool
}

// MissingKey returns the ID of the key.
func (e *KeyError) MissingKey() string { return e.ID }

// Error names the key, and says what to do.
func (e *KeyError) Error() string {
	if e.Other {
		return fmt.Sprintf("this was encrypted with another key %q than the one configured here: "+
			"configure the same key under that ID everywhere, and a new key under a new ID", e.ID)
	}
	return fmt.Sprintf("this is encrypted with the key %q, which isn't configured here: "+
		"add it to BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE; a key that is no longer the first still belongs there", e.ID)
}

// TamperedError says that something that was encrypted with a key of the ring isn't what it was.
type TamperedError struct{ ID string }

// Error names the key, and says what to do.
func (e *TamperedError) Error() string {
	return fmt.Sprintf("what was encrypted with the key %q was changed or moved afterwards, and can't be read: restore it from a backup", e.ID)
}

// MovedError says that a payload was encrypted for another workflow than the one it was sent to, or, where From is empty,
// for no workflow in particular, which the key ring no longer accepts.
type MovedError struct{ ID, From, To string }

// Error names the workflows, and says what to do.
func (e *MovedError) Error() string {
	if e.From == "" {
		return fmt.Sprintf("what was encrypted with the key %q names no workflow, which the key ring has refused since its cut-off: "+
			"encode it for its workflow with a current build", e.ID)
	}
	return fmt.Sprintf("what was encrypted with the key %q is for the workflow %q and was sent to %q: encode it for that workflow", e.ID, e.From, e.To)
}

// find returns the key that something was encrypted with. The ID and the check come from outside.
func (r *KeyRing) find(id, check string) (key, error) {
	if !keyID.MatchString(id) {
		return key{}, &TamperedError{ID: "?"}
	}
	if r != nil {
		for _, k := range r.keys {
			if k.id == id && k.check == check {
				return k, nil
			}
			if k.id == id {
				return key{}, &KeyError{ID: id, Other: true}
			}
		}
	}
	return key{}, &KeyError{ID: id}
}

// seal encrypts for one use in one place: it can be opened for that alone. The random bytes go before the result.
func (k key) seal(use, place string, random, plain []byte) ([]byte, error) {
	aead, err := k.aead(random)
	if err != nil {
		return nil, err
	}
	sealed := append(make([]byte, 0, randomBytes+len(plain)+aead.Overhead()), random...)
	return aead.Seal(sealed, random[randomBytes-nonceBytes:], plain, k.bound(use, place)), nil
}

func (k key) open(use, place string, sealed []byte) ([]byte, error) {
	if len(sealed) < randomBytes {
		return nil, &TamperedError{ID: k.id}
	}
	random, rest := sealed[:randomBytes], sealed[randomBytes:]
	aead, err := k.aead(random)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, random[randomBytes-nonceBytes:], rest, k.bound(use, place))
	if err != nil {
		return nil, &TamperedError{ID: k.id}
	}
	return plain, nil
}

// aead is AES-256-GCM under the key that the first random bytes derive.
func (k key) aead(random []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.mac("derive", string(random[:randomBytes-nonceBytes])))
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return aead, nil
}

// bound is the additional data: what is encrypted belongs there and to this key.
func (k key) bound(use, place string) []byte {
	return []byte(strings.Join([]string{use, k.id, k.check, place}, "\x00"))
}

// mac is HMAC-SHA256 of the parts, of which only the last may have zeros in it.
func (k key) mac(parts ...string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("baton " + strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

// drawn are random bytes for one encryption.
func drawn() []byte {
	random := make([]byte, randomBytes)
	_, _ = rand.Read(random) // never fails
	return random
}
