package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// world is what the probes of a test meet.
type world struct {
	mu      sync.Mutex
	fate    map[netip.AddrPort]error // of a connection: nil for success, errPending for silence
	begun   map[netip.AddrPort][]time.Time
	flying  map[int]netip.AddrPort
	last    int
	most    int // connections at a time
	changes []string
	nodes   [][]Target
	unsure  bool // whether nodes are up, so that nothing is said of them
	doubted int  // how often it was told of nodes while that was so
	impeded []error
	downs   []string // nodes that went down or are no longer down
	blocked []string // endpoints that have never answered, where others do
	start   time.Time
}

func newWorld() *world {
	return &world{fate: map[netip.AddrPort]error{}, begun: map[netip.AddrPort][]time.Time{}, flying: map[int]netip.AddrPort{}, start: time.Now()}
}

func (w *world) connect(to netip.AddrPort) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun[to] = append(w.begun[to], time.Now())
	if err := w.fate[to]; local(err) {
		return 0, err
	}
	w.last++
	w.flying[w.last] = to
	w.most = max(w.most, len(w.flying))
	return w.last, nil
}

func (w *world) outcomes(flying []flight) (errs []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range flying {
		errs = append(errs, w.fate[w.flying[f.socket]])
	}
	return errs
}

func (w *world) close(socket int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, open := w.flying[socket]; !open {
		panic("closed twice")
	}
	delete(w.flying, socket)
}

func (w *world) stop() {}

func (w *world) Changed(c Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := "trusted"
	if c.Unhealthy {
		what = "suspect"
	}
	if c.Reason != nil {
		what += fmt.Sprintf(" (%v)", c.Reason)
	}
	w.changes = append(w.changes, c.Addr.String()+" "+what)
}

func (w *world) NodesUnreachable(targets []Target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsure {
		w.doubted++
		return false
	}
	w.nodes = append(w.nodes, targets)
	return true
}

func (w *world) NodeChanged(c NodeChange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.downs = append(w.downs, fmt.Sprintf("%s %v", c.Node, c.Down))
}

func (w *world) OthersAnswer(targets []Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, target := range targets {
		w.blocked = append(w.blocked, target.Addr.Addr().String())
	}
	slices.Sort(w.blocked)
}

func (w *world) LocalError(err error) { w.impeded = append(w.impeded, err) }

// doubt decides on whether nodes are said to be out of reach.
func (w *world) doubt(unsure bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsure = unsure
}

// set decides on what becomes of connections to addr from now on.
func (w *world) set(addr netip.AddrPort, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fate[addr] = err
}

func (w *world) probes(addr netip.AddrPort) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.begun[addr])
}

func (w *world) inFlight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.flying)
}

// told returns what has been said of endpoints since it was last asked.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.changes
	w.changes = nil
	return told
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := w.told(); !slices.Equal(got, want) {
		t.Errorf("after %v: got %q, want %q", time.Since(w.start), got, want)
	}
}

// startProber runs a Prober in a world until the test ends.
func startProber(t *testing.T, interval time.Duration) (*Prober, *world) {
	w := newWorld()
	p := New(interval, w)
	p.schedule.sockets, p.schedule.room = w, maxInFlight // whatever this machine has room for
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if len(w.flying) > 0 {
			t.Errorf("%d connections are left", len(w.flying))
		}
	})
	return p, w
}

var (
	one = netip.MustParseAddrPort("10.244.1.7:80")
	two = netip.MustParseAddrPort("10.244.2.7:80")
)

