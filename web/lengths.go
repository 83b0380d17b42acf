package web

import (
	"fmt"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// The bounds of what commands and the desk refuse otherwise, in characters.
const (
	maxUniqueName = 64
	maxExpression = 4096
)

// limitOf is how many characters the server takes of a text. The page says so beside its field before the form is sent: an
// attribute maxlength would count UTF-16 units, and cut a paste without a word.
func limitOf(of string) (int, error) {
	switch of {
	case "message":
		return desk.MaxMessage, nil
	case "note":
		return conversation.MaxNote, nil
	case "reason", "disposition", "customer", "friendly_name", "plugin":
		return conversation.MaxText, nil
	case "search":
		return desk.MaxSearch, nil
	case "name":
		return maxUniqueName, nil
	case "expression":
		return maxExpression, nil
	}
	return 0, fmt.Errorf("there is no limit of %q", of)
}
