package templates

import (
	"fmt"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// Limits that commands and the desk enforce, in characters.
const (
	maxUniqueName = 64
	maxExpression = 4096
)

// limitOf returns how many characters the server accepts in a text. The page shows it beside the field before the
// form is sent. It does not use the attribute maxlength, which counts UTF-16 units and cuts pasted text silently.
func limitOf(of string) (int, error) {
	switch of {
	case "message":
		return records.MaxMessage, nil
	case "note":
		return conversation.MaxNote, nil
	case "reason", "disposition", "customer", "friendly_name", "plugin":
		return conversation.MaxText, nil
	case "search":
		return records.MaxSearch, nil
	case "name":
		return maxUniqueName, nil
	case "expression":
		return maxExpression, nil
	}
	return 0, fmt.Errorf("there is no limit of %q", of)
}
