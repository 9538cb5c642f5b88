package probe

import (
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// That of all nodes but one no endpoint has ever answered is told once, with an example of each,
// for each family by itself.
func TestUnreached(t *testing.T) {
	type fates map[string]error // by "node address"
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
		"a node that comes later": {before: fates{"a 10.0.1.1": nil}, after: fates{"b 10.0.2.1": errPending}, want: []string{"b 10.0.2.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w := startProber(t, time.Second)
				known := map[string]bool{}
				for _, fates := range []fates{tc.before, tc.after} {
					for of, fate := range fates {
						target := parseTarget(of)
						w.set(target.Addr, fate)
						if !known[of] {
							p.Add(target)
						}
						known[of] = true
					}
					time.Sleep(10 * time.Second)
				}
				synctest.Wait()
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

// parseTarget reads "node address".
func parseTarget(s string) Target {
	for i := range s {
		if s[i] == ' ' {
			return Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(s[i+1:]), 80), Node: s[:i]}
		}
	}
	panic(s)
}
