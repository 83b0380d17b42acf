package routing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// matchedBySync is the maximum number of matches for each snapshot. The dispatcher makes the others.
const matchedBySync = 8

// Sync makes the desk's rows equal to the snapshot, in one transaction. It appends the events that the desk does
// not have yet, and matches the tasks that wait because of the snapshot: the conversation's own, and others that an
// agent who has become free can take. A snapshot that is older than what the desk shows changes nothing. Sending
// the same snapshot again is safe. The answer names the revision that the desk shows, and every match of this
// conversation that is not confirmed yet, again each time. [ConversationDesk] applies the snapshots of many
// conversations together.
func Sync(ctx context.Context, d *desk.Desk, p conversation.Snapshot) (conversation.Acknowledgement, error) {
	b, err := syncTogether(ctx, d, []conversation.Snapshot{p})
	if err != nil {
		return conversation.Acknowledgement{}, err
	}
	return b.snapshots[0].answer, nil
}

// syncTogether applies snapshots of different conversations in one transaction. Where there are several, it leaves out
// those whose conversation another transaction has locked: see [syncing.held].
func syncTogether(ctx context.Context, d *desk.Desk, snapshots []conversation.Snapshot) (b *batch, err error) {
	doing := "sync conversation " + snapshots[0].Conversation
	if len(snapshots) > 1 {
		doing = fmt.Sprintf("sync %d conversations", len(snapshots))
	}
	sync := func(alone bool) error {
		write := d.SharedTx
		if alone {
			write = d.ExclusiveTx
		}
		return write(ctx, doing, func(tx *desk.Tx) error {
			b = newBatch(tx, snapshots, d.Now())
			b.alone = alone
			return b.run(ctx)
		})
	}
	err = sync(false)
	if errors.Is(err, errNotBeside) {
		err = sync(true)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range b.snapshots {
		if !s.held {
			continue
		}
		if len(s.foreign) > 0 {
			d.Log().ErrorContext(ctx, "SIDs of other conversations refused", "conversation", s.snapshot.Conversation, "sids", s.foreign)
		}
		if s.lost > 0 {
			d.Log().ErrorContext(ctx, "desk has lost events, routing continues",
				"conversation", s.snapshot.Conversation, "lost", s.lost)
		}
		d.Changed(s.snapshot.Conversation)
	}
	return b, nil
}

// errNotBeside ends a snapshot in a shared transaction: it must be applied in an exclusive one.
var errNotBeside = errors.New("others may be at what it changes")

// batch is snapshots of different conversations that are applied in one transaction. The number of its statements does
// not depend on how many they are: reads come first, then Go decides, then all rows of a table are written at once.
type batch struct {
	*desk.Tx
	now time.Time
	// alone is set in an exclusive transaction.
	alone bool
	// snapshots are in order of SID, in which their conversations are locked. news are those that are applied: held,
	// and not older than what the desk shows.
	snapshots, news []*syncing
	settings        conversation.Settings
	// previous are tasks from which transfers came.
	previous map[string]origin
	// loads and presences are those of the agents whose tasks have changed.
	loads     map[agentChannel]load
	presences map[string]desk.Presence
}

// agentChannel is an agent on a channel.
type agentChannel struct {
	agent   string
	channel conversation.Channel
}

func (a agentChannel) compare(other agentChannel) int {
	return cmp.Or(cmp.Compare(a.agent, other.agent), cmp.Compare(a.channel, other.channel))
}

// load is how many tasks and matches an agent has on a channel, and how many they take.
type load struct{ load, capacity int }

func newBatch(tx *desk.Tx, snapshots []conversation.Snapshot, now time.Time) *batch {
	b := &batch{Tx: tx, now: now}
	for _, p := range snapshots {
		b.snapshots = append(b.snapshots, &syncing{snapshot: p, now: now, touched: map[string]bool{}, freed: map[string]bool{}})
	}
	slices.SortFunc(b.snapshots, func(a, b *syncing) int { return cmp.Compare(a.snapshot.Conversation, b.snapshot.Conversation) })
	return b
}

func (b *batch) run(ctx context.Context) error {
	if err := b.read(ctx); err != nil {
		return err
	}
	for _, s := range b.snapshots {
		if s.held && s.begin() {
			b.news = append(b.news, s)
		}
	}
	for _, step := range []func(context.Context) error{b.write, b.endOthers, b.countLoads, b.applyTimeouts, b.match} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, s := range b.news {
		s.answer = s.acknowledge(s.snapshot.Revision, s.last)
	}
	return nil
}

// of returns the snapshot of the conversation, nil if there is none.
func (b *batch) of(sid string) *syncing {
	at, found := slices.BinarySearchFunc(b.snapshots, sid, func(s *syncing, sid string) int { return cmp.Compare(s.snapshot.Conversation, sid) })
	if !found {
		return nil
	}
	return b.snapshots[at]
}

// read locks the conversations with their live tasks, and reads what the desk has of them. A later statement of the
// pipeline sees what others have committed before the lock was granted.
func (b *batch) read(ctx context.Context) error {
	sids := make([]string, len(b.snapshots))
	for i, s := range b.snapshots {
		sids[i] = s.snapshot.Conversation
	}
	p := b.Pipeline()
	if err := b.lock(p, sids); err != nil {
		return err
	}
	theirSID, _ := b.Among("sid", 1, sids)
	theirs, arg := b.Among("conversation", 1, sids)
	p.Each(func(r sqldb.Row) error {
		var sid string
		var known stored
		err := r.Scan(&sid, &known.revision, &known.events, &known.messages)
		known.found = true
		b.of(sid).stored = known
		return err
	}, `SELECT sid, revision, events, messages FROM conversations WHERE `+theirSID, arg)
	p.Each(func(r sqldb.Row) error {
		m, err := scanMatch(r)
		if err != nil {
			return err
		}
		s := b.of(m.conversation)
		s.open = append(s.open, m)
		return nil
	}, selectMatches+` WHERE `+theirs, arg)
	p.Each(func(r sqldb.Row) error {
		var sid, reservation string
		err := r.Scan(&sid, &reservation)
		s := b.of(sid)
		s.declines = append(s.declines, reservation)
		return err
	}, `SELECT conversation, reservation FROM declines WHERE `+theirs, arg)
	if err := b.readEvents(p); err != nil {
		return err
	}
	b.readPrevious(p)
	desk.QueueSettings(p, &b.settings)
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("read what the desk has", err)
	}
	return nil
}

