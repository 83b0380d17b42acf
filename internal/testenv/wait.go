package testenv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton/internal/sleep"
)

// Patience is how long anything may take that happens eventually, on a busy machine or after a crash.
const Patience = 60 * time.Second

// ErrNoStop is the error of stopping a process on a system that cannot.
var ErrNoStop = errors.New("this system cannot stop a process: there is no SIGSTOP")

// poll is the shortest interval of [Await].
const poll = 10 * time.Millisecond

// Await polls the condition until it holds. It returns an error if the condition does, or if it does not hold within
// the time given or before ctx ends. The error names what was waited for. The interval is no shorter than the condition
// takes, so that an expensive one takes at most half of a processor.
func Await(ctx context.Context, within time.Duration, what string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it did not happen within %s", within))
	defer cancel()
	for {
		asked := time.Now()
		holds, err := condition()
		if err == nil && !holds {
			err = sleep.For(ctx, max(poll, time.Since(asked)))
		}
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if holds {
			return nil
		}
	}
}

// Each calls call for every element, atOnce at a time, and returns all errors joined.
func Each[T any](all []T, atOnce int, call func(T) error) error {
	errs := make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, one := range all {
		group.Go(func() error {
			errs[i] = call(one) // the others are called all the same
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	return errors.Join(errs...)
}
