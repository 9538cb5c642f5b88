package probe

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// L7: a node is down while none of its endpoints answers and two pods at least have fallen silent.
func TestNodeDown(t *testing.T) {
	up := fates{"a 10.0.1.1": nil, "a 10.0.1.2": nil, "b 10.0.2.1": nil, "b 10.0.2.2": nil}
	both := fates{"a 10.0.1.1": errPending, "a 10.0.1.2": errPending}
	for name, tc := range map[string]struct {
		phases []fates // of five intervals each
		want   []string
	}{
		"all answer":             {phases: []fates{up}},
		"both fall silent":       {phases: []fates{up, both}, want: []string{"a true"}},
		"no way to the host":     {phases: []fates{up, {"a 10.0.1.1": errPending, "a 10.0.1.2": syscall.EHOSTUNREACH}}, want: []string{"a true"}},
		"and one is back":        {phases: []fates{up, both, {"a 10.0.1.2": nil}}, want: []string{"a true", "a false"}},
		"and one refuses":        {phases: []fates{up, both, {"a 10.0.1.2": syscall.ECONNREFUSED}}, want: []string{"a true", "a false"}},
		"one answers":            {phases: []fates{up, {"a 10.0.1.1": errPending}}},
		"one refuses":            {phases: []fates{up, {"a 10.0.1.1": errPending, "a 10.0.1.2": syscall.ECONNREFUSED}}},
		"it refused at first":    {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": syscall.ECONNREFUSED}, both}, want: []string{"a true"}},
		"one endpoint alone":     {phases: []fates{{"a 10.0.1.1": nil}, {"a 10.0.1.1": errPending}}},
		"one pod, both families": {phases: []fates{{"a 10.0.1.1": nil, "a fd00::1": nil}, {"a 10.0.1.1": errPending, "a fd00::1": errPending}}},
		"the other family is up": {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": nil, "a fd00::1": nil}, both}},
		"silent from the start":  {phases: []fates{both}},
		"but one":                {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": errPending}, both}},
		"a new one is silent":    {phases: []fates{up, both, {"a 10.0.1.3": errPending}}, want: []string{"a true"}},
		"no node":                {phases: []fates{{" 10.0.1.1": nil, " 10.0.1.2": nil}, {" 10.0.1.1": errPending, " 10.0.1.2": errPending}}},
		"no sockets here":        {phases: []fates{up, both, {"a 10.0.1.1": syscall.EMFILE}}, want: []string{"a true", "a false"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w := startProber(t, time.Second)
				pass(p, w, 5*time.Second, tc.phases...)
				if !slices.Equal(w.downs, tc.want) {
					t.Errorf("got %q, want %q", w.downs, tc.want)
				}
				if down := len(tc.want)%2 > 0; p.NodeDown("a") != down || p.NodeDown("b") || p.NodeDown("") {
					t.Errorf("down are a %v, b %v and \"\" %v", p.NodeDown("a"), p.NodeDown("b"), p.NodeDown(""))
				}
			})
		})
	}
}

// One pod with two ports is one. A node that has no endpoint any longer is not down, and one that has moved takes what it says
// with it.
func TestNodeDownEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		var all []netip.AddrPort
		for _, s := range []string{"10.0.1.1:80", "10.0.1.1:81", "10.0.1.2:80"} {
			all = append(all, netip.MustParseAddrPort(s))
		}
		expect := func(want ...string) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if !slices.Equal(w.downs, want) {
				t.Errorf("got %q, want %q", w.downs, want)
			}
			w.downs = nil
		}
		p.Add(Target{Addr: all[0], Node: "a"})
		p.Add(Target{Addr: all[1], Node: "a"})
		p.Add(Target{Addr: all[2]})
		expect()
		for _, addr := range all {
			w.set(addr, errPending)
		}
		expect()
		p.SetNode(Target{Addr: all[2], Node: "a"}) // a snapshot did not know it
		expect("a true")
		p.SetNode(Target{Addr: all[2], Node: "b"})
		expect("a false")
		p.SetNode(Target{Addr: all[2], Node: "a"})
		expect("a true")
		for _, addr := range all {
			p.Remove(addr)
		}
		expect("a false")
		if len(p.schedule.byNode) > 0 || len(p.schedule.stale) > 0 {
			t.Errorf("nodes are left: %v", p.schedule.byNode)
		}
	})
}

// Whoever takes the place of another knows a node that is down as soon as it knows its endpoints, and what had answered before
// is silent for it, too.
func TestNodeDownInherit(t *testing.T) {
	for name, before := range map[string]fates{
		"before the reload": {"a 10.0.1.1": errPending, "a 10.0.1.2": errPending},
		"after it":          {},
	} {
		synctest.Test(t, func(t *testing.T) {
			old, w := startProber(t, time.Second)
			pass(old, w, 5*time.Second, fates{"a 10.0.1.1": nil, "a 10.0.1.2": nil}, before)
			p, w := startProber(t, time.Second)
			p.Inherit(old)
			pass(p, w, time.Millisecond, fates{"a 10.0.1.1": errPending, "a 10.0.1.2": errPending})
			if down := len(before) > 0; p.NodeDown("a") != down {
				t.Errorf("%s: down %v at once", name, p.NodeDown("a"))
			}
			time.Sleep(5 * time.Second)
			if !p.NodeDown("a") {
				t.Errorf("%s: it is not down", name)
			}
		})
	}
}

