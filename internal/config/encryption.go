package config

import (
	"errors"
	"fmt"
	"os"

	"github.com/baton-transfers/baton/codec"
)

// LoadKeys reads the encryption keys, in the form of [codec.ParseKeyRing], from BATON_ENCRYPTION_KEYS or from the
// file that BATON_ENCRYPTION_KEYS_FILE names, such as a mounted secret. If neither is set, there are no keys and
// nothing is encrypted; an empty file is an error. With BATON_ENCRYPTION_REQUIRED=on, which needs keys,
// conversations refuse messages in clear.
func LoadKeys(getenv func(string) string) (*codec.KeyRing, error) {
	variable, text := "BATON_ENCRYPTION_KEYS", getenv("BATON_ENCRYPTION_KEYS")
	if file := getenv("BATON_ENCRYPTION_KEYS_FILE"); file != "" {
		if text != "" {
			return nil, errors.New("BATON_ENCRYPTION_KEYS and BATON_ENCRYPTION_KEYS_FILE are both set: unset one of them")
		}
		read, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("BATON_ENCRYPTION_KEYS_FILE: %w", err)
		}
		variable, text = "BATON_ENCRYPTION_KEYS_FILE", string(read)
	}
	keys, err := codec.ParseKeyRing(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	if keys.Empty() && text != "" {
		return nil, fmt.Errorf("%s holds no key: `baton keyring new` prints one; unset it to encrypt nothing", variable)
	}
	switch required := getenv(requiredVariable); {
	case required != "" && required != "off" && required != "on":
		return nil, fmt.Errorf("%s is neither on nor off: set it to one of them", requiredVariable)
	case required == "on" && keys.Empty():
		return nil, fmt.Errorf("%s is on and there are no keys: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE", requiredVariable)
	case required == "on":
		keys = keys.Required()
	}
	return keys, nil
}

// requiredVariable makes conversations refuse messages in clear.
const requiredVariable = "BATON_ENCRYPTION_REQUIRED"
