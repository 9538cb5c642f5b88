package resolvers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// A resolver that follows aliases by itself, whatever it was asked for before, is not led to its own
// clients: neither by localhost, which ingress-nginx publishes in kind, nor by a name of the public DNS
// that stands for it (D30).
func TestAliasToLoopback(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := harness.NewNamespace(t, c)
	in := strings.NewReplacer("NS", namespace).Replace
	orders := [][]uint16{{dns.TypeA}, {dns.TypeAAAA, dns.TypeA}, {dns.TypeCNAME, dns.TypeA}, {dns.TypeHTTPS, dns.TypeA}, {dns.TypeA, dns.TypeAAAA}}
	targets := map[string]string{"kind": "localhost", "four": "four.NS.test", "six": "six.NS.test", "far": "far.NS.test"}
	for name, target := range targets {
		for i := range orders {
			harness.Must(t, harness.Apply(c, in(fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %[1]s%[2]d, namespace: NS}
spec: {rules: [{host: %[1]s%[2]d.NS.example, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: %[3]s}]}}
`, name, i, target))))
		}
	}
	upstream := harness.StartUpstream(t, "localhost. 60 IN A 127.0.0.1", in("four.NS.test. 60 IN A 127.0.0.1"), in("six.NS.test. 60 IN AAAA ::1"), in("far.NS.test. 60 IN A 198.51.100.1"))
	s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, upstream))
	s.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(in("far0.NS.example"), dns.TypeCNAME, in("far.NS.test.")) })
	host, port, _ := strings.Cut(s.Addr, ":")
	resolver := startUnbound(t, "minilb.", "    module-config: iterator\n", "forward-zone:\n    name: .\n    forward-addr: "+host+"@"+port+"\n")
	for name := range targets {
		for i, order := range orders {
			for _, qtype := range order {
				reply, err := harness.Ask(resolver.addr, "udp", in(fmt.Sprintf("%s%d.NS.example", name, i)), qtype)
				harness.Must(t, err)
				found := 0
				for _, rr := range reply.Answer {
					switch rr := rr.(type) {
					case *dns.A:
						if found++; rr.A.IsLoopback() {
							t.Errorf("%v: got\n%s", order, reply)
						}
					case *dns.AAAA:
						t.Errorf("%v: got\n%s", order, reply)
					}
				}
				if want := name == "far" && qtype == dns.TypeA; (found > 0) != want {
					t.Errorf("%s: %v: got %d addresses:\n%s", name, order, found, reply)
				}
			}
		}
	}
}