// An endpoint is suspect after two failures in a row, two intervals after the last success at the
// latest, and trusted after one success.
func TestSuspicion(t *testing.T) {
	for _, interval := range []time.Duration{MinInterval, DefaultInterval, 10 * time.Second} {
		for name, tc := range map[string]struct {
			fate   error
			reason string
		}{
			"silent":  {errPending, fmt.Sprintf("no answer within %v", min(interval/2, time.Second))},
			"refused": {syscall.ECONNREFUSED, "connection refused"},
		} {
			synctest.Test(t, func(t *testing.T) {
				p, w := startProber(t, interval)
				p.Add(Target{Addr: one})
				p.Add(Target{Addr: two})
				time.Sleep(5 * interval)
				w.expect(t)
				if n := w.probes(one); n < 4 || n > 6 {
					t.Errorf("%v, %s: %d probes in five intervals", interval, name, n)
				}

				w.set(one, tc.fate)
				time.Sleep(2*interval + 2*p.schedule.tick)
				w.expect(t, one.String()+" suspect ("+tc.reason+")")
				if !p.Unhealthy(one) || p.Unhealthy(two) {
					t.Errorf("%v, %s: suspect are %v and %v", interval, name, p.Unhealthy(one), p.Unhealthy(two))
				}
				time.Sleep(20 * interval)
				w.expect(t) // once is enough

				w.set(one, nil)
				time.Sleep(interval + p.schedule.timeout + 2*p.schedule.tick)
				w.expect(t, one.String()+" trusted")
				if p.Unhealthy(one) {
					t.Errorf("%v, %s: still suspect", interval, name)
				}
			})
		}
	}
}

// The first probe of all may fail as any other.
func TestFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		w.set(one, syscall.ECONNREFUSED)
		p.Add(Target{Addr: one})
		for w.probes(one) < failures {
			if p.Unhealthy(one) {
				t.Fatalf("suspect after %d probes", w.probes(one))
			}
			time.Sleep(p.schedule.tick)
			synctest.Wait()
		}
		time.Sleep(p.schedule.tick)
		w.expect(t, one.String()+" suspect (connection refused)")
	})
}

// One failure is none: the next success makes it forgotten.
func TestSingleFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		p.Add(Target{Addr: one})
		for range 20 {
			time.Sleep(3 * time.Second)
			synctest.Wait() // or a probe might begin now that is not seen
			for w.inFlight() > 0 {
				time.Sleep(p.schedule.tick / 5)
				synctest.Wait()
			}
			w.set(one, errPending)
			for before := w.probes(one); w.probes(one) == before; {
				time.Sleep(p.schedule.tick / 5)
			}
			time.Sleep(p.schedule.timeout - p.schedule.tick/2) // the first one is about to fail
			synctest.Wait()
			for before := w.probes(one); w.probes(one) == before; {
				time.Sleep(p.schedule.tick / 5)
			}
			w.set(one, nil) // the second has begun
		}
		w.expect(t)
	})
}

// How an interval is divided, and how many connections are made at a time.
func TestNew(t *testing.T) {
	for _, tc := range []struct{ interval, timeout, tick time.Duration }{
		{MinInterval, 50 * time.Millisecond, 5 * time.Millisecond},
		{400 * time.Millisecond, 200 * time.Millisecond, 20 * time.Millisecond},
		{DefaultInterval, 500 * time.Millisecond, 50 * time.Millisecond},
		{MaxInterval, time.Second, 50 * time.Millisecond},
	} {
		p := New(tc.interval, newWorld())
		if p.schedule.timeout != tc.timeout || p.schedule.tick != tc.tick || len(p.schedule.slots) != int(tc.interval/tc.tick) {
			t.Errorf("%v: got a timeout of %v and %d ticks of %v, want %v and ticks of %v", tc.interval, p.schedule.timeout, len(p.schedule.slots), p.schedule.tick, tc.timeout, tc.tick)
		}
		if p.schedule.room < 1 || p.schedule.room > maxInFlight || p.schedule.room > 1 && p.schedule.room > openFiles()/4 {
			t.Errorf("%d connections at a time, and %d files may be open", p.schedule.room, openFiles())
		}
	}
}

