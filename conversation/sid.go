package conversation

import (
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// SID prefixes, as Twilio uses them.
const (
	PrefixConversation       = "CH"
	PrefixInteraction        = "KD"
	PrefixInteractionChannel = "UO"
	PrefixTask               = "WT"
	PrefixReservation        = "WR"
	PrefixTransfer           = "UX"
	PrefixNote               = "KQ"
	PrefixAgent              = "WK"
	PrefixQueue              = "WQ"
	PrefixInvite             = "KG"
)

var sidPattern = regexp.MustCompile(`^[A-Z]{2}[0-9a-f]{32}$`)

// IsSID tells whether s is a SID of that prefix: the prefix and 32 lower-case hex digits.
func IsSID(prefix, s string) bool {
	return strings.HasPrefix(s, prefix) && sidPattern.MatchString(s)
}

// SIDOf returns the SID of that prefix with the digits of a UUID.
func SIDOf(prefix string, id uuid.UUID) string { return prefix + hex.EncodeToString(id[:]) }

// SameSID returns sid under another prefix: the same thing under its other name, as a conversation
// (CH…) is an interaction (KD…) to Flex.
func SameSID(prefix, sid string) string { return prefix + sid[len(prefix):] }

// AgentSID and QueueSID return the SID of the agent or queue of that name, which never changes.
func AgentSID(name string) string { return derivedSID(PrefixAgent, "", name) }

// QueueSID is described at [AgentSID].
func QueueSID(name string) string { return derivedSID(PrefixQueue, "", name) }

// derivedSID derives a SID from the conversation's UUID (none: the nil UUID), its kind and a name.
func derivedSID(prefix, conversation, name string) string {
	space := uuid.Nil
	if len(conversation) > 2 {
		if id, err := uuid.Parse(conversation[2:]); err == nil {
			space = id
		}
	}
	return SIDOf(prefix, uuid.NewSHA1(space, []byte(prefix+"/"+name)))
}
