// Command starter is Baton's command line: it tells the demo's story, runs everything on one machine
// (`dev`), and drives conversations, the desk and replays from a terminal.
//
// It reads and prints; rules, records and routing may not come in. Exit codes: 0 done, 1 refused
// (`code: sentence` on stderr) or failed, 2 wrong usage.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
