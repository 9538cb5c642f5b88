package probe

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fates are what becomes of connections, by "node address".
type fates map[string]error

// pass has endpoints meet their fates, phase by phase. They are added in the first that has them.
func pass(p *Prober, w *world, each time.Duration, phases ...fates) {
	known := map[string]bool{}
	for _, fates := range phases {
		for of, fate := range fates {
			target := parseTarget(of)
			w.set(target.Addr, fate)
			if !known[of] {
				p.Add(target)
			}
			known[of] = true
		}
		time.Sleep(each)
	}
	synctest.Wait()
}

// That of all nodes but one no endpoint has ever answered is told once, with an example of each,
// for each family by itself.
func TestUnreached(t *testing.T) {
	for name, tc := range map[string]struct {
		before fates // for ten seconds
		after  fates
		want   []string // nodes, of all reports
	}{
		"all answer":              {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": nil}},
		"no way to the others":    {before: fates{"a 10.0.1.1": nil, "c 10.0.3.1": errPending, "b 10.0.2.1": errPending, "b 10.0.2.2": syscall.ENETUNREACH}, want: []string{"b 10.0.2.1", "c 10.0.3.1"}},
		"no way to any":           {before: fates{"a 10.0.1.1": syscall.EHOSTUNREACH, "b 10.0.2.1": syscall.EHOSTUNREACH}, want: []string{"a 10.0.1.1", "b 10.0.2.1"}},
		"one node alone":          {before: fates{"a 10.0.1.1": errPending}, want: []string{"a 10.0.1.1"}},
		"one of three is dead":    {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": nil, "c 10.0.3.1": errPending}},
		"refusing is answering":   {before: fates{"a 10.0.1.1": syscall.ECONNREFUSED, "b 10.0.2.1": syscall.ECONNREFUSED}},
		"an outage":               {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": nil}, after: fates{"a 10.0.1.1": errPending, "b 10.0.2.1": errPending}},
		"one endpoint is enough":  {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": errPending, "b 10.0.2.2": nil}},
		"not of a node":           {before: fates{"a 10.0.1.1": nil, " 192.168.1.1": errPending}},
		"IPv6 has no way":         {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": nil, "a fd00::1": nil, "b fd00:1::1": syscall.ENETUNREACH}, want: []string{"b fd00:1::1"}},
		"each family":             {before: fates{"a 10.0.1.1": errPending, "a fd00::1": errPending}, want: []string{"a 10.0.1.1", "a fd00::1"}},
		"IPv6 that comes later":   {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": nil}, after: fates{"a fd00::1": nil, "b fd00:1::1": errPending}, want: []string{"b fd00:1::1"}},
		"a node that comes later": {before: fates{"a 10.0.1.1": nil}, after: fates{"b 10.0.2.1": errPending}, want: []string{"b 10.0.2.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w := startProber(t, time.Second)
				pass(p, w, 10*time.Second, tc.before, tc.after)
				families := map[bool]int{}
				var got []string
				for _, report := range w.nodes {
					families[report[0].Addr.Addr().Is6()]++
					for _, target := range report {
						got = append(got, target.Node+" "+target.Addr.Addr().String())
					}
				}
				if families[false] < 2 && families[true] < 2 && slices.IsSorted(got) && slices.Equal(got, tc.want) {
					return
				}
				slices.Sort(got) // either family may be first
				if families[false] != 1 || families[true] != 1 || !slices.Equal(got, tc.want) {
					t.Errorf("got %v, want %q", w.nodes, tc.want)
				}
			})
		})
	}
}

// What comes up during an outage has never answered, which says nothing about the way.
func TestUnreachedInOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		before := []Target{parseTarget("a 10.0.1.1"), parseTarget("b 10.0.2.1")}
		for _, target := range before {
			p.Add(target)
		}
		time.Sleep(5 * time.Second)
		for i, of := range []string{"a 10.0.1.2", "b 10.0.2.2"} {
			target := parseTarget(of)
			w.set(target.Addr, errPending)
			p.Add(target)
			p.Remove(before[i].Addr)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(w.nodes) > 0 {
			t.Errorf("got %v", w.nodes)
		}
	})
}

// While it is not sure that nodes are up nothing is told of them, and it is if that is still so later.
func TestUnreachedUnsure(t *testing.T) {
	for name, tc := range map[string]struct {
		later error
		want  int
	}{"no way": {errPending, 1}, "they were not up": {nil, 0}} {
		synctest.Test(t, func(t *testing.T) {
			p, w := startProber(t, time.Second)
			targets := []Target{parseTarget("a 10.0.1.1"), parseTarget("b 10.0.2.1")}
			w.doubt(true)
			for _, target := range targets {
				w.set(target.Addr, errPending)
				p.Add(target)
			}
			time.Sleep(10 * time.Second)
			for _, target := range targets {
				w.set(target.Addr, tc.later)
			}
			time.Sleep(5 * time.Second)
			if w.doubt(false); w.doubted > 15 {
				t.Errorf("%s: told %d times in 15 intervals", name, w.doubted)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if len(w.nodes) != tc.want {
				t.Errorf("%s: got %v, want %d reports", name, w.nodes, tc.want)
			}
		})
	}
}

// A reload tells neither again what was told, nor that a node has never answered that did before it.
func TestUnreachedFollow(t *testing.T) {
	for name, tc := range map[string]struct {
		before, dying fates // a phase each
		unsure        bool  // until the reload
		after         fates // of two more Probers, one after the other
		want          []int // how many reports each of the three makes
	}{
		"a dead node":      {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": nil}, dying: fates{"b 10.0.2.1": errPending}, after: fates{"a 10.0.1.1": nil, "b 10.0.2.1": errPending}, want: []int{0, 0, 0}},
		"the only one":     {before: fates{"b 10.0.2.1": nil}, dying: fates{"b 10.0.2.1": errPending}, after: fates{"a 10.0.1.1": nil, "b 10.0.2.2": errPending}, want: []int{0, 0, 0}},
		"the other family": {before: fates{"b 10.0.2.1": nil}, after: fates{"b fd00::1": errPending}, want: []int{0, 1, 0}},
		"no way":           {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": errPending}, after: fates{"a 10.0.1.1": nil, "b 10.0.2.1": errPending}, want: []int{1, 0, 0}},
		"no way, not told": {before: fates{"a 10.0.1.1": nil, "b 10.0.2.1": errPending}, unsure: true, after: fates{"a 10.0.1.1": nil, "b 10.0.2.1": errPending}, want: []int{0, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var old *Prober
				for i, phases := range [][]fates{{tc.before, tc.dying}, {tc.after}, {tc.after}} {
					p, w := startProber(t, time.Second)
					if old != nil {
						p.Inherit(old)
					}
					w.doubt(tc.unsure && i == 0)
					pass(p, w, 5*time.Second, phases...)
					if len(w.nodes) != tc.want[i] {
						t.Errorf("Prober %d: got %v, want %d reports", i, w.nodes, tc.want[i])
					}
					old = p
				}
			})
		})
	}
}

// As long as a node may still answer nothing is said of the others.
func TestUnreachedPending(t *testing.T) {
	p := New(time.Second, newWorld())
	dead, pending := parseTarget("a 10.0.1.1"), parseTarget("b 10.0.2.1")
	p.Add(dead)
	p.Add(Target{Addr: pending.Addr})
	p.Add(pending) // who knows the node comes second
	p.schedule.entries[dead.Addr].unhealthy = true
	if targets, several := p.schedule.unreached(false); targets != nil || several {
		t.Errorf("got %v, several %v, while b has not been judged", targets, several)
	}
	p.schedule.entries[pending.Addr].unhealthy = true
	if targets, several := p.schedule.unreached(false); !slices.Equal(targets, []Target{dead, pending}) || several {
		t.Errorf("got %v, several %v", targets, several)
	}
}

// A node that is known later than its endpoint counts from then on, with what is known of it.
func TestPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		up, down := parseTarget("a 10.0.1.1"), parseTarget("b 10.0.2.1")
		w.set(down.Addr, errPending)
		for _, target := range []Target{up, down} {
			p.Add(Target{Addr: target.Addr})
		}
		time.Sleep(5 * time.Second)
		for _, target := range []Target{up, down} {
			p.SetNode(target)
			p.SetNode(Target{Addr: target.Addr}) // somebody else does not know it
		}
		p.SetNode(parseTarget("c 10.0.3.1")) // nobody has added it
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(w.nodes) != 1 || !slices.Equal(w.nodes[0], []Target{down}) {
			t.Errorf("got %v, want that there is no way to b", w.nodes)
		}
		p.Remove(down.Addr)
		if p.Unhealthy(down.Addr) {
			t.Error("it is probed more often than it was added")
		}
	})
}

// parseTarget reads "node address".
func parseTarget(s string) Target {
	for i := range s {
		if s[i] == ' ' {
			return Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(s[i+1:]), 80), Node: s[:i]}
		}
	}
	panic(s)
}
