package records_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "an agent's work is in the order in which it has to be done", Run: testWorkload},
		{Name: "what an agent has not read is counted", Run: testUnread},
		{Name: "a thread is all that its reader may see", Run: testThread, Encrypted: true},
		{Name: "a sender learns what became of a transfer", Run: testSenderLearns},
		{Name: "a sender learns why a transfer failed", Run: testSenderLearnsOfFailures},
		{Name: "the next agent of a name is not notified", Run: testNextAgentIsNotNotified},
		{Name: "an agent made unavailable learns why", Run: testMissedOffer},
		{Name: "who waits longest comes first", Run: testWaitingLongest},
		{Name: "a draft is started later", Run: testDrafts, Encrypted: true},
		{Name: "participants are added once", Run: testParticipants, Encrypted: true},
		{Name: "messages can be changed", Run: testChangedMessages, Encrypted: true},
		{Name: "lists are read by pages", Run: testPages},
		{Name: "a transcript is in order and kept once", Run: testTranscript, Encrypted: true},
		{Name: "who may write", Run: testWhoMayWrite},
		{Name: "who may read", Run: testWhoMayRead},
		{Name: "what an agent may read ends with their turn", Run: testTurnsEnd},
		{Name: "who gets a conversation back reads on", Run: testReadsOn},
		{Name: "former agents read no more", Run: testFormerAgentsReadNoMore},
		{Name: "a turn ends by the clock too", Run: testTurnByClock},
		{Name: "a note stored first is found by its transfer", Run: testStoredNote, Encrypted: true},
		{Name: "an offer comes with everything", Run: testOfferComesWithEverything, Encrypted: true},
		{Name: "conversations are found", Run: testConversations},
		{Name: "closed conversations are found by who had them", Run: testClosedAreFound},
		{Name: "conversations are searched by name, address and text", Run: testSearchConversations, Encrypted: true},
		{Name: "conversations are searched by every SID", Run: testSearchBySID, Encrypted: true},
		{Name: "a search is read by pages", Run: testSearchPages},
		{Name: "a search that cannot be made is refused", Run: testSearchRefusals},
		{Name: "a search finds nothing that was erased", Run: testSearchErased, Encrypted: true},
		{Name: "a search shows the line that matches", Run: testExcerpt},
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	desktest.OnSQLite(t, conformance())
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	desktest.OnPostgres(t, conformance())
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	desktest.Encrypted(t, conformance())
}
