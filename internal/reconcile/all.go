package reconcile

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/internal/routing"
)

const (
	// page is how many open conversations are read at a time.
	page = 500
	// atOnce is how many conversations [Reconciler.All] compares at a time, atOnceBehind how many [Reconciler.Run]
	// does.
	atOnce, atOnceBehind = 16, 2
	// every is how often each conversation is compared in the background. listsEvery is how often the background
	// looks for conversations that the desk does not know.
	every, listsEvery = 30 * time.Second, 30 * time.Second
	// tick is how often a batch of conversations is taken for comparison, taken the size of the batch.
	tick, taken = time.Second, 10
	// enough is the timeout of one comparison.
	enough = time.Minute
)

// All compares every conversation that is open at the desk and every running workflow. It calls each with every
// result, one call at a time. A comparison that fails is passed with its error, and the others continue.
func (r *Reconciler) All(ctx context.Context, each func(sid string, o Outcome, err error)) error {
	open, err := r.open(ctx)
	if err != nil {
		return err
	}
	sids := make([]string, 0, len(open))
	for sid := range open {
		sids = append(sids, sid)
	}
	hidden, err := r.hidden(ctx, open)
	if err != nil {
		return err
	}
	r.each(ctx, append(sids, hidden...), atOnce, each)
	return ctx.Err()
}

func (r *Reconciler) open(ctx context.Context) (map[string]bool, error) {
	open := map[string]bool{}
	for after := ""; ; {
		sids, err := routing.OpenConversations(ctx, r.desk, after, page)
		if err != nil {
			return nil, err
		}
		for _, sid := range sids {
			open[sid], after = true, sid
		}
		if len(sids) < page {
			return open, nil
		}
	}
}

// hidden returns the conversations that run and that the desk does not have as open.
func (r *Reconciler) hidden(ctx context.Context, open map[string]bool) (sids []string, err error) {
	for info, err := range r.conversations.List(ctx, `ExecutionStatus = "Running"`) {
		if err != nil {
			return nil, fmt.Errorf("list the conversations that run: %w", err)
		}
		if !open[info.Conversation] {
			sids = append(sids, info.Conversation)
		}
	}
	return sids, nil
}

func (r *Reconciler) each(ctx context.Context, sids []string, atOnce int, each func(string, Outcome, error)) {
	var mutex sync.Mutex
	var under sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for _, sid := range sids {
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		under.Go(func() {
			defer func() { <-free }()
			within, cancel := context.WithTimeout(ctx, enough)
			defer cancel()
			outcome, err := r.One(within, sid)
			mutex.Lock()
			defer mutex.Unlock()
			each(sid, outcome, err)
		})
	}
	under.Wait()
}

// Run compares conversations in the background until ctx ends. It compares each conversation every half minute, a
// few at a time, and continues without a pause while it finds differences. Several processes share the work.
func (r *Reconciler) Run(ctx context.Context) error {
	var listing sync.WaitGroup
	defer listing.Wait()
	listing.Go(func() { // concurrently, because it lists all of them
		_ = ticking(ctx, listsEvery/10, func() {
			if err := r.listed(ctx); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "running conversations not compared, retrying", "error", err)
			}
		})
	})
	return ticking(ctx, tick, func() {
		for differ := true; differ && ctx.Err() == nil; {
			differ = r.some(ctx)
		}
	})
}

// ticking calls do at every tick until ctx ends, and returns ctx's error.
func ticking(ctx context.Context, every time.Duration, do func()) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			do()
		}
	}
}

// some compares a batch of conversations, and reports whether the desk differed for at least one of them.
func (r *Reconciler) some(ctx context.Context) bool {
	sids, err := routing.TakeToCompare(ctx, r.desk, every, taken)
	if err != nil {
		if ctx.Err() == nil {
			r.log.WarnContext(ctx, "conversations not compared, retrying", "error", err)
		}
		return false
	}
	var differ atomic.Bool
	r.each(ctx, sids, atOnceBehind, func(_ string, o Outcome, err error) {
		// A conversation that cannot be read now is compared again later: a worker that can read it may be
		// starting.
		if err == nil && o != Agrees && o != Differs {
			differ.Store(true)
		}
	})
	return differ.Load()
}

// listed compares the running conversations that the desk does not have as open. A desk that was restored from an
// older backup does not know them.
func (r *Reconciler) listed(ctx context.Context) error {
	mine, err := routing.Lease(ctx, r.desk, "list conversations", listsEvery)
	if err != nil || !mine {
		return err
	}
	open, err := r.open(ctx)
	if err != nil {
		return err
	}
	hidden, err := r.hidden(ctx, open)
	if err != nil {
		return err
	}
	failed := 0
	var last error
	r.each(ctx, hidden, atOnceBehind, func(_ string, _ Outcome, err error) {
		if err != nil {
			failed, last = failed+1, err
		}
	})
	if failed > 0 {
		return fmt.Errorf("%d conversations, of which the last: %w", failed, last)
	}
	return nil
}
