// Package jsonkeys finds keys of a JSON document that decoding it would ignore.
//
// Must not import: other packages of Baton.
package jsonkeys

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Unread returns the paths, such as targets[1].timeout, of the keys that [json.Unmarshal] into a value of into's
// type would ignore. It leaves out keys whose value is null or the empty string. Maps, interfaces and types that
// decode themselves accept every key. A document that is not valid JSON has no keys.
func Unread(document []byte, into any) []string {
	return unread(document, reflect.TypeOf(into), "")
}

func unread(document json.RawMessage, t reflect.Type, path string) (found []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return nil
	}
	switch t.Kind() { //nolint:exhaustive // the others have no keys, or take every key
	case reflect.Struct:
		var keys map[string]json.RawMessage
		if json.Unmarshal(document, &keys) != nil {
			return nil
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			at := strings.TrimPrefix(path+"."+key, ".")
			if field, known := fieldOf(t, key); known {
				found = append(found, unread(keys[key], field, at)...)
			} else if given(keys[key]) {
				found = append(found, at)
			}
		}
	case reflect.Slice, reflect.Array:
		var entries []json.RawMessage
		if json.Unmarshal(document, &entries) != nil {
			return nil
		}
		for i, entry := range entries {
			found = append(found, unread(entry, t.Elem(), path+"["+strconv.Itoa(i)+"]")...)
		}
	}
	return found
}

// fieldOf returns the type of the field for the key. Like encoding/json, it ignores case.
func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" || name == "-" || !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		if strings.EqualFold(name, key) {
			return field.Type, true
		}
	}
	return nil, false
}

func given(value json.RawMessage) bool {
	value = bytes.TrimSpace(value)
	return string(value) != "null" && string(value) != `""`
}
