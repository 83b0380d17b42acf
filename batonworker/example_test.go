package batonworker_test

import (
	"context"
	"log"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/batonworker"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/workflows"
)

// A program runs conversations on Baton's desk.
func ExampleStart() {
	ctx := context.Background()
	var temporal client.Client // made with the options of codec.ClientOptions
	var keys *codec.KeyRing    // nil: nothing is encrypted
	desk, err := batonworker.OpenDesk(ctx, "postgres://baton@localhost/baton", batonworker.DeskOptions{Keys: keys})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = desk.Close() }()
	w, err := batonworker.Start(ctx, temporal, desk, batonworker.Options{Keys: keys})
	if err != nil {
		log.Print(err)
		return
	}
	defer w.Stop()
}

// A program runs conversations on a desk of its own, which implements [activities.Desk].
func Example_ownDesk() {
	var temporal client.Client // made with the options of codec.ClientOptions
	var keys *codec.KeyRing    // nil: nothing is encrypted
	var desk activities.Desk   // the program's own
	w := worker.New(temporal, workflows.TaskQueue, codec.WorkerOptions(keys))
	workflows.Register(w)
	activities.Register(w, desk)
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Fatal(err)
	}
}
