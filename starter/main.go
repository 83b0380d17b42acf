// Command starter is Baton's command line, which is built as `baton`. It shows a demo, runs everything on one machine
// (`dev`), and sends commands to conversations, the desk and replays.
//
// It parses input and prints results; it contains no rules, storage or routing. Exit codes: 0 done, 1 refused
// (`code: sentence` on stderr) or failed, 2 wrong usage.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/baton-transfers/baton/internal/deskload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var code int
	if deskload.IsCaller(os.Args) { // `baton bench desk` has started this process
		code = call(ctx)
	} else {
		code = run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(code)
}

// call runs the conversations of `baton bench desk`.
func call(ctx context.Context) (code int) {
	if err := deskload.Caller(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitRefused
	}
	return exitDone
}
