package translator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// A Service with more endpoints than are merged at once follows its slices aside: soon, with all that
// has come until then, and it has its names from when it has its addresses.
func TestMergeAside(t *testing.T) {
	b := newBench(t, config.Options{})
	set := func(service string, number, endpoints, third int) {
		var all []string
		for i := range endpoints {
			all = append(all, fmt.Sprintf("10.%d.%d.%d RSt", number, i/250+third, i%250))
		}
		s := serviceSlice("shop/"+service, service+fmt.Sprint("-", number), all...)
		s.Triggered = time.Now().UnixNano()
		b.watcher.EndpointSlices("").Update(s)
	}
	count := func(service string) string {
		result, node := b.index.Lookup("minilb.", service+".shop.minilb.")
		if result != records.Found {
			return "-"
		}
		return fmt.Sprint(len(node.Addrs.Load().V4))
	}
	expect := func(when, service, want string) {
		t.Helper()
		if got := count(service); got != want {
			t.Errorf("%s: Service %s has %s addresses, want %s", when, service, got, want)
		}
	}
	b.services().Update(testService("shop/large", 1, "large.ex.org"))
	b.services().Update(testService("shop/small", 1, ""))
	for i := range 3 {
		set("large", i, 1000, 0)
	}
	set("small", 9, 2000, 0)
	b.sync()
	expect("from the start", "large", "3000")
	expect("from the start", "small", "2000")
	if got := strings.Count(b.addrs("large.ex.org."), "10."); got != 3000 {
		t.Errorf("its host has %d addresses", got)
	}

	b.observed = nil
	for i := range 50 { // whatever comes meanwhile is merged together
		set("large", 0, 900+i, 0)
		set("small", 9, 100+i, 0)
	}
	b.tr.services.state.update(cache.NewObjectName("shop", "large"), 0) // as for a probe, which leaves the change to be observed
	expect("at once", "large", "3000")
	expect("at once", "small", "149")
	if len(b.observed) != 50 {
		t.Errorf("%d changes are observed, want those of the small one", len(b.observed))
	}
	b.tr.services.mergeDue()
	expect("soon", "large", "2949")
	if len(b.observed) != 51 {
		t.Errorf("%d changes are observed, want the last of the large one beside them", len(b.observed))
	}
	if got := b.tr.Stats().Endpoints["ready"]; got != 2949+149 {
		t.Errorf("%d endpoints are counted", got)
	}

	// A Service that comes late has no name without its addresses, nor has a host that leads to it.
	for i := range 3 {
		set("late", 20+i, 1000, 0)
	}
	b.services().Update(testService("shop/late", 1, "late.ex.org"))
	if lines := b.publish(); len(lines) > 0 {
		t.Errorf("before it is merged: got %q", lines)
	}
	expect("before it is merged", "late", "-")
	if result, _ := b.index.Lookup("", "late.ex.org."); result == records.Found {
		t.Error("before it is merged: its host is there without addresses")
	}
	b.tr.services.mergeDue()
	b.publish()
	expect("merged", "late", "3000")
	if got := strings.Count(b.addrs("late.ex.org."), "10."); got != 3000 {
		t.Errorf("its host has %d addresses", got)
	}

	// So does one that is made anew, be it before anything else happens.
	b.services().Delete(testService("shop/late", 1, ""))
	b.services().Update(testService("shop/late", 2, "late.ex.org"))
	b.publish()
	expect("made anew", "late", "-")
	b.tr.services.mergeDue()
	b.publish()
	expect("made anew and merged", "late", "3000")

	// One that becomes small, or goes, before it was merged.
	set("large", 0, 1000, 0)
	for i := range 3 {
		set("large", i, 10, 4)
	}
	expect("small now", "large", "30")
	b.tr.services.mergeDue()
	expect("small now, and nothing is due", "large", "30")
	set("late", 20, 999, 0)
	b.services().Delete(testService("shop/late", 1, ""))
	b.tr.services.mergeDue()
	b.publish()
	expect("gone", "late", "-")
	if got := b.tr.Stats().Endpoints["ready"]; got != 30+149 || len(b.tr.services.state.due) != 0 {
		t.Errorf("%d endpoints are counted, and %v is due", got, b.tr.services.state.due)
	}
}