// lock locks the conversations, so that snapshots are applied one after the other and no other transaction matches
// their tasks meanwhile. A row that does not exist cannot be locked: the first snapshot inserts the conversation's
// row first.
func (b *batch) lock(p *sqldb.Pipeline, sids []string) error {
	for _, s := range b.snapshots {
		s.held = !b.LocksRows()
	}
	if !b.LocksRows() {
		return nil
	}
	missing := sqldb.NewRows(sqldb.Texts("of_sid", "of_status", "of_channel"), sqldb.Numbers("of_created_at"))
	for _, s := range b.snapshots {
		if err := missing.Add(s.snapshot.Conversation, string(s.snapshot.Status), string(s.snapshot.Channel), sqldb.Micros(s.snapshot.CreatedAt)); err != nil {
			return err
		}
	}
	rows, args := b.Table(1, missing)
	p.Exec(`INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events, messages, gone, created_at, closed_at)
		SELECT of_sid, of_status, of_channel, '', '', 0, 0, 0, 0, of_created_at, 0 FROM `+rows+` WHERE true ON CONFLICT (sid) DO NOTHING`, args...)
	locking := b.RowsOf("conversations")
	if len(sids) > 1 {
		locking = b.SkipLocked("conversations")
	}
	theirs, arg := b.Among("sid", 1, sids)
	conversations := `SELECT sid FROM conversations WHERE ` + theirs + ` ORDER BY sid` + locking
	p.Each(func(r sqldb.Row) error {
		sid, err := sqldb.Value[string](r)
		b.of(sid).held = true
		return err
	}, conversations, arg)
	p.Each(func(sqldb.Row) error { return nil }, `SELECT sid FROM tasks WHERE conversation IN (`+conversations+`)
		AND completed_at = 0 AND canceled_at = 0 ORDER BY sid`+b.RowsOf("tasks"), arg)
	return nil
}

