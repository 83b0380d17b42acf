package conversation

import (
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// SID prefixes, as in Twilio.
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

// IsSID reports whether s is a SID with that prefix: the prefix and 32 lower-case hex digits.
func IsSID(prefix, s string) bool {
	return strings.HasPrefix(s, prefix) && sidPattern.MatchString(s)
}

// SIDOf returns the SID made of the prefix and the digits of a UUID.
func SIDOf(prefix string, id uuid.UUID) string { return prefix + hex.EncodeToString(id[:]) }

// SameSID returns sid with another prefix, for a thing that has two names: a conversation (CH…) is an interaction
// (KD…) in Flex. It panics if sid is shorter than a prefix.
func SameSID(prefix, sid string) string { return prefix + sid[len(prefix):] }

// AgentSID returns the SID of the agent with that name. The SID depends on the name only.
func AgentSID(name string) string { return derivedSID(PrefixAgent, "", name) }

// QueueSID returns the SID of the queue with that name. The SID depends on the name only.
func QueueSID(name string) string { return derivedSID(PrefixQueue, "", name) }

// derivedSID derives a SID from the conversation's UUID (the nil UUID if conversation is empty), its prefix and a
// name.
func derivedSID(prefix, conversation, name string) string {
	space := uuid.Nil
	if len(conversation) > 2 {
		if id, err := uuid.Parse(conversation[2:]); err == nil {
			space = id
		}
	}
	return SIDOf(prefix, uuid.NewSHA1(space, []byte(prefix+"/"+name)))
}
