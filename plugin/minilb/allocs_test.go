//go:build !race

package minilb

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"
)

// What an answer allocates does not depend on the machine. (The race detector allocates by
// itself.)
func TestServeDNSAllocs(t *testing.T) {
	want := map[string][2]float64{ // with 3 and with 10 endpoints
		"zone":     {7, 7},
		"overlay":  {7, 7},
		"wildcard": {7, 7},
		"srv":      {11, 16},
		"nodata":   {6, 6},
		"nxdomain": {4, 4},
	}
	for i, endpoints := range []int{3, 10} {
		m := sized(10, endpoints)
		for _, a := range answersOf {
			question, w, ctx := new(dns.Msg).SetQuestion(fmt.Sprintf(a.name, 7), a.qtype), &lastReply{}, t.Context()
			got := testing.AllocsPerRun(1000, func() { m.ServeDNS(ctx, w, question) })
			if got != want[a.kind][i] {
				t.Errorf("%s with %d endpoints: got %v allocations, want %v", a.kind, endpoints, got, want[a.kind][i])
			}
			if a.all && len(w.msg.Answer) != endpoints {
				t.Errorf("%s: got %d records, want %d, in\n%s", a.kind, len(w.msg.Answer), endpoints, w.msg)
			}
		}
	}
}
