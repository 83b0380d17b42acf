package routing_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "a snapshot becomes rows", Run: testPictureBecomesRows, Encrypted: true},
		{Name: "the same snapshot again changes nothing", Run: testSamePictureAgain},
		{Name: "an older snapshot changes nothing", Run: testOlderPicture},
		{Name: "events that overlap are stored once", Run: testOverlappingEvents},
		{Name: "events that were lost hold nothing up", Run: testEventGap},
		{Name: "the feed is in order and complete", Run: testFeed, Encrypted: true},
		{Name: "attributes outlive the conversation's", Run: testAttributesOutlive, Encrypted: true},
		{Name: "a row belongs to its conversation", Run: testForeignRows},
		{Name: "what is not valid text holds nothing up", Run: testInvalidText},
		{Name: "the desk follows any conversation", Run: testFollowsAnyConversation},
		{Name: "a bad snapshot spoils no other", Run: testBadSnapshotAlone},
		{Name: "a conversation that is held holds up no other", Run: testHeldConversation, Postgres: true},
		{Name: "who awaits a revision sees it", Run: testAwaitRevision},
		{Name: "a new task is matched at once", Run: testMatchedAtOnce},
		{Name: "a match is answered until it is confirmed", Run: testAnsweredUntilConfirmed},
		{Name: "a match counts against capacity", Run: testMatchCounts},
		{Name: "capacity is per channel", Run: testCapacityPerChannel},
		{Name: "who becomes free gets what waits", Run: testFreedAgentGetsWaiting},
		{Name: "tasks go by priority, head and time", Run: testOrderOfTasks},
		{Name: "the best task of all queues comes first", Run: testOrderAcrossQueues},
		{Name: "the agent longest idle comes first", Run: testLongestIdle},
		{Name: "who has or wraps up the conversation isn't offered it", Run: testHolderIsNotOffered},
		{Name: "an agent who declined is not asked again at once", Run: testReoffer},
		{Name: "a direct offer is made again at once", Run: testReofferDirect},
		{Name: "an agent who was away is asked again at once", Run: testReofferAfterAbsence},
		{Name: "who declined is asked again after a while", Run: testReofferAfter},
		{Name: "a direct task waits for its agent alone", Run: testDirectWaits},
		{Name: "a direct task waits for its agent's wrapup", Run: testDirectWaitsForWrapup},
		{Name: "two desks never match a task twice", Run: testTwoDesks},
		{Name: "agents work at once", Run: testEverybodyAtOnce},
		{Name: "an agent who goes has their offers declined", Run: testGoingDeclines},
		{Name: "an agent who goes loses their matches", Run: testGoingReleases},
		{Name: "an offer to an agent who has left is declined", Run: testOfferToAbsent},
		{Name: "an offer that others have overtaken is declined", Run: testOvertakenMatch},
		{Name: "who lets an offer expire becomes unavailable", Run: testTimeoutActivity},
		{Name: "an old timeout doesn't send a returned agent away", Run: testOldTimeout},
		{Name: "the dispatcher delivers, and again until confirmed", Run: testDelivers},
		{Name: "a crash loses no match", Run: testCrash},
		{Name: "one conversation that fails doesn't delay others", Run: testFailingConversation},
		{Name: "a conversation that is gone is let go", Run: testGoneConversation},
		{Name: "a conversation that is set back is shown as it is", Run: testSetBack},
		{Name: "one that is set back and comes as far again is too", Run: testSetBackAndOn},
		{Name: "what a conversation that is set back makes has new SIDs", Run: testSetBackSIDs},
		{Name: "one whose workflow has ended is released", Run: testReleased},
		{Name: "a closed one that is reset is open again", Run: testReopened},
		{Name: "a start continues with what the desk has of the same workflow", Run: testKnownStart},
		{Name: "a database that is put back gives events new SIDs", Run: testPutBack},
		{Name: "open conversations are taken to be compared in turn", Run: testTakeToCompare},
		{Name: "a claim is delivered", Run: testClaim},
		{Name: "claims are refused with a sentence", Run: testClaimRefusals},
		{Name: "a customer who waits learns whether an agent is there", Run: testWaits},
		{Name: "the desk answers with the facts", Run: testFacts},
		{Name: "a queue's expression says who is on it", Run: testQueueExpressions},
		{Name: "who joins a queue gets what waits", Run: testJoiningIsPlaced},
		{Name: "activities stand for presences", Run: testActivities},
		{Name: "expensive expressions are refused", Run: testExpensiveExpressions},
		{Name: "a queue is filled by its expression, however many agents there are", Run: testManyMembers},
		{Name: "the backlog counts what waits", Run: testBacklog},
		{Name: "a change wakes who waits in another process", Run: testWakesOthers, Postgres: true},
		{Name: "what is undone for another's sake is tried again", Run: testUndoneIsTriedAgain, Postgres: true},
		{Name: "an embedded desk is copied", Run: testCopy, Postgres: true},
		{Name: "hot queries walk indexes", Run: testPostgresPlans, Postgres: true},
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
