package main

import "context"

// The kinds of workflow that are compared.
const (
	kindBare  = "a bare update"
	kindNoted = "b bare update, attribute"
	kindBaton = "conversation"
)

// subject is a workflow under measurement. One client at a time sends it commands.
type subject interface {
	// id returns the workflow ID.
	id() string
	// steps returns the names of the commands that it takes in a cycle.
	steps() []string
	// step sends the next command, waits for its outcome, and returns its name.
	step(ctx context.Context) (string, error)
	// end closes the workflow.
	end(ctx context.Context) error
}

// open starts a workflow of that kind and returns it ready for its first step. Workflows that run at the same time
// have different numbers.
func (s *environment) open(ctx context.Context, kind string, number int) (subject, error) {
	if kind == kindBaton {
		return openTalk(ctx, s, number)
	}
	return openBare(ctx, s, kind)
}

// kindsInOrder rotates the kinds by round, so that none is always first.
func kindsInOrder(round int) []string {
	kinds := []string{kindBare, kindNoted, kindBaton}
	first := round % len(kinds)
	return append(kinds[first:len(kinds):len(kinds)], kinds[:first]...)
}
