package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// D4b: what only goes round is told from what nobody answers, and from what is answered.
func TestForwardLoops(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		about    string
		upstream bool // whether other names are answered
		want     []string
	}{
		{"with an upstream", true, []string{"error loop.example", "warning refused.example"}},
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
				case strings.HasSuffix(name, ".loop.example."):
					reply.Rcode = dns.RcodeServerFailure
					reply.SetEdns0(1232, false)
					reply.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: lb.ForwardLoopError}}
				}
				w.WriteMsg(reply)
			})
			var got []string
			for _, f := range sorted(forwardLoops(t.Context(), over(server), server, []string{"fine.example.", "loop.example.", "refused.example."})) {
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
