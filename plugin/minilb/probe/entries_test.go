package probe

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// An endpoint that several want is probed until the last one does not, and then forgotten.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		w.set(one, errPending)
		p.Add(Target{Addr: one})
		p.Add(Target{Addr: one})
		p.Remove(one)
		p.Remove(two) // nobody has added it
		time.Sleep(3 * time.Second)
		w.expect(t, one.String()+" suspect (no answer within 500ms)")
		p.Remove(one)
		if p.Unhealthy(one) {
			t.Error("what nobody wants is suspect")
		}
		time.Sleep(2 * time.Second)
		before := w.probes(one)
		time.Sleep(time.Hour)
		w.expect(t)
		if n := w.probes(one); n != before {
			t.Errorf("%d probes of what nobody wants", n-before)
		}
		p.Add(Target{Addr: one})
		if p.Unhealthy(one) {
			t.Error("suspect before it was probed")
		}
		time.Sleep(3 * time.Second)
		w.expect(t, one.String()+" suspect (no answer within 500ms)")

		// Removed while a connection is being made.
		p.Add(Target{Addr: two})
		w.set(two, errPending)
		for w.probes(two) == 0 {
			time.Sleep(p.schedule.tick)
		}
		p.Remove(two)
		time.Sleep(10 * time.Second)
		w.expect(t)
	})
}

// Whichever endpoints go, all others are probed once in the interval as before.
func TestRemoveSome(t *testing.T) {
	for name, goes := range map[string]func(i int) bool{
		"the first ones": func(i int) bool { return i < 50 },
		"the last ones":  func(i int) bool { return i >= 50 },
		"each second":    func(i int) bool { return i%2 == 0 },
		"most":           func(i int) bool { return i%7 > 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, w := startProber(t, time.Second)
				var all []netip.AddrPort
				for addr := netip.MustParseAddr("10.244.0.1"); len(all) < 100; addr = addr.Next() {
					all = append(all, netip.AddrPortFrom(addr, 80))
					p.Add(Target{Addr: all[len(all)-1]})
				}
				for i, addr := range all {
					if goes(i) {
						p.Remove(addr)
					}
				}
				time.Sleep(10*time.Second + p.schedule.tick)
				for i, addr := range all {
					if n := w.probes(addr); goes(i) && n > 0 || !goes(i) && (n < 9 || n > 11) {
						t.Errorf("%s, removed %v: %d probes in ten intervals", addr, goes(i), n)
					}
				}
			})
		})
	}
}

// Whoever takes the place of another knows what that one knew.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, w := startProber(t, time.Second)
		w.set(one, syscall.EHOSTUNREACH)
		old.Add(Target{Addr: one})
		old.Add(Target{Addr: two})
		time.Sleep(3 * time.Second)
		w.expect(t, one.String()+" suspect (no route to host)")

		p, w := startProber(t, time.Second)
		p.Inherit(old)
		w.set(one, errPending)
		p.Add(Target{Addr: one})
		p.Add(Target{Addr: two})
		if !p.Unhealthy(one) || p.Unhealthy(two) {
			t.Errorf("suspect are %v and %v", p.Unhealthy(one), p.Unhealthy(two))
		}
		time.Sleep(3 * time.Second)
		w.expect(t) // it has been said
		w.set(one, nil)
		time.Sleep(2 * time.Second)
		w.expect(t, one.String()+" trusted")
		p.Remove(one)
		p.Add(Target{Addr: one})
		if p.Unhealthy(one) {
			t.Error("an endpoint that has come back is suspect by what was known before it went")
		}
	})
}

// Who follows is as slow to trust an endpoint that cannot be probed as the one before would be.
func TestFollowImpeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, w := startProber(t, time.Second)
		w.set(one, syscall.EHOSTUNREACH)
		old.Add(Target{Addr: one})
		time.Sleep(3 * time.Second)

		p, w := startProber(t, time.Second)
		p.Inherit(old)
		w.set(one, syscall.EMFILE)
		p.Add(Target{Addr: one})
		for n := 0; n < failures; time.Sleep(p.schedule.tick) {
			synctest.Wait()
			if n = w.probes(one); p.Unhealthy(one) != (n < failures) {
				t.Fatalf("after %d probes that could not be made it is suspect: %v", n, p.Unhealthy(one))
			}
		}
		w.expect(t, fmt.Sprintf("%s trusted (%v)", one, syscall.EMFILE))
	})
}

// What another Prober has found out matters for a minute, and no longer.
func TestFollowLate(t *testing.T) {
	for after, want := range map[time.Duration]bool{inheritedFor - time.Second: true, inheritedFor + time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			old, w := startProber(t, time.Second)
			w.set(one, syscall.EHOSTUNREACH)
			old.Add(Target{Addr: one})
			time.Sleep(3 * time.Second)

			p, _ := startProber(t, time.Second)
			p.Inherit(old)
			p.Add(Target{Addr: two}) // or it would not look at the time
			time.Sleep(after)
			p.Add(Target{Addr: one})
			if p.Unhealthy(one) != want {
				t.Errorf("after %v: suspect %v, want %v", after, p.Unhealthy(one), want)
			}
		})
	}
}
