package desk

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
)

// SID prefixes of what only the desk and the HTTP API know, as Twilio uses them.
const (
	PrefixAccount     = "AC"
	PrefixKey         = "SK"
	PrefixWorkspace   = "WS"
	PrefixInstance    = "GO"
	PrefixActivity    = "WA"
	PrefixTaskChannel = "TC"
	PrefixWorkflow    = "WW"
	PrefixEvent       = "EV"
	PrefixMessage     = "IM"
	PrefixMember      = "MB"
)

// NamedSID is the SID of what is told apart by a name, as a channel is: it never changes.
func NamedSID(prefix, name string) string {
	return conversation.SIDOf(prefix, uuid.NewSHA1(uuid.Nil, []byte(prefix+"/"+name)))
}

// EventSID is the SID (EV…) of the event at that position.
func EventSID(position int64) string { return fmt.Sprintf("%s%032x", PrefixEvent, position) }

// EventPosition is the position of the event with that SID, false where it is no event's.
func EventPosition(sid string) (int64, bool) {
	if !conversation.IsSID(PrefixEvent, sid) {
		return 0, false
	}
	position, err := strconv.ParseInt(sid[len(PrefixEvent):], 16, 64)
	return position, err == nil && position > 0
}