// readEvents reads the events that the desk has under the numbers of the snapshots' events.
func (b *batch) readEvents(p *sqldb.Pipeline) error {
	sent := sqldb.NewRows(sqldb.Texts("of_conversation"), sqldb.Numbers("first_number", "last_number"))
	for _, s := range b.snapshots {
		if events := s.snapshot.Events; len(events) > 0 {
			if err := sent.Add(s.snapshot.Conversation, events[0].Number, events[len(events)-1].Number); err != nil {
				return err
			}
		}
	}
	if sent.Len() == 0 {
		return nil
	}
	rows, args := b.Table(1, sent)
	p.Each(func(r sqldb.Row) error {
		var sid string
		var e storedEvent
		err := r.Scan(&sid, &e.number, &e.name, &e.at)
		s := b.of(sid)
		s.stored.sent = append(s.stored.sent, e)
		return err
	}, `SELECT conversation, number, name, at FROM `+rows+` JOIN events ON conversation = of_conversation AND number BETWEEN first_number AND last_number`, args...)
	return nil
}

// readPrevious reads the tasks from which the transfers of the snapshots came.
func (b *batch) readPrevious(p *sqldb.Pipeline) {
	var sids []string
	for _, s := range b.snapshots {
		for _, tr := range s.snapshot.Transfers {
			sids = append(sids, tr.FromTask)
		}
	}
	if len(sids) == 0 {
		return
	}
	b.previous = map[string]origin{}
	previous, arg := b.Among("sid", 1, sids)
	p.Each(func(r sqldb.Row) error {
		var sid string
		var from origin
		err := r.Scan(&sid, &from.queue, &from.agent)
		b.previous[sid] = from
		return err
	}, `SELECT sid, queue, from_agent FROM tasks WHERE `+previous, arg)
}

