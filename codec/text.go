package codec

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// sealedPrefix is the prefix of every sealed text: enc:v1:KEYID.CHECK:BASE64.
const sealedPrefix = "enc:v1:"

// encoding is strict, so that a sealed text has exactly one valid spelling.
var encoding = base64.RawStdEncoding.Strict()

// useText is the use that texts are encrypted for.
const useText = "text"

// Seal encrypts a text with the first key, for a place such as the column and row that it is stored in.
// [KeyRing.Open] decrypts it for the same place only. Sealing a text twice gives different results. The ring must
// have a key.
func (r *KeyRing) Seal(text, place string) (string, error) {
	return r.keys[0].sealText(text, place, drawn())
}

// SealEqual seals a text with every key; the first result is of the first key. Equal texts give equal results for
// the same place, so that a table can be searched for them.
func (r *KeyRing) SealEqual(text, place string) ([]string, error) {
	sealed := make([]string, len(r.keys))
	for i, k := range r.keys {
		var err error
		if sealed[i], err = k.sealText(text, place, k.mac("equal", place, text)[:randomBytes]); err != nil {
			return nil, err
		}
	}
	return sealed, nil
}

func (k key) sealText(text, place string, random []byte) (string, error) {
	sealed, err := k.seal(useText, place, random, []byte(text))
	if err != nil {
		return "", err
	}
	return k.prefix() + encoding.EncodeToString(sealed), nil
}

func (k key) prefix() string { return sealedPrefix + k.id + "." + k.check + ":" }

// Current reports whether the text is sealed with the first key.
func (r *KeyRing) Current(sealed string) bool { return strings.HasPrefix(sealed, r.keys[0].prefix()) }

// Open decrypts a text that was sealed for the place. Its errors are [*KeyError] and [*TamperedError].
func (r *KeyRing) Open(sealed, place string) (string, error) {
	name, encoded, ok := strings.Cut(strings.TrimPrefix(sealed, sealedPrefix), ":")
	id, check, named := strings.Cut(name, ".")
	if !ok || !named || !strings.HasPrefix(sealed, sealedPrefix) {
		return "", fmt.Errorf("open a sealed text: %w", &TamperedError{ID: "?"})
	}
	k, err := r.find(id, check)
	if err != nil {
		return "", fmt.Errorf("open a sealed text: %w", err)
	}
	bytes, err := encoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("open a sealed text: %w", &TamperedError{ID: k.id})
	}
	plain, err := k.open(useText, place, bytes)
	if err != nil {
		return "", fmt.Errorf("open a sealed text: %w", err)
	}
	return string(plain), nil
}
