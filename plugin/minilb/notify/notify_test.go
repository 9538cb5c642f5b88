package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minilb/minilb/plugin/minilb/drain"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// recorder notes the notifications of a notifier that runs in a bubble of synctest.
type recorder struct {
	began   time.Time
	mu      sync.Mutex
	calls   []string // the zone, and when it was told of in milliseconds
	lines   []string // logged
	failure func() error
}

func (r *recorder) Notify(zone string) error {
	r.mu.Lock()
	r.calls = append(r.calls, fmt.Sprintf("%s %d", zone, time.Since(r.began).Milliseconds()))
	failure := r.failure
	r.mu.Unlock()
	return failure()
}

func (r *recorder) Infof(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Warningf(format string, args ...any) { r.Infof(format, args...) }

// logged returns what has been logged since the last call.
func (r *recorder) logged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

func (r *recorder) fail(failure func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = failure
}

// take returns the notifications since the last call.
func (r *recorder) take() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	slices.Sort(calls)
	return calls
}

func accept() error { return nil }

// startNotifier runs a notifier for the zones minilb. and lan., of which nothing is known yet.
func startNotifier(t *testing.T) (*recorder, *records.Index, func()) {
	t.Helper()
	r := &recorder{began: time.Now(), failure: accept}
	index := records.NewIndex([]string{"minilb.", "lan."})
	n := &Notifier{Transfer: r, Index: index, Log: r}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	return r, index, func() {
		cancel()
		running.Wait()
		synctest.Wait()
	}
}

// expect compares the notifications since the last call.
func (r *recorder) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if calls := r.take(); !slices.Equal(calls, want) {
		t.Errorf("%s: told of %q, want %q", when, calls, want)
	}
}

func TestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, index, stop := startNotifier(t)
		index.Update(nil, nil, true)
		time.Sleep(5 * time.Second)
		r.expect(t, "nothing is known of the zones")

		index.Update(nil, nil, false)
		r.expect(t, "the cluster has been read", "minilb. 5000", "lan. 5000")
		time.Sleep(3 * time.Second)
		index.MarkChanged("minilb.")
		r.expect(t, "a change after a while", "minilb. 8000")
		time.Sleep(100 * time.Millisecond)
		for range 10 {
			index.MarkChanged("minilb.", "lan.")
			time.Sleep(10 * time.Millisecond)
		}
		r.expect(t, "changes soon after another")
		time.Sleep(800 * time.Millisecond)
		r.expect(t, "a second after it", "minilb. 9000", "lan. 9000")
		time.Sleep(30 * time.Second)
		r.expect(t, "nothing changes")
		time.Sleep(30 * time.Second) // the process before may have been so far ahead of the clock
		r.expect(t, "a minute after the start", "minilb. 61000", "lan. 61000")

		index.Update(nil, nil, false) // what is there already
		index.MarkChanged("")         // outside of the zones
		time.Sleep(time.Minute)
		r.expect(t, "nothing changes in the zones")

		for range 49 {
			index.MarkChanged("minilb.")
			time.Sleep(100 * time.Millisecond)
		}
		if calls := r.take(); len(calls) != 5 {
			t.Errorf("told %d times of changes for almost 5 s, want 5: %q", len(calls), calls)
		}
		time.Sleep(2 * time.Second)

		index.MarkChanged("minilb.")
		index.MarkChanged("lan.")
		stop()
		r.take()
		index.MarkChanged("minilb.")
		time.Sleep(time.Minute)
		r.expect(t, "it has been stopped")
	})
}

// The last change is told of, however far the serial is ahead of the clock.
func TestNotifyAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, index, stop := startNotifier(t)
		defer stop()
		index.Update(nil, nil, false)
		time.Sleep(3 * time.Second)
		for range 100 {
			index.MarkChanged("minilb.")
			index.Serial("minilb.")
		}
		time.Sleep(2500 * time.Millisecond)
		r.take()
		before := index.Serial("minilb.")
		index.MarkChanged("minilb.")
		if got := index.Serial("minilb."); got != before+1 {
			t.Fatalf("serial %d after %d", got, before)
		}
		for range 2 { // these must wait for the clock
			index.MarkChanged("minilb.")
			index.Serial("minilb.")
		}
		time.Sleep(2500 * time.Millisecond)
		time.Sleep(recheckInterval)
		calls, last := r.take(), index.Serial("minilb.")
		if len(calls) != 2 || last <= before+1 {
			t.Errorf("told %q of changes, want twice, serial %d after %d", calls, last, before+1)
		}
		time.Sleep(renewAfter / 2)
		if got := index.Serial("minilb."); got != last {
			t.Errorf("at rest the serial went from %d to %d", last, got)
		}
	})
}

func TestNotifyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, index, stop := startNotifier(t)
		defer stop()
		change := func(want ...string) {
			t.Helper()
			r.logged()
			for range 5 {
				index.MarkChanged("minilb.")
				time.Sleep(2 * time.Second)
			}
			synctest.Wait()
			logged := r.logged()
			if len(logged) != len(want) {
				t.Fatalf("logged %q, want %d lines", logged, len(want))
			}
			for i := range want {
				if !strings.HasSuffix(logged[i], want[i]) {
					t.Errorf("logged %q, want %q", logged[i], want[i])
				}
			}
		}
		index.Update(nil, nil, false)
		time.Sleep(time.Minute)
		var port atomic.Int32 // of the sender, another each time
		port.Store(40000)
		failing := func(addrs ...string) func() error {
			return func() (errs error) {
				for _, addr := range addrs {
					errs = errors.Join(errs, fmt.Errorf(`notify for zone "minilb." was not accepted by %q: "read udp 192.0.2.1:%d->%s: i/o timeout"`, addr, port.Add(1), addr))
				}
				return errs
			}
		}
		change()
		r.fail(failing("192.0.2.2:53"))
		change(`Cannot notify all secondaries of zone minilb., which see changes when they refresh: notify for zone "minilb." was not accepted by "192.0.2.2:53": "read udp 192.0.2.1:40001->192.0.2.2:53: i/o timeout"`)
		r.fail(failing("192.0.2.2:53", "192.0.2.3:53"))
		change(`->192.0.2.2:53: i/o timeout"; notify for zone "minilb." was not accepted by "192.0.2.3:53": "read udp 192.0.2.1:40007->192.0.2.3:53: i/o timeout"`)
		r.fail(accept)
		change("All secondaries of zone minilb. accept NOTIFYs again")
		r.fail(func() error { return errors.New("something else") })
		change("something else")

		// One that hangs is no news when a later one has been taken.
		r.fail(accept)
		change("All secondaries of zone minilb. accept NOTIFYs again")
		r.fail(func() error {
			time.Sleep(6 * time.Second)
			return errors.New("too late")
		})
		index.MarkChanged("minilb.")
		time.Sleep(time.Second)
		r.fail(accept)
		change()
	})
}

// A load that follows another one continues its serials: a minute later nothing is newer.
func TestNotifyPreceded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{began: time.Now(), failure: accept}
		index := records.NewIndex([]string{"minilb."})
		index.Update(nil, nil, false)
		n := &Notifier{Transfer: r, Index: index, HasPredecessor: true, Log: r}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { n.Run(ctx) })
		time.Sleep(10 * time.Minute)
		r.expect(t, "ten minutes after the start", "minilb. 1000")
		cancel()
		running.Wait()
	})
}

// A notification that ends after one of a later serial is no news; which is later is by RFC 1982.
func TestNotifyLater(t *testing.T) {
	for _, tc := range []struct {
		before, after uint32 // 0 for none before
		news          bool
	}{
		{0, 1, true},
		{0, 1<<31 + 1, true}, // from 2038 on
		{5, 6, true},
		{6, 5, false},
		{1<<32 - 1, 1, true},
		{1, 1<<32 - 1, false},
	} {
		r := &recorder{failure: accept}
		n := &Notifier{Transfer: r, Log: r}
		if tc.before != 0 {
			n.notify("minilb.", tc.before)
		}
		r.logged()
		r.fail(func() error { return errors.New("it broke off") })
		n.notify("minilb.", tc.after)
		if logged := r.logged(); strings.Contains(strings.Join(logged, "\n"), "it broke off") != tc.news {
			t.Errorf("%d after %d: logged %q", tc.after, tc.before, logged)
		}
	}
}

// What is being sent when the server stops is waited for, but not for ever: plugin transfer is not ended by a context.
func TestNotifyStop(t *testing.T) {
	for about, tc := range map[string]struct{ takes, waits time.Duration }{
		"a secondary is slow":    {1500 * time.Millisecond, 500 * time.Millisecond},
		"a secondary is dead":    {6 * time.Second, drain.Timeout},
		"all secondaries answer": {time.Millisecond, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, index, stop := startNotifier(t)
			index.Update(nil, nil, false)
			var ended atomic.Int32
			r.fail(func() error {
				defer ended.Add(1)
				time.Sleep(tc.takes)
				return nil
			})
			time.Sleep(2 * time.Second)
			r.expect(t, about, "minilb. 1000", "lan. 1000")
			began := time.Now()
			stop()
			if got := time.Since(began); got != tc.waits {
				t.Errorf("%s: stopped after %v, want %v", about, got, tc.waits)
			}
			if got := ended.Load(); tc.waits < drain.Timeout && got != 2 {
				t.Errorf("%s: %d of 2 notifications have ended", about, got)
			}
			time.Sleep(tc.takes)
		})
	}
}
