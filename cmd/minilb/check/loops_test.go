package check

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// D4b: what only goes round is told from what nobody answers, from what is answered, and from what is refused, as
// unclaimed names are where nothing follows (D4).
func TestForwardLoops(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		about    string
		upstream bool // whether other names are answered
		want     []string
	}{
		{"with an upstream", true, []string{"error loop.example", "notice down.example"}},
		{"without", false, []string{"error loop.example"}},
	} {
		t.Run(tc.about, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w dns.ResponseWriter, r *dns.Msg) {
				reply := new(dns.Msg).SetRcode(r, dns.RcodeNameError)
				name := r.Question[0].Name
				switch {
				case strings.HasSuffix(name, ".refused.example."), !tc.upstream && !strings.HasSuffix(name, ".example."):
					reply.Rcode = dns.RcodeRefused
				case strings.HasSuffix(name, ".down.example."):
					reply.Rcode = dns.RcodeServerFailure
				case strings.HasSuffix(name, ".loop.example."):
					reply.Rcode = dns.RcodeServerFailure
					reply.SetEdns0(1232, false)
					reply.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: lb.ForwardLoopError}}
				}
				w.WriteMsg(reply)
			})
			var got []string
			for _, f := range sorted(forwardLoops(t.Context(), over(server), server, []string{"down.example.", "fine.example.", "loop.example.", "refused.example."})) {
				if f.Reason != "ForwardLoop" || f.Kind != "Name" || f.Fix == "" {
					t.Errorf("got %+v", f)
				}
				got = append(got, fmt.Sprintf("%s %s", f.Severity, f.Name))
			}
			if strings.Join(got, ", ") != strings.Join(tc.want, ", ") {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// Of many domains some are asked, and it is told how many are not.
func TestForwardLoopsOfMany(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answered := func(_ context.Context, q question) (*dns.Msg, error) {
		asked.Add(1)
		return new(dns.Msg).SetRcode(new(dns.Msg).SetQuestion(q.name, q.qtype), dns.RcodeNameError), nil
	}
	var domains []string
	for i := range maxDomains {
		domains = append(domains, fmt.Sprintf("d%d.example.", i))
	}
	if got := forwardLoops(t.Context(), answered, "192.0.2.1:53", domains); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
	asked.Store(0)
	got := forwardLoops(t.Context(), answered, "192.0.2.1:53", append(domains, "x.example.", "y.example."))
	if len(got) != 1 || got[0].Severity != Notice || got[0].Reason != "DomainsNotAsked" || !strings.HasPrefix(got[0].Text, "2 more domains not asked") {
		t.Errorf("got %+v", got)
	}
	if n := asked.Load(); n != maxDomains+1 {
		t.Errorf("%d names were asked for, want one of each domain and another", n)
	}
}
