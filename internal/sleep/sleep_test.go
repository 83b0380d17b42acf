package sleep_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/sleep"
)

func TestASleepEndsWithTheFirstOfItsReasons(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	close(closed)
	for name, one := range map[string]struct {
		woken <-chan struct{}
		ends  time.Duration // of the context, after the begin
		took  time.Duration
		err   error
	}{
		"the time":        {ends: time.Hour, took: time.Minute},
		"the wake-up":     {woken: closed, ends: time.Hour},
		"the context":     {ends: time.Second, took: time.Second, err: context.DeadlineExceeded},
		"an over context": {ends: 0, err: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), one.ends)
				defer cancel()
				began := time.Now()
				require.ErrorIs(t, sleep.Until(ctx, one.woken, time.Minute), one.err)
				require.Equal(t, one.took, time.Since(began))
			})
		})
	}
}

func TestASleepOfNoTimeNoticesAnOverContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, sleep.For(ctx, -time.Second))
	cancel()
	require.ErrorIs(t, sleep.For(ctx, 0), context.Canceled)
}

func TestASleepReturnsTheCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.EOF)
	require.ErrorIs(t, sleep.For(ctx, time.Hour), io.EOF)
}
