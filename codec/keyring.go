// Package codec encrypts what customers and agents write before it leaves the process. A [KeyRing] encrypts payloads
// for the Temporal server, and texts for the desk's tables.
//
// A program that talks to encrypted conversations makes its client with [ClientOptions], its workers with
// [WorkerOptions] and its replayers with [NewReplayer], all with the same keys as Baton's worker:
//
//	keys, err := codec.ParseKeyRing(os.Getenv("BATON_ENCRYPTION_KEYS"))
//	…
//	temporal, err := client.Dial(codec.ClientOptions(keys, client.Options{HostPort: address}))
//
// Programs in other languages use Baton's codec server. Errors and logs never contain keys, only their IDs.
//
// Must not import: other packages of Baton than workflows, nor os, because keys come in as parameters.
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

// KeyRing holds encryption keys: the first key encrypts, all keys decrypt. A nil KeyRing has no keys: it encrypts
// nothing, and refuses encrypted data. It is safe for concurrent use.
type KeyRing struct {
	keys []key
	// required is set if conversations refuse messages in clear.
	required bool
}

// Required returns a ring with the same keys, with which conversations refuse messages in clear.
func (r *KeyRing) Required() *KeyRing { return &KeyRing{keys: r.keys, required: true} }

// IsRequired reports whether conversations refuse messages in clear.
func (r *KeyRing) IsRequired() bool { return r != nil && r.required }

type key struct {
	id string
	// check is a fingerprint that distinguishes this key from another key with the same ID.
	check  string
	secret []byte
	// boundOnly is set if payloads of this key must name their workflow.
	boundOnly bool
}

const (
	// keyBytes is the length of a key: AES-256.
	keyBytes = 32
	// randomBytes is how many random bytes each encryption uses: the first half derives a key, the second half is
	// the nonce. With a derived key for each message, a key of the ring is not limited to the 2^32 messages of one
	// AES-GCM key, which a busy contact center reaches in days.
	randomBytes = 24
	nonceBytes  = 12
	checkBytes  = 4
)

// boundWord is the word for the cut-off in a key ring's text.
const boundWord = "bound"

// keyID limits the length of IDs, which every payload's metadata contains, and excludes the separators of sealed
// texts.
var keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// ParseKeyRing parses keys in the form `id:base64key`, separated by commas or line ends. A key has 32 bytes, an ID
// at most 32 letters, digits, - and _. The word "bound" after one or more keys is a cut-off: payloads of the keys
// before it are refused unless they are bound to their workflow; payloads of the keys after it may be unbound. A
// text without keys returns a nil ring. Errors name a key by its position, never by its text.
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
				return nil, errors.New(`the word "bound" is before the first key: write it after the keys that it is for`)
			}
			for i := range ring.keys {
				ring.keys[i].boundOnly = true
			}
			continue
		}
		id, encoded, ok := strings.Cut(entry, ":")
		if !ok || !keyID.MatchString(id) {
			return nil, fmt.Errorf("key %d is not written as ID:KEY, with an ID of at most 32 letters, digits, - and _: `baton keyring new` prints one", place)
		}
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err != nil || len(secret) != keyBytes {
			return nil, fmt.Errorf("key %d is not 32 bytes in base64: `baton keyring new` prints one", place)
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

// FreshKey makes a random key with the given ID, in the form that [ParseKeyRing] reads.
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

// IDs returns the IDs of the keys; the first is the ID of the key that encrypts.
func (r *KeyRing) IDs() []string {
	ids := []string{}
	if r != nil {
		for _, k := range r.keys {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// Empty reports whether there are no keys, so that nothing is encrypted.
func (r *KeyRing) Empty() bool { return r == nil || len(r.keys) == 0 }

// KeyError is the error for data encrypted with a key that is not in the ring. The data can be read once the key is
// added.
type KeyError struct {
	// ID is the ID of the key. Other is set if the ring has another key with that ID.
	ID    string
	Other bool
}

// MissingKey returns the ID of the missing key.
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

// TamperedError is the error for encrypted data that was changed or moved after its encryption.
type TamperedError struct{ ID string }

// Error names the key, and says what to do.
func (e *TamperedError) Error() string {
	return fmt.Sprintf("what was encrypted with the key %q was changed or moved afterwards, and can't be read: restore it from a backup", e.ID)
}

// MovedError is the error for a payload that was encrypted for another workflow than it was sent to. If From is
// empty, the payload was encrypted without a workflow, and the key ring no longer accepts that.
type MovedError struct{ ID, From, To string }

// Error names the workflows, and says what to do.
func (e *MovedError) Error() string {
	if e.From == "" {
		return fmt.Sprintf("what was encrypted with the key %q names no workflow, which the key ring has refused since its cut-off: "+
			"encode it for its workflow with a current build", e.ID)
	}
	return fmt.Sprintf("what was encrypted with the key %q is for the workflow %q and was sent to %q: encode it for that workflow", e.ID, e.From, e.To)
}

// find returns the key that data was encrypted with. The ID and the check are untrusted input.
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

// seal encrypts data for one use and one place, and only open with the same use and place decrypts it. The result
// begins with the random bytes.
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

// aead returns AES-256-GCM with the key that is derived from the first random bytes.
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

// bound returns the additional authenticated data, which binds a ciphertext to its use, place and key.
func (k key) bound(use, place string) []byte {
	return []byte(strings.Join([]string{use, k.id, k.check, place}, "\x00"))
}

// mac returns the HMAC-SHA256 of the parts. Only the last part may contain zero bytes.
func (k key) mac(parts ...string) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte("baton " + strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

// drawn returns the random bytes for one encryption.
func drawn() []byte {
	random := make([]byte, randomBytes)
	_, _ = rand.Read(random) // never fails
	return random
}