// endOthers handles whole snapshots. It ends what the desk shows as live and the snapshot does not have, and
// brings reservations to the state that the snapshot's tasks name.
func (b *batch) endOthers(ctx context.Context) error {
	for _, s := range b.news {
		if s.snapshot.Whole {
			if err := s.endOthers(ctx, b.Tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// touched returns the agents whose tasks have changed.
func (b *batch) touched() []agentChannel {
	var touched []agentChannel
	for _, s := range b.news {
		for agent := range s.touched {
			touched = append(touched, agentChannel{agent, s.snapshot.Channel})
		}
	}
	slices.SortFunc(touched, agentChannel.compare)
	return slices.Compact(touched)
}

func (b *batch) countLoads(ctx context.Context) error {
	touched := b.touched()
	if len(touched) == 0 {
		return nil
	}
	if err := desk.LockRouting(ctx, b.Tx); err != nil {
		return err
	}
	p := b.Pipeline()
	b.loads = map[agentChannel]load{}
	if err := queueLoads(b.Tx, p, touched, b.loads); err != nil {
		return err
	}
	b.presences = map[string]desk.Presence{}
	queueIdle(b.Tx, p, touched, sqldb.Micros(b.now), b.presences)
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("count loads", err)
	}
	return nil
}

// sendsAway reports whether the event may make an agent unavailable: see timeoutActivity.
func sendsAway(e conversation.Event) bool {
	return e.Name == conversation.EventReservationTimeout && !e.Excused
}

// applyTimeouts makes agents unavailable who let an offer expire. It declines offers to agents who are no longer
// available or have no room any more.
func (b *batch) applyTimeouts(ctx context.Context) error {
	for _, s := range b.news {
		for _, e := range s.news {
			switch {
			case e.Name == conversation.EventReservationCreated:
				task := s.taskInSnapshot(e.Task)
				if task == nil || !task.OfferedTo(e.Agent) || task.Reservation.SID != e.Reservation {
					continue
				}
				switch {
				case b.presences[e.Agent] != desk.PresenceAvailable:
					s.decline = append(s.decline, e)
				case b.overdrawn(s, task):
					s.decline = append(s.decline, e)
					key := agentChannel{e.Agent, s.snapshot.Channel}
					b.loads[key] = load{b.loads[key].load - 1, b.loads[key].capacity} // one offer less is too many
				}
			case sendsAway(e) && b.settings.TimeoutActivity:
				if err := b.sendAway(ctx, s, e); err != nil {
					return err
				}
			}
		}
	}
	return b.declineOffers(ctx)
}

func (b *batch) sendAway(ctx context.Context, s *syncing, e conversation.Event) error {
	if err := b.refuseBeside(ctx, s, e.Agent); err != nil {
		return err
	}
	if err := timeoutActivity(ctx, b.Tx, s.snapshot.Conversation, e, sqldb.Micros(b.now)); err != nil {
		return err
	}
	s.open = slices.DeleteFunc(s.open, func(p match) bool { return p.agent == e.Agent })
	return nil
}

// refuseBeside returns errNotBeside when the agent, who is to become unavailable, has matches or offers in other
// conversations and the transaction is shared: other transactions may be changing those.
func (b *batch) refuseBeside(ctx context.Context, s *syncing, agent string) error {
	if b.alone || !b.LocksRows() {
		return nil
	}
	_, elsewhere, err := sqldb.First(ctx, b.Tx, sqldb.Value[int],
		`SELECT 1 FROM placements WHERE agent = $1 AND conversation <> $2
			UNION ALL SELECT 1 FROM reservations WHERE agent = $1 AND status = 'pending' AND conversation <> $2 LIMIT 1`, agent, s.snapshot.Conversation)
	if err == nil && elsewhere {
		return errNotBeside
	}
	return err
}

// overdrawn reports whether an offer whose match the desk had released takes its agent above their capacity. The
// match was on its way when the agent became unavailable, and when the agent was available again, other tasks took
// its place.
func (b *batch) overdrawn(s *syncing, task *conversation.Task) bool {
	if task.Direct || slices.Contains(s.confirmed, task.Reservation.SID) {
		return false
	}
	l := b.loads[agentChannel{task.Agent, s.snapshot.Channel}]
	return l.load > l.capacity
}

// match matches the conversations' own waiting tasks, and other tasks for agents who have become free.
func (b *batch) match(ctx context.Context) error {
	m := matching{Tx: b.Tx, now: b.now, own: b.of, room: matchedBySync * len(b.news), settings: &b.settings}
	var direct []string
	for _, s := range b.news {
		for _, task := range s.snapshot.Tasks {
			switch {
			case !s.waits(task):
			case task.Direct:
				direct = append(direct, task.Agent)
			default:
				m.addLine(task.Queue, s.snapshot.Channel)
			}
		}
	}
	freed := b.freed()
	if len(direct)+len(m.lines)+len(freed) == 0 {
		return nil
	}
	if err := desk.LockRouting(ctx, b.Tx); err != nil {
		return err
	}
	if err := m.addLinesOf(ctx, freed); err != nil {
		return err
	}
	if err := m.matchDirect(ctx, direct); err != nil {
		return err
	}
	if err := m.matchLines(ctx); err != nil {
		return err
	}
	for _, p := range m.made {
		if s := b.of(p.conversation); s != nil && s.held {
			s.open = append(s.open, p)
		} else {
			b.WakeDelivery()
		}
	}
	if m.room == 0 {
		b.WakeMatching()
	}
	return nil
}

// freed returns the agents who may have room now.
func (b *batch) freed() []agentChannel {
	var freed []agentChannel
	for _, s := range b.news {
		for agent := range s.freed {
			freed = append(freed, agentChannel{agent, s.snapshot.Channel})
		}
	}
	slices.SortFunc(freed, agentChannel.compare)
	return slices.Compact(freed)
}
