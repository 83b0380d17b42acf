package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// placing is the cost of matching one task among Waiting tasks.
type placing struct {
	Waiting int `json:"waiting"`
	// JoinMillis is how long a new task takes to join the queue. TakeMillis is how long an agent who becomes free
	// takes to be matched with the best task. PlaceMillis is the sum. All are p50.
	JoinMillis  float64 `json:"join_p50_ms"`
	TakeMillis  float64 `json:"take_p50_ms"`
	PlaceMillis float64 `json:"place_p50_ms"`
	// ToShortest is PlaceMillis divided by that of the shortest line.
	ToShortest float64 `json:"to_shortest"`
}

// everybodyElse is how many other agents are on the queue, with no capacity left.
const everybodyElse = 50

// freed is the agent who becomes free.
const freed = "zoe"

// measurePlacing fills a desk for each length of the line, and then places tasks at all desks in turn.
func measurePlacing(ctx context.Context, p plan, desks *databases, progress io.Writer) (figures []placing, err error) {
	lines := make([]*waitingLine, len(p.waiting))
	defer func() {
		for _, l := range lines {
			if l != nil {
				err = errors.Join(err, l.desk.Close())
			}
		}
	}()
	for i, waiting := range p.waiting {
		say(progress, "placing: %d tasks begin to wait", waiting)
		database, err := desks.make(ctx, "waiting_"+strconv.Itoa(waiting))
		if err != nil {
			return nil, err
		}
		if lines[i], err = openLine(ctx, database, waiting); err != nil {
			return nil, fmt.Errorf("let %d tasks wait: %w", waiting, err)
		}
	}
	say(progress, "placing: %d tasks in each line", p.placings)
	for range p.placings {
		for _, l := range lines {
			if err := l.placeOne(ctx); err != nil {
				return nil, fmt.Errorf("place a task among %d: %w", l.waiting, err)
			}
		}
	}
	for _, l := range lines {
		figures = append(figures, placing{
			Waiting: l.waiting, JoinMillis: l.joins.percentile(0.5), TakeMillis: l.takes.percentile(0.5), PlaceMillis: l.places.percentile(0.5),
			ToShortest: ratio(l.places.percentile(0.5), lines[0].places.percentile(0.5)),
		})
	}
	return figures, nil
}

// waitingLine is a desk with a long line of waiting tasks.
type waitingLine struct {
	desk    *desk.Desk
	waiting int
	// started counts the conversations. Each started a moment after the one before.
	started              int
	joins, takes, places timings
}

func openLine(ctx context.Context, database string, waiting int) (*waitingLine, error) {
	d, err := desk.Open(ctx, database, desk.Options{})
	if err != nil {
		return nil, err
	}
	l := &waitingLine{desk: d, waiting: waiting}
	if err := l.fill(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return l, nil
}

func (l *waitingLine) fill(ctx context.Context) error {
	if err := people.AddQueue(ctx, l.desk, queueSupport); err != nil {
		return err
	}
	members := []string{freed}
	if err := people.AddAgent(ctx, l.desk, people.NewAgent{Name: freed, Capacity: 1, Presence: desk.PresenceBreak}); err != nil {
		return err
	}
	for i := range everybodyElse {
		name := fmt.Sprintf("agent-%02d", i)
		members = append(members, name)
		if err := people.AddAgent(ctx, l.desk, people.NewAgent{Name: name, Capacity: 1, Presence: desk.PresenceAvailable}); err != nil {
			return err
		}
	}
	if err := people.SetMembers(ctx, l.desk, queueSupport, members...); err != nil {
		return err
	}
	for range everybodyElse + l.waiting {
		if err := l.join(ctx); err != nil {
			return err
		}
	}
	return nil
}

// placeOne adds a task to the line, and makes an agent available, who is matched with the best task.
func (l *waitingLine) placeOne(ctx context.Context) error {
	began := time.Now()
	if err := l.join(ctx); err != nil {
		return err
	}
	if err := routing.Dispatch(ctx, l.desk); err != nil {
		return err
	}
	joined := time.Now()
	if err := routing.SetPresence(ctx, l.desk, freed, desk.PresenceAvailable); err != nil {
		return err
	}
	if err := routing.Dispatch(ctx, l.desk); err != nil {
		return err
	}
	taken := time.Now()
	l.joins.add(joined.Sub(began))
	l.takes.add(taken.Sub(joined))
	l.places.add(taken.Sub(began))

	agent, err := people.FindAgent(ctx, l.desk, freed)
	if err != nil {
		return err
	}
	for _, channel := range agent.Channels {
		if channel.Channel == conversation.ChannelWeb && channel.Load != 1 {
			return fmt.Errorf("%s was matched with %d tasks, and 1 was expected", freed, channel.Load)
		}
	}
	// An agent who leaves releases the match: the line is as before, and one task longer.
	return routing.SetPresence(ctx, l.desk, freed, desk.PresenceBreak)
}

// join starts a conversation: its first snapshot reaches the desk, and its task is matched or waits.
func (l *waitingLine) join(ctx context.Context) error {
	snapshot, err := firstPicture(time.Now(), l.started)
	if err != nil {
		return err
	}
	l.started++
	_, err = routing.Sync(ctx, l.desk, snapshot)
	return err
}

// firstPicture returns the first snapshot that a conversation sends to the desk.
func firstPicture(now time.Time, number int) (conversation.Snapshot, error) {
	var state conversation.State
	result, err := state.Apply(conversation.StartCommand{
		Conversation: baton.NewConversation(), Channel: conversation.ChannelWeb,
		Customer:   conversation.Customer{Name: "Customer " + strconv.Itoa(number), Address: strconv.Itoa(number) + "@example.com"},
		Queue:      queueSupport,
		Attributes: conversation.Attributes{"order_id": baton.Attribute(strconv.Itoa(number)), "tier": baton.Attribute("gold")},
	}, &conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true, QueueMembers: 1}, now)
	if err != nil {
		return conversation.Snapshot{}, err
	}
	return state.Snapshot(result.Events, result.Notes), nil
}
