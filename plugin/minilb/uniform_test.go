package minilb

import (
	"maps"
	"slices"
	"testing"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/uniform"
)

// D23: over many answers each endpoint is answered with as often as any other, and comes
// first as often.
func TestAnswersUniform(t *testing.T) {
	const rounds, endpoints = 30_000, 20
	m := withPorts(testConfig(), endpoints)
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		in, first := map[string]int{}, map[string]int{}
		answered := 0
		for range rounds {
			rec := dnstest.NewRecorder(&test.ResponseWriter{})
			if _, err := m.ServeDNS(t.Context(), rec, new(dns.Msg).SetQuestion("web.shop.minilb.", qtype)); err != nil {
				t.Fatal(err)
			}
			if answered != 0 && len(rec.Msg.Answer) != answered {
				t.Fatalf("%s: got %d records, and %d before", dns.TypeToString[qtype], len(rec.Msg.Answer), answered)
			}
			answered = len(rec.Msg.Answer)
			for i, rr := range rec.Msg.Answer {
				in[rr.String()]++
				if i == 0 {
					first[rr.String()]++
				}
			}
		}
		what := dns.TypeToString[qtype]
		if len(in) != endpoints || len(first) != endpoints || answered >= endpoints {
			t.Errorf("%s: %d records of %d, %d of them first, %d in an answer", what, len(in), endpoints, len(first), answered)
			continue
		}
		if err := uniform.Subsets(slices.Collect(maps.Values(in)), rounds, answered); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := uniform.Outcomes(slices.Collect(maps.Values(first))); err != nil {
			t.Errorf("%s: first: %v", what, err)
		}
	}
}
