package site

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/conversation"
)

// Text returns a text field of the form. Browsers send its line breaks as CRLF; text returns LF.
func (v *Visit) Text(field string) string {
	return strings.ReplaceAll(v.R.PostFormValue(field), "\r\n", "\n")
}

// MessageID returns the ID under which a message is stored once: the same form with the same text has the same ID.
func MessageID(sid, once, text string) string {
	sum := sha256.Sum256([]byte(sid + "\n" + once + "\n" + text))
	return "page-" + hex.EncodeToString(sum[:16])
}

// TargetOf parses the target that a form sends: queue:billing, agent:bob. ok is false for anything else.
func TargetOf(chosen string) (to conversation.Target, ok bool) {
	kind, name, _ := strings.Cut(chosen, ":")
	switch kind {
	case "queue":
		return conversation.Target{Queue: name}, true
	case "agent":
		return conversation.Target{Agent: name}, true
	}
	return conversation.Target{}, false
}

// Once returns the command ID from the form, so that a form that is sent twice has one effect.
func (v *Visit) Once() conversation.Meta {
	return conversation.Meta{CommandID: v.R.PostFormValue("once")}
}

// DeskPath returns the path of the conversation on the agent's desk, or of the desk if sid is "".
func DeskPath(sid string) string {
	if sid == "" {
		return "/desk"
	}
	return "/desk/" + url.PathEscape(sid)
}
