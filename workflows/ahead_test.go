package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// A desk is ahead of a workflow that was reset, or whose server was restored from an older backup.
func TestADeskThatIsAheadIsShownAllThereIs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var told int
	var lost int
	s.aliceAccepts()
	s.step(func() {
		s.desk.goAhead(7, 5)
		told, lost = len(s.desk.pictures), s.record().Revision+7
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.after(10*time.Second, func() {
		pictures, _ := s.desk.told()
		require.Empty(t, s.desk.disagreements(s.record()))
		require.Greater(t, s.record().Revision, lost)
		require.False(t, pictures[told].Whole)
		require.True(t, pictures[told+1].Whole)
		require.Equal(t, pictures[told].Events[0].At, pictures[told+1].Events[0].At, "what the desk took for old is sent again")
		require.Equal(t, pictures[told].Events[0].Number+5, pictures[told+1].Events[0].Number)
		s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
	})
	s.step(func() {
		pictures, _ := s.desk.told()
		require.False(t, pictures[len(pictures)-1].Whole, "once")
	})
	s.play()
}

func TestAConversationShowsItselfWhenItIsAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.aliceAccepts()
	s.step(func() {
		s.desk.goAhead(3, 3)
		s.signal(workflows.Resync, nil)
	})
	s.after(10*time.Second, func() {
		require.Empty(t, s.desk.disagreements(s.record()))
		require.True(t, s.desk.shown().Whole)
		require.Empty(t, s.record().Refusals)
	})
	s.play()
}

func TestSIDsOfDifferentTimesDiffer(t *testing.T) {
	t.Parallel()
	var sids []string
	for _, pause := range []time.Duration{time.Second, 2 * time.Second} { // as after a reset to before the transfer
		s := newScene(t)
		s.aliceAccepts()
		s.after(pause, func() { s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")}) })
		s.step(func() { sids = append(sids, s.task(1).SID, s.transfer(0).SID) })
		s.play()
	}
	require.Len(t, sids, 4)
	require.NotEqual(t, sids[0], sids[2])
	require.NotEqual(t, sids[1], sids[3])
}
