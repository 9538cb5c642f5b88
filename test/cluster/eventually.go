package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// pollInterval is the time between two checks of Wait. What a test waits for
// here takes milliseconds on an idle machine.
const pollInterval = 20 * time.Millisecond

// Eventually calls check until it returns nil, and ends the test with its last
// error if it does not within timeout. It must be called from the test's own
// goroutine.
func Eventually(t testing.TB, timeout time.Duration, check func() error) {
	t.Helper()
	if err := Wait(t.Context(), timeout, check); err != nil {
		t.Fatal(err)
	}
}

// Wait calls check until it returns nil. When that takes longer than timeout,
// or ctx ends, it returns an error that wraps the last one of check.
func Wait(ctx context.Context, timeout time.Duration, check func() error) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			return fmt.Errorf("after %v: %w", timeout, err)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
