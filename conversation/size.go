package conversation

import "unicode/utf8"

// How many bytes of JSON each of these takes at most, without its names and texts.
const (
	taskBytes       = 870
	transferBytes   = 400
	eventBytes      = 420
	typedBytes      = 60
	attemptBytes    = 120
	noteBytes       = 230
	rememberedBytes = 130
	// endBytes is what the end of a task that lives may add: its events, and the note of its wrapup.
	endBytes = 4000
)

// Bytes is how much of a payload the state takes at most, with what is sure to be told of it still.
func (s *State) Bytes() int {
	bytes := 0
	for _, t := range s.Tasks {
		bytes += taskBytes + bytesOf(t.Queue, t.Agent, t.Disposition) + t.Attributes.bytes()
		if t.Reservation != nil {
			bytes += bytesOf(t.Reservation.Agent)
		}
		if t.Status.Live() {
			bytes += endBytes
		}
	}
	for _, t := range s.Transfers {
		bytes += transferBytes + bytesOf(t.From, t.To.Agent, t.To.Queue, t.AcceptedBy)
	}
	bytes += s.AttemptBytes()
	for _, r := range s.Remembered {
		bytes += rememberedBytes + bytesOf(r.ID)
	}
	return bytes
}

// AttemptBytes is how much of that the attempts of transfers take. Workflows that began before there were any decide
// without them.
func (s *State) AttemptBytes() int {
	bytes := 0
	for _, t := range s.Transfers {
		if t.Attempt != (Attempt{}) {
			bytes += attemptBytes + bytesOf(t.Attempt.Agent, t.Attempt.Words)
		}
	}
	return bytes
}

// Bytes is how much of a payload the event takes at most.
func (e *Event) Bytes() int { return eventBytes + bytesOf(e.Queue, e.Agent, e.Reason, e.By) }

// TypedBytes is how much more of a payload the event's typed fields take at most, which [Event.Bytes] does not count:
// workflows that began before there were any decide by that.
func (e *Event) TypedBytes() int {
	if e.To == (Target{}) && e.Disposition == "" && e.Cause == "" {
		return 0
	}
	return typedBytes + bytesOf(e.To.Agent, e.To.Queue, e.To.Workflow, e.Disposition)
}

// Bytes is how much of a payload the note takes at most.
func (n *Note) Bytes() int { return noteBytes + bytesOf(n.Author, n.Text) }

// bytes counts what encoding/json escapes anew in JSON that it is given: <, >, & and the two separators that begin with E2.
func (a Attributes) bytes() int {
	bytes := 0
	for key, value := range a {
		bytes += bytesOf(key) + len(value)
		for _, b := range value {
			switch b {
			case '<', '>', '&':
				bytes += len(`\u003c`) - 1
			case 0xE2:
				bytes += len(`\u2028`) - len("\u2028")
			}
		}
	}
	return bytes
}

func bytesOf(texts ...string) int {
	bytes := 0
	for _, text := range texts {
		for _, character := range text {
			bytes += BytesInJSON(character)
		}
	}
	return bytes
}

// BytesInJSON is how many bytes a character takes in JSON at most.
func BytesInJSON(r rune) int {
	switch {
	case r < ' ', r == '"', r == '\\', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029', r == utf8.RuneError:
		return len(`\u0000`)
	default:
		return utf8.RuneLen(r)
	}
}