// Endpoints are blocked if none of them has ever answered and others on a node of theirs do, in their family.
func TestBlocked(t *testing.T) {
	for name, tc := range map[string]struct {
		phases  []fates
		of      []string
		want    bool
		noticed []string // that others answer now
	}{
		"others answer":     {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": errPending}}, of: []string{"a 10.0.1.2"}, want: true},
		"on one node":       {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": errPending, "b 10.0.2.1": errPending}}, of: []string{"a 10.0.1.2", "b 10.0.2.1"}, want: true},
		"they come later":   {phases: []fates{{"a 10.0.1.2": errPending}, {"a 10.0.1.1": nil}}, of: []string{"a 10.0.1.2"}, want: true, noticed: []string{"10.0.1.2"}},
		"nobody answers":    {phases: []fates{{"a 10.0.1.1": errPending, "a 10.0.1.2": errPending}}, of: []string{"a 10.0.1.2"}},
		"on another node":   {phases: []fates{{"a 10.0.1.1": nil, "b 10.0.2.1": errPending}}, of: []string{"b 10.0.2.1"}},
		"in another family": {phases: []fates{{"a 10.0.1.1": nil, "a fd00::1": errPending}}, of: []string{"a fd00::1"}},
		"one answers":       {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": errPending, "b 10.0.2.1": nil}}, of: []string{"a 10.0.1.2", "b 10.0.2.1"}},
		"one refuses":       {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": syscall.ECONNREFUSED}}, of: []string{"a 10.0.1.2"}},
		"it did answer":     {phases: []fates{{"a 10.0.1.1": nil, "a 10.0.1.2": nil}, {"a 10.0.1.2": errPending}}, of: []string{"a 10.0.1.2"}},
		"no node":           {phases: []fates{{" 10.0.1.1": nil, " 10.0.1.2": errPending}}, of: []string{" 10.0.1.2"}},
		"not probed":        {phases: []fates{{"a 10.0.1.1": nil}}, of: []string{"a 10.0.1.2"}},
		"none":              {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w := startProber(t, time.Second)
				pass(p, w, 5*time.Second, tc.phases...)
				var targets []Target
				for _, of := range tc.of {
					targets = append(targets, parseTarget(of))
				}
				if got := p.Blocked(targets); got != tc.want || !slices.Equal(w.blocked, tc.noticed) {
					t.Errorf("got %v and %q, want %v and %q", got, w.blocked, tc.want, tc.noticed)
				}
			})
		})
	}
}

// A reload says nothing of endpoints that were silent before it.
func TestBlockedInherit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, w := startProber(t, time.Second)
		all := fates{"a 10.0.1.1": nil, "a 10.0.1.2": errPending}
		pass(old, w, 5*time.Second, all)
		p, w := startProber(t, time.Second)
		p.Inherit(old)
		pass(p, w, 5*time.Second, all)
		if len(w.blocked) > 0 || !p.Blocked([]Target{parseTarget("a 10.0.1.2")}) {
			t.Errorf("got %q, blocked %v", w.blocked, p.Blocked([]Target{parseTarget("a 10.0.1.2")}))
		}
	})
}

// Whatever comes, goes, moves and happens, the nodes are what their endpoints say.
func TestNodesProperty(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 2))
	for round := range 50 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			p := New(time.Second, w)
			p.schedule.sockets, p.schedule.room = w, maxInFlight
			s := p.schedule
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go p.Run(ctx)
			target := func() Target {
				return parseTarget(fmt.Sprintf("%s 10.0.0.%d", []string{"a", "b", "c"}[random.IntN(3)], random.IntN(8)))
			}
			for step := range 60 {
				to := target()
				switch random.IntN(4) {
				case 0:
					p.Add(to)
				case 1:
					p.Remove(to.Addr)
				default:
					w.set(to.Addr, []error{nil, errPending, syscall.ECONNREFUSED, syscall.EMFILE}[random.IntN(4)])
				}
				time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
				synctest.Wait()
				for _, node := range []string{"a", "b", "c"} {
					silent, answers := 0, false
					for _, e := range s.entries {
						if e.Node == node && e.reached {
							answers = answers || !e.silent
							silent++
						}
					}
					if want := silent > 1 && !answers; p.NodeDown(node) != want {
						t.Fatalf("seed %d, round %d, step %d: %s is down %v, want %v", seed, round, step, node, p.NodeDown(node), want)
					}
				}
			}
			state := map[string]string{}
			for _, event := range w.downs {
				node, is := event[:1], event[2:]
				if before, known := state[node]; before == is || !known && is == "false" {
					t.Fatalf("seed %d, round %d: got the changes %q", seed, round, w.downs)
				}
				state[node] = is
			}
			cancel()
			synctest.Wait()
		})
	}
}
