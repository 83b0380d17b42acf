package desk_test

import (
	"testing"

	"github.com/baton-transfers/baton/desk/desktest"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	testDesk(t, desktest.SQLite)
}

// testDesk runs the tests that every database has to pass. The function returns the name of an empty database.
func testDesk(t *testing.T, database func(testing.TB) string) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *environment)
	}{
		{"a picture becomes rows", testPictureBecomesRows},
		{"the same picture again changes nothing", testSamePictureAgain},
		{"an older picture changes nothing", testOlderPicture},
		{"events that overlap are stored once", testOverlappingEvents},
		{"events that were lost hold nothing up", testEventGap},
		{"the feed is in order and complete", testFeed},
		{"attributes outlive the conversation's", testAttributesOutlive},
		{"a row belongs to its conversation", testForeignRows},
		{"what is not valid text holds nothing up", testInvalidText},
		{"events carry what programs need in fields", testEventFields},
		{"the desk follows any conversation", testFollowsAnyConversation},
		{"who awaits a revision sees it", testAwaitRevision},

		{"a new task is matched at once", testMatchedAtOnce},
		{"a match is answered until it is confirmed", testAnsweredUntilConfirmed},
		{"a match counts against capacity", testMatchCounts},
		{"capacity is per channel", testCapacityPerChannel},
		{"who becomes free gets what waits", testFreedAgentGetsWaiting},
		{"tasks go by priority, head and time", testOrderOfTasks},
		{"the best task of all queues comes first", testOrderAcrossQueues},
		{"the agent longest idle comes first", testLongestIdle},
		{"who has or wraps up the conversation isn't offered it", testHolderIsNotOffered},
		{"an agent who declined is not asked again at once", testReoffer},
		{"a direct offer is made again at once", testReofferDirect},
		{"an agent who was away is asked again at once", testReofferAfterAbsence},
		{"who declined is asked again after a while", testReofferAfter},
		{"a direct task waits for its agent alone", testDirectWaits},
		{"a direct task waits for its agent's wrapup", testDirectWaitsForWrapup},
		{"two desks never match a task twice", testTwoDesks},
		{"everybody may work at once", testEverybodyAtOnce},

		{"an agent who goes has their offers declined", testGoingDeclines},
		{"an agent who goes loses their matches", testGoingReleases},
		{"an offer made to an agent who has gone is declined", testOfferToAbsent},
		{"an offer that others have overtaken is declined", testOvertakenMatch},
		{"who lets an offer expire becomes unavailable", testTimeoutActivity},
		{"an old timeout doesn't send a returned agent away", testOldTimeout},

		{"the dispatcher delivers, and again until confirmed", testDelivers},
		{"a crash loses no match", testCrash},
		{"one conversation that fails doesn't delay others", testFailingConversation},
		{"a conversation that is gone is let go", testGoneConversation},
		{"a conversation that is set back is shown as it is", testSetBack},
		{"one that is set back and comes as far again is too", testSetBackAndOn},
		{"what a conversation that is set back makes has new SIDs", testSetBackSIDs},
		{"one whose workflow has ended is released", testReleased},
		{"a closed one that is reset is open again", testReopened},
		{"a start continues with what the desk has of the same workflow", testKnownStart},
		{"a database that is put back gives events new SIDs", testPutBack},
		{"open conversations are taken to be compared in turn", testTakeToCompare},
		{"a claim is delivered", testClaim},
		{"claims are refused with a sentence", testClaimRefusals},

		{"an agent's work is in the order in which it has to be done", testWorkload},
		{"what an agent has not read is counted", testUnread},
		{"a thread is all that its reader may see", testThread},
		{"a customer who waits learns whether an agent is there", testWaits},
		{"a sender learns what became of a transfer", testSenderLearns},
		{"a sender learns why a transfer failed", testSenderLearnsOfFailures},
		{"the next agent of a name is not notified", testNextAgentIsNotNotified},
		{"an agent made unavailable learns why", testMissedOffer},
		{"the directory lists whom it can be passed to", testDirectory},
		{"a search folds case, diacritics and width", testSearch},
		{"names of before can be searched", testFoldedNames},
		{"what changes can be watched", testWatch},
		{"a read sees one snapshot", testReadsOneSnapshot},
		{"who waits longest comes first", testWaitingLongest},

		{"agents are added, changed and removed", testAgents},
		{"queues are added, filled and removed", testQueues},
		{"names are made of friendly names in any script", testMadeNames},
		{"names made at once are distinct", testMadeNamesAtOnce},
		{"names are kept without characters that reorder or hide text", testCleanNames},
		{"lengths count characters", testLengths},
		{"the demo is seeded once", testSeedDemo},
		{"switches and plugins", testSwitches},
		{"settings out of range are refused", testSettingsOutOfRange},
		{"the desk answers with the facts", testFacts},

		{"a queue's expression says who is on it", testQueueExpressions},
		{"who joins a queue gets what waits", testJoiningIsPlaced},
		{"activities stand for presences", testActivities},
		{"every change is on record", testAudit},
		{"what is refused is not on record", testNotAudited},
		{"the record is read by pages", testAuditPages},
		{"keys open, and are worthless once revoked", testKeys},
		{"secrets are kept as hashes", testSecretsAreHashed},
		{"when a key was last used is known to the minute", testKeyUse},
		{"an agent is bound to one account at the provider", testIdentities},
		{"the webhooks' secret is renewed with an overlap", testWebhookSecret},
		{"who may do what is changed on record", testSecurityLog},
		{"the workspace is checked", testWorkspace},
		{"workflows choose the queue", testWorkflows},
		{"a draft is started later", testDrafts},
		{"participants are added once", testParticipants},
		{"messages can be changed", testChangedMessages},
		{"lists are read by pages", testPages},
		{"expensive expressions are refused", testExpensiveExpressions},
		{"a queue is filled by its expression, however many agents there are", testManyMembers},
		{"sessions are kept until they expire", testSessions},
		{"expired sessions are dropped", testExpiredSessions},

		{"a transcript is in order and kept once", testTranscript},
		{"who may write", testWhoMayWrite},
		{"who may read", testWhoMayRead},
		{"what an agent may read ends with their turn", testTurnsEnd},
		{"who gets a conversation back reads on", testReadsOn},
		{"former agents read no more", testFormerAgentsReadNoMore},
		{"a turn ends by the clock too", testTurnByClock},
		{"a note stored first is found by its transfer", testStoredNote},
		{"an offer comes with everything", testOfferComesWithEverything},
		{"conversations are found", testConversations},
		{"closed conversations are found by who had them", testClosedAreFound},
		{"conversations are searched by name, address and text", testSearchConversations},
		{"conversations are searched by every SID", testSearchBySID},
		{"a search is read by pages", testSearchPages},
		{"a search that cannot be made is refused", testSearchRefusals},
		{"a search finds nothing that was erased", testSearchErased},
		{"a search shows the line that matches", testExcerpt},

		{"what was written is sealed, sealed anew, and erased", testSealing},

		{"webhooks of a stream are delivered in order", testWebhooksInOrder},
		{"a stream whose receiver fails holds up no other", testFailingStream},
		{"a webhook whose sender died is sent by the next", testWebhookLease},
		{"a webhook is sent again less and less often, and given up after a day", testWebhookBackoff},
		{"webhooks that were given up can be delivered again", testRedelivery},
		{"webhooks are only what the filter lets pass", testWebhookFilter},
		{"without a callback URL there are no webhooks", testNoCallback},
		{"an idle desk isn't written for its webhooks", testIdleWebhooks},
		{"two senders never take a webhook twice", testTwoSenders},
		{"what waits behind another webhook isn't looked at", testOnlyHeadsAreDue},

		{"what waits is counted", testBacklog},
	} {
		testAt(t, test.name, database, test.run)
	}
}

// testAt runs a test with its own desk.
func testAt(t *testing.T, name string, database func(testing.TB) string, run func(*testing.T, *environment)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		run(t, newEnvironment(t, database(t)))
	})
}
