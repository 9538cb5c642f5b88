package probe

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// When a rack dies with all that is on it, that is noticed as soon as the death of a single endpoint:
// silence holds up no probe of others.
func TestRack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w := startProber(t, time.Second)
		addr := netip.MustParseAddr("10.244.0.1")
		var all []netip.AddrPort
		for range 1100 {
			all = append(all, netip.AddrPortFrom(addr, 80))
			p.Add(Target{Addr: all[len(all)-1]})
			addr = addr.Next()
		}
		time.Sleep(5 * time.Second)
		for _, target := range all {
			w.set(target, errPending)
		}
		time.Sleep(2*time.Second + 5*p.schedule.tick) // a few ticks more as 2200 probes take more than a second
		synctest.Wait()
		suspect := 0
		for _, target := range all {
			if p.Unhealthy(target) {
				suspect++
			}
		}
		if suspect != len(all) {
			t.Errorf("%d of %d are suspect", suspect, len(all))
		}
		time.Sleep(5 * time.Second)
		for _, target := range all {
			w.set(target, nil)
		}
		time.Sleep(time.Second + p.schedule.timeout + 5*p.schedule.tick)
		synctest.Wait()
		for _, target := range all {
			if p.Unhealthy(target) {
				t.Fatalf("%s is still suspect", target)
			}
		}
	})
}
