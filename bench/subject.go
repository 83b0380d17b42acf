package main

import "context"

// The kinds of workflow that are compared.
const (
	kindBare  = "a bare update"
	kindNoted = "b bare update, attribute"
	kindBaton = "conversation"
)

// subject is a workflow under measurement, commanded by one client at a time.
type subject interface {
	// id is the workflow's ID.
	id() string
	// steps are the names of the commands that it takes, one after the other and round again.
	steps() []string
	// step sends the next of them, waits for its outcome, and returns its name.
	step(ctx context.Context) (string, error)
	// end closes the workflow.
	end(ctx context.Context) error
}

// open starts a workflow of that kind and returns it ready for its first step. The number tells
// apart those that run at the same time.
func (s *environment) open(ctx context.Context, kind string, number int) (subject, error) {
	if kind == kindBaton {
		return openTalk(ctx, s, number)
	}
	return openBare(ctx, s, kind)
}

// kindsInOrder are the kinds in another order each round, so that none is always first.
func kindsInOrder(round int) []string {
	kinds := []string{kindBare, kindNoted, kindBaton}
	first := round % len(kinds)
	return append(kinds[first:len(kinds):len(kinds)], kinds[:first]...)
}