// What has come in counts, however late it is looked at.
func TestHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := New(time.Second, w)
		p.schedule.sockets = w
		p.Add(Target{Addr: one})
		w.set(one, errPending)
		now := time.Now()
		for len(p.schedule.flying) == 0 {
			now = now.Add(p.schedule.tick)
			p.schedule.step(now)
		}
		w.set(one, nil)
		for range 10 {
			now = now.Add(time.Minute)
			if changes, _ := p.schedule.step(now); len(changes) > 0 || p.schedule.entries[one].failed > 0 {
				t.Fatalf("got %v and %d failures", changes, p.schedule.entries[one].failed)
			}
		}
	})
}

// Probes are spread over the interval, and bounded in number at a time and in a second.
func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		endpoints, atATime int
		fate               error
	}{
		{1000, 60, nil},
		{1000, maxInFlight, errPending},
		{10_000, maxInFlight, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, w := startProber(t, time.Second)
			addr := netip.MustParseAddr("10.244.0.1")
			for range tc.endpoints {
				target := netip.AddrPortFrom(addr, 80)
				w.set(target, tc.fate)
				p.Add(Target{Addr: target})
				addr = addr.Next()
			}
			const lasting = 20 * time.Second
			time.Sleep(lasting)
			synctest.Wait()
			perTick := map[time.Duration]int{}
			total := 0
			for addr, times := range w.begun {
				total += len(times)
				if len(times) < 2 {
					t.Errorf("%s was probed %d times", addr, len(times))
				}
				for _, at := range times {
					perTick[at.Sub(w.start)/p.schedule.tick]++
				}
			}
			for at, n := range perTick {
				if n > maxRate*int(p.schedule.tick)/int(time.Second) {
					t.Errorf("%d endpoints: %d probes begun in tick %d", tc.endpoints, n, at)
				}
			}
			if most := int(maxRate * lasting / time.Second); total > most {
				t.Errorf("%d endpoints: %d probes, want %d at most", tc.endpoints, total, most)
			}
			if w.most > tc.atATime {
				t.Errorf("%d endpoints: %d at a time, want %d at most", tc.endpoints, w.most, tc.atATime)
			}
			if tc.endpoints == 1000 && tc.fate == nil && (total < 19_000 || total > 21_000) {
				t.Errorf("%d probes of 1000 endpoints in 20 seconds", total)
			}
		})
	}
}

// What fails for want of something here says nothing about endpoints, and is told once.
func TestImpeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		w.set(one, syscall.EMFILE)
		p.Add(Target{Addr: one, Node: "n1"})
		time.Sleep(10 * time.Second)
		w.expect(t)
		if len(w.impeded) != 1 || !errors.Is(w.impeded[0], syscall.EMFILE) || len(w.nodes) > 0 {
			t.Errorf("got %v and %v", w.impeded, w.nodes)
		}
		w.set(one, errPending)
		time.Sleep(3 * time.Second)
		w.expect(t, one.String()+" suspect (no answer within 500ms)")
		w.set(one, syscall.EMFILE) // and so there is no way to find out that it is back
		time.Sleep(3 * time.Second)
		w.expect(t, one.String()+" trusted (too many open files)")
	})
}

// Without anything to probe nothing is done at all, and with little of it little.
func TestIdle(t *testing.T) {
	w := newWorld()
	p := New(time.Second, w)
	p.schedule.sockets = w
	now := p.schedule.begun
	if _, ok := p.schedule.pause(now); ok {
		t.Error("it wakes up for nothing")
	}
	p.Add(Target{Addr: one})
	steps := 0
	for now.Sub(p.schedule.begun) < 100*time.Second {
		pause, ok := p.schedule.pause(now)
		if !ok {
			t.Fatal("it sleeps for ever")
		}
		now = now.Add(pause)
		p.schedule.step(now)
		steps++
	}
	if probes := w.probes(one); probes < 99 || probes > 101 || steps > 2*probes+2 {
		t.Errorf("%d probes and %d steps in 100 intervals", probes, steps)
	}
}
