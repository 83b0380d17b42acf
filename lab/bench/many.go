package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// manyClients runs one client at each of many workflows of each kind. The kinds take turns in short slices, so that
// other load on the machine affects all of them.
func (m *measured) manyClients(ctx context.Context, s *environment, p plan, number int) error {
	subjects := map[string][]subject{}
	for _, kind := range kindsInOrder(number) {
		opened, err := s.openMany(ctx, kind)
		if err != nil {
			return err
		}
		subjects[kind] = opened
	}
	took := round{}
	for slice := range p.slices {
		for _, kind := range kindsInOrder(number + slice) {
			if err := s.closedLoop(ctx, subjects[kind], p.slice, took); err != nil {
				return err
			}
		}
	}
	m.many = append(m.many, took)
	for _, opened := range subjects {
		if err := each(ctx, clients, func(ctx context.Context, i int) error { return opened[i].end(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *environment) openMany(ctx context.Context, kind string) ([]subject, error) {
	subjects := make([]subject, clients)
	err := each(ctx, clients, func(ctx context.Context, i int) (err error) {
		subjects[i], err = s.open(ctx, kind, i)
		return err
	})
	return subjects, err
}

// closedLoop commands the workflows for the length of a slice. Each client sends the next command when it has the
// answer. Work left from an earlier slice is awaited first.
func (s *environment) closedLoop(ctx context.Context, subjects []subject, slice time.Duration, into round) error {
	for _, on := range subjects {
		if _, err := s.quiet(ctx, on.id()); err != nil {
			return err
		}
	}
	took := make([]round, len(subjects))
	began := time.Now()
	err := each(ctx, len(subjects), func(ctx context.Context, i int) error {
		took[i] = round{}
		for time.Since(began) < slice {
			if err := took[i].step(ctx, subjects[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, one := range took {
		into.merge(one)
	}
	into.lasted(subjects[0].steps(), time.Since(began))
	return nil
}

// each calls do for every number below count at once.
func each(ctx context.Context, count int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range count {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait() //nolint:wrapcheck // do's error already says what failed
}
