package conversation

import "unicode/utf8"

// The most bytes of JSON that each of these takes, without its names and texts.
const (
	taskBytes       = 870
	transferBytes   = 400
	eventBytes      = 420
	typedBytes      = 60
	attemptBytes    = 120
	noteBytes       = 230
	rememberedBytes = 130
	// endBytes is the most that the end of a live task adds: its events, and the note of its wrapup.
	endBytes = 4000
)

// Bytes returns the most bytes that the state takes in a payload, including what the end of its live tasks will
// add.
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

// AttemptBytes returns how many of the [State.Bytes] the attempts of transfers take. Workflows that began before
// attempts existed decide without them.
func (s *State) AttemptBytes() int {
	bytes := 0
	for _, t := range s.Transfers {
		if t.Attempt != (Attempt{}) {
			bytes += attemptBytes + bytesOf(t.Attempt.Agent, t.Attempt.Words)
		}
	}
	return bytes
}

// Bytes returns the most bytes that the event takes in a payload, without its typed fields.
func (e *Event) Bytes() int { return eventBytes + bytesOf(e.Queue, e.Agent, e.Reason, e.By) }

// TypedBytes returns the most bytes that the event's typed fields take in a payload. [Event.Bytes] does not count
// them, because workflows that began before these fields existed decide by that number.
func (e *Event) TypedBytes() int {
	if e.To == (Target{}) && e.Disposition == "" && e.Cause == "" {
		return 0
	}
	return typedBytes + bytesOf(e.To.Agent, e.To.Queue, e.To.Workflow, e.Disposition)
}

// Bytes returns the most bytes that the note takes in a payload.
func (n *Note) Bytes() int { return noteBytes + bytesOf(n.Author, n.Text) }

// bytes includes what encoding/json escapes in raw JSON: <, > and &, and the two separators whose first byte is E2.
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

// BytesInJSON returns the most bytes that a character takes in JSON.
func BytesInJSON(r rune) int {
	switch {
	case r < ' ', r == '"', r == '\\', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029', r == utf8.RuneError:
		return len(`\u0000`)
	default:
		return utf8.RuneLen(r)
	}
}
