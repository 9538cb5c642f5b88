package dns_test

import (
	"github.com/minilb/minilb/test/harness"

	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// TestExternal is D30 and D31 with a real forward: the alias and what it leads to.
func TestExternal(t *testing.T) {
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	harness.Must(t, harness.Apply(c, `
{apiVersion: v1, kind: Namespace, metadata: {name: external}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: external}
spec:
  rules:
  - {host: x.external.example, HTTP}
  - {host: home.minilb, HTTP}
status: {loadBalancer: {ingress: [{hostname: lb.aws.com}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: fails, namespace: external}
spec: {rules: [{host: fails.external.example, HTTP}]}
status: {loadBalancer: {ingress: [{hostname: broken.aws.com}]}}
`))
	up := harness.StartDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		switch q := r.Question[0]; {
		case q.Name == "broken.aws.com.":
			m.Rcode = dns.RcodeServerFailure
		case q.Name == "lb.aws.com." && q.Qtype == dns.TypeA:
			rr, _ := dns.NewRR("lb.aws.com. 60 IN A 198.51.100.1")
			m.Answer = []dns.RR{rr}
		default:
			rr, _ := dns.NewRR("aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. 1 2 3 4 60")
			m.Ns = []dns.RR{rr}
		}
		w.WriteMsg(m)
	}))
	s := harness.StartCoreDNS(t, strings.Replace(harness.ResolverFor(kubeconfig, up), "cache\n", "cache {\nkeepttl\n}\n", 1))
	s.WaitReady(t)
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("home.minilb", dns.TypeCNAME, "lb.aws.com.") })
	const soa = "aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. SERIAL 2 3 4 60"
	for _, name := range []string{"x.external.example.", "home.minilb."} {
		cname := name + " 5 IN CNAME lb.aws.com."
		for qtype, want := range map[uint16]harness.Message{
			dns.TypeA:    {Flags: "aa", Answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", cname}},
			dns.TypeAAAA: {Flags: "aa", Answer: []string{cname}, Authority: []string{soa}},
		} {
			slices.Sort(want.Answer)
			reply, err := s.Ask("udp", name, qtype)
			harness.Must(t, err)
			if got := harness.MessageOf(reply).String(); got != want.String() {
				t.Errorf("%s %s:\ngot  %s\nwant %s", name, dns.TypeToString[qtype], got, want)
			}
		}
	}
	reply, err := s.Ask("udp", "fails.external.example", dns.TypeA)
	harness.Must(t, err)
	if want := (harness.Message{Rcode: dns.RcodeServerFailure, Flags: "aa", Answer: []string{"fails.external.example. 5 IN CNAME broken.aws.com."}}); harness.MessageOf(reply).String() != want.String() {
		t.Errorf("got %s, want %s", harness.MessageOf(reply), want)
	}
}
