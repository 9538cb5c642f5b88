//go:build !race

package records

import (
	"fmt"
	"net/netip"
	"testing"
)

// A lookup allocates only for names that are made of a Service's endpoints and ports. (The race
// detector allocates by itself.)
func TestLookupAllocs(t *testing.T) {
	want := map[string]float64{"endpoint": 6, "port": 1}
	x := sized(10, 3)
	for _, l := range lookups {
		name := fmt.Sprintf(l.name, 0)
		if got := testing.AllocsPerRun(100, func() { x.Lookup(x.Zone(name), name) }); got != want[l.kind] {
			t.Errorf("%s: got %v allocations, want %v", l.kind, got, want[l.kind])
		}
	}
}

func TestPickAllocs(t *testing.T) {
	for _, tc := range []struct {
		of, limit int
		want      float64
	}{{3, 0, 1}, {10, 0, 1}, {100, 16, 1}} {
		addrs := make([]netip.Addr, tc.of)
		if got := testing.AllocsPerRun(100, func() { Sample(addrs, tc.limit) }); got != tc.want {
			t.Errorf("%d of %d: got %v allocations, want %v", tc.limit, tc.of, got, tc.want)
		}
	}
}
