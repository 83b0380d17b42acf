package conversation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// InvalidText returns the path of the first field of a JSON document that is not valid UTF-8, such as
// customer.name. It returns false if the whole document is valid. The path has at most two names, because commands
// have no deeper texts, and is empty if the field cannot be found. Attributes count as one field.
func InvalidText(document []byte) (field string, found bool) {
	if utf8.Valid(document) {
		return "", false
	}
	outer, value := invalidField(document)
	if value == nil || outer == "attributes" {
		return outer, true
	}
	inner, _ := invalidField(value)
	return strings.TrimSuffix(outer+"."+inner, "."), true
}

// invalidField returns the name and the value of the first field of an object that is not valid UTF-8. The value is nil
// if the document is not an object or has no such field.
func invalidField(document []byte) (name string, value json.RawMessage) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return "", nil
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return "", nil
		}
		if err := decoder.Decode(&value); err != nil {
			return "", nil
		}
		if !utf8.Valid(value) {
			return fmt.Sprint(key), value
		}
	}
	return "", nil
}

// MaxPriority is the highest priority of a task.
const MaxPriority = 1 << 30

// RefuseUnstorable refuses the JSON payload of a command that the desk cannot store unchanged: a payload that is
// not valid UTF-8, or a start with a priority above [MaxPriority]. [Decode] accepts them, because histories contain
// payloads that were accepted before.
func RefuseUnstorable(name CommandName, payload []byte) error {
	if field, found := InvalidText(payload); found {
		return notUTF8(name, field)
	}
	if name != CommandStart {
		return nil
	}
	if command, err := Decode(name, payload, ""); err == nil {
		return tooHigh(command)
	}
	return nil // the caller also decodes the payload, and refuses it
}

func tooHigh(c Command) error {
	if start, ok := c.(StartCommand); ok && start.Priority > MaxPriority {
		return invalid("priority", "start: priority can be at most %d", MaxPriority)
	}
	return nil
}

// Storable refuses a command that the desk cannot store unchanged. Clients call it before they send the command,
// because encoding as JSON replaces invalid UTF-8 without an error. Workflows call [RefuseUnstorable] with the
// payload.
func Storable(c Command) error {
	if field, found := invalidString(reflect.ValueOf(c), ""); found {
		return notUTF8(c.Name(), field)
	}
	return tooHigh(c)
}

func notUTF8(name CommandName, field string) *Refusal {
	what := field
	if what == "" {
		what = "the payload"
	}
	return invalid(field, "%s: %s is not valid UTF-8: encode the text as UTF-8", name, what)
}

// invalidString returns the path of the first text in v that is not valid UTF-8.
func invalidString(v reflect.Value, path string) (field string, found bool) {
	switch v.Kind() { //nolint:exhaustive // commands have no other texts
	case reflect.String:
		return path, !utf8.ValidString(v.String())
	case reflect.Map: // attributes
		for _, key := range v.MapKeys() {
			if !utf8.ValidString(key.String()) || !utf8.Valid(v.MapIndex(key).Bytes()) {
				return path, true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			of := v.Type().Field(i)
			name := path
			if !of.Anonymous {
				tag, _, _ := strings.Cut(of.Tag.Get("json"), ",")
				name = strings.TrimPrefix(path+"."+tag, ".")
			}
			if field, found = invalidString(v.Field(i), name); found {
				return field, true
			}
		}
	default: // numbers and booleans
	}
	return "", false
}
