package daemon

import (
	"context"
	"os"
	"runtime"
	"testing"
)

// Spawner starts child processes from one OS thread that lives until Stop: the kernel sends a child its parent-death signal
// when the thread that forked it ends, and Go ends threads as it likes unless one is locked.
type Spawner struct {
	requests chan func()
	done     chan struct{}
}

// NewSpawner starts one.
func NewSpawner() *Spawner {
	s := &Spawner{requests: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for request := range s.requests {
			request()
		}
	}()
	return s
}

// Spawn calls start on the thread.
func (s *Spawner) Spawn(start func() error) error {
	result := make(chan error)
	s.requests <- func() { result <- start() }
	return <-result
}

// Start starts a daemon; see Daemon.Start.
func (s *Spawner) Start(d *Daemon, died context.CancelCauseFunc) error {
	return s.Spawn(func() error { return d.Start(died) })
}

// Run runs a daemon until the test ends, which must not end before. If the test fails, its log is shown.
func (s *Spawner) Run(t testing.TB, d *Daemon) {
	t.Helper()
	ctx, died := context.WithCancelCause(context.WithoutCancel(t.Context()))
	if err := s.Start(d, died); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Stop()
		if err := context.Cause(ctx); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(d.Log)
			t.Logf("%s said:\n%s", d.Name, log)
		}
	})
}

// Stop ends the thread, and the children with it that are left.
func (s *Spawner) Stop() {
	close(s.requests)
	<-s.done
}
