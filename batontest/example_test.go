package batontest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
)

// A test replays the histories that were recorded in production, which are encrypted.
func ExampleReplay() {
	var t *testing.T // the test's own
	keys, err := codec.ParseKeyRing("2026-12:…")
	if err != nil {
		t.Fatal(err)
	}
	batontest.Replay(t, "testdata/histories/*.json", keys)
}

// service is a program that uses Baton. It declares the methods of baton.Client that it calls.
type service struct {
	conversations interface {
		Start(ctx context.Context, start conversation.StartCommand) (string, error)
		State(ctx context.Context, sid string) (conversation.Record, error)
	}
}

// welcome starts a conversation of a customer, and returns its status.
func (s service) welcome(ctx context.Context, customer string) (conversation.ConversationStatus, error) {
	sid, err := s.conversations.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support", Customer: conversation.Customer{Name: customer},
	})
	if err != nil {
		return "", err
	}
	record, err := s.conversations.State(ctx, sid)
	return record.Status, err
}

// A test of a service uses Baton's desk, on a temporary database, and the engine in place of the client.
func ExampleNewDesk() {
	var t *testing.T // the test's own
	desk := batontest.NewDesk(t)
	desk.AddAgent("alice")
	desk.AddQueue("support", "alice")
	status, err := service{desk.Engine()}.welcome(t.Context(), "Crystal Minh")
	if err != nil || status != conversation.ConversationActive {
		t.Error(status, err)
	}
}

// smallDesk knows one queue and no agents, so that every task waits.
type smallDesk struct{}

func (smallDesk) Facts(_ context.Context, query conversation.FactsQuery) (conversation.Facts, error) {
	return conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: query.Queue == "support"}, nil
}

func (smallDesk) Sync(context.Context, conversation.Snapshot) (conversation.Acknowledgement, error) {
	return conversation.Acknowledgement{}, nil
}

// The engine also runs on a desk of your own.
func ExampleNewEngine() {
	s := service{batontest.NewEngine(smallDesk{})}
	fmt.Println(s.welcome(context.Background(), "Crystal Minh"))
	// Output: active <nil>
}
