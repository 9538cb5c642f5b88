package integration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// TestExternal is D30 and D31 with a real forward: the alias and what it leads to.
func TestExternal(t *testing.T) {
	c := shared(t)
	kubeconfig := shippedAccounts(t, c).dns
	must(t, apply(c, `
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
	up := startDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
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
	s := startCoreDNS(t, strings.Replace(resolverFor(kubeconfig, up), "cache\n", "cache {\nkeepttl\n}\n", 1))
	s.waitReady(t)
	cluster.Eventually(t, 5*time.Second, func() error { return s.expect("home.minilb", dns.TypeCNAME, "lb.aws.com.") })
	const soa = "aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. SERIAL 2 3 4 60"
	for _, name := range []string{"x.external.example.", "home.minilb."} {
		cname := name + " 5 IN CNAME lb.aws.com."
		for qtype, want := range map[uint16]message{
			dns.TypeA:    {flags: "aa", answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", cname}},
			dns.TypeAAAA: {flags: "aa", answer: []string{cname}, authority: []string{soa}},
		} {
			slices.Sort(want.answer)
			reply, err := s.ask("udp", name, qtype)
			must(t, err)
			if got := messageOf(reply).String(); got != want.String() {
				t.Errorf("%s %s:\ngot  %s\nwant %s", name, dns.TypeToString[qtype], got, want)
			}
		}
	}
	reply, err := s.ask("udp", "fails.external.example", dns.TypeA)
	must(t, err)
	if want := (message{rcode: dns.RcodeServerFailure, flags: "aa", answer: []string{"fails.external.example. 5 IN CNAME broken.aws.com."}}); messageOf(reply).String() != want.String() {
		t.Errorf("got %s, want %s", messageOf(reply), want)
	}
}
