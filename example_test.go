package baton_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
)

// A service connects to Temporal with the keys of Baton's workers, and starts a conversation that waits in a queue.
func ExampleClient_Start() {
	ctx := context.Background()
	keys, err := codec.ParseKeyRing("") // nothing is encrypted
	if err != nil {
		log.Fatal(err)
	}
	temporal, err := client.DialContext(ctx, codec.ClientOptions(keys, client.Options{HostPort: "localhost:7233"}))
	if err != nil {
		log.Fatal(err)
	}
	defer temporal.Close()
	b := baton.NewClient(temporal)
	sid, err := b.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support", Customer: conversation.Customer{Name: "Crystal Minh"},
		Attributes: conversation.Attributes{"order": baton.Attribute("3348917502")},
	})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println("started", sid)
}

// Alice transfers the conversation to a queue. Then she wraps up.
func ExampleClient_Transfer() {
	ctx := context.Background()
	var b *baton.Client // from NewClient
	var sid string      // from Client.Start
	outcome, err := b.Transfer(ctx, sid, conversation.TransferCommand{
		From: "alice", To: conversation.Target{Queue: "billing"}, Note: "Charged twice.",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("waits as", outcome.Task.SID)
	if _, err := b.Wrapup(ctx, sid, conversation.WrapupCommand{Agent: "alice", Disposition: "transferred"}); err != nil {
		log.Fatal(err)
	}
}

// A service waits until an agent is offered the conversation.
func ExampleClient_Await() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var b *baton.Client // from NewClient
	var sid string      // from Client.Start
	record, err := b.Await(ctx, sid, func(r conversation.Record) bool {
		return r.Tasks[len(r.Tasks)-1].Status == conversation.TaskReserved
	})
	if err != nil {
		log.Print(err) // the minute is over, or the start was refused
		return
	}
	fmt.Println("offered to", record.Tasks[len(record.Tasks)-1].Agent)
}

// The sequence requests further pages while the loop runs.
func ExampleClient_List() {
	var b *baton.Client // from NewClient
	for info, err := range b.List(context.Background(), `ConversationStatus = "active" AND ConversationQueue = "billing"`) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Conversation, info.Agents)
	}
}

// A refusal is an expected answer: its code says what to do. Other errors are of the connection or the server.
func Example_refusal() {
	answer := func(err error) string {
		switch conversation.CodeOf(err) {
		case conversation.CodeMessagingTransfersOff:
			return "an administrator has to enable transfers"
		case conversation.CodeUnknownAgent, conversation.CodeUnknownQueue, conversation.CodeTargetNotAvailable:
			return "choose another target"
		}
		if baton.Unavailable(err) {
			return "try again later"
		}
		return err.Error()
	}
	refused := conversation.Refuse(conversation.CodeUnknownQueue, conversation.Details{Queue: "biling"}, "there is no queue biling")
	fmt.Println(answer(refused))
	fmt.Println(answer(fmt.Errorf("transfer: %w", context.DeadlineExceeded)))
	fmt.Println(answer(errors.New("transfer: the server is of another version")))
	// Output:
	// choose another target
	// try again later
	// transfer: the server is of another version
}
