package informer

import (
	"context"
	"errors"
	"testing"
	"time"
)

// waited is a follower that is waited for.
type waited struct {
	follower
	done *bool
}

func (w waited) wait() { *w.done = true }

// What Run has started is over when it returns.
func TestDiscoveryWaits(t *testing.T) {
	d := NewDiscovery(&Server{Log: &testLog{}}, "/apis/x", func(context.Context) (Served, error) { return nil, errors.New("too late") }, time.Minute)
	done := false
	d.followers = []follower{waited{done: &done}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d.Run(ctx); !done {
		t.Error("it returns before its stores are at rest")
	}
}
