package desk

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
)

// SID prefixes, as in Twilio, of resources that only the desk and the HTTP API know.
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

// NamedSID returns the SID of a resource that is identified by a name, such as a channel. It never changes.
func NamedSID(prefix, name string) string {
	return conversation.SIDOf(prefix, uuid.NewSHA1(uuid.Nil, []byte(prefix+"/"+name)))
}

// EventSID returns the SID (EV…) of the event at that position of the event log in that epoch.
func EventSID(epoch, position int64) string {
	return fmt.Sprintf("%s%016x%016x", PrefixEvent, epoch, position)
}

// EventPosition returns the epoch and the position of the event with that SID, or false when it is not an event's
// SID.
func EventPosition(sid string) (epoch, position int64, ok bool) {
	if !conversation.IsSID(PrefixEvent, sid) {
		return 0, 0, false
	}
	digits := sid[len(PrefixEvent):]
	epoch, wrongEpoch := strconv.ParseInt(digits[:16], 16, 64)
	position, wrongPosition := strconv.ParseInt(digits[16:], 16, 64)
	return epoch, position, wrongEpoch == nil && wrongPosition == nil && position > 0
}

// WorkflowOfTask is an SQL expression for the SID of a task's workflow. It needs conversation_details as d.
var WorkflowOfTask = `coalesce(nullif(d.workflow, ''), '` + defaultWorkflow + `')`

// defaultWorkflow is the SID of the workflow that every desk has. Until it is changed, it sends all tasks to the
// queue that was added first.
var defaultWorkflow = NamedSID(PrefixWorkflow, "default")

// DefaultWorkflow returns the SID of the workflow that every desk has.
func DefaultWorkflow() string { return defaultWorkflow }
