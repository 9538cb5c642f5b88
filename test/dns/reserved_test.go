package dns_test

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestReserved claims what is nobody's, and what is relative to the zone, at the real server (C7, I10).
func TestReserved(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	namespace := harness.NewNamespace(t, c)
	in := strings.NewReplacer("NS", namespace).Replace
	harness.Must(t, harness.Apply(c, in(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS, annotations: {minilb/host: "tv-NS, kube-system wpad\n*.com, localhost, NS # old, printer\n*.NS.test"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
`+harness.StaticSlice(namespace, "web", "IPv4", "10.1.0.1"))))
	upstream := harness.StartUpstream(t)
	s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, upstream))
	excepted := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, upstream, "claim .", "claim wpad.minilb from "+namespace))
	for _, server := range []*harness.CoreDNS{s, excepted} {
		server.WaitReady(t)
		for _, name := range []string{"tv-NS.minilb", "NS.minilb"} {
			cluster.Eventually(t, 10*time.Second, func() error { return server.Expect(in(name), dns.TypeA, "10.1.0.1") })
		}
		if err := server.ExpectRcode("kube-system.minilb", dns.TypeA, dns.RcodeNameError); err != nil {
			t.Error(err)
		}
		if err := server.Expect(in("tv.NS.test"), dns.TypeA, "10.1.0.1"); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"any-NS.com", "localhost", "tv-NS", "wpad", "wpad.NS.test", "wpad.tv.NS.test", "isatap.NS.test"} { // are passed on
			if err := server.Expect(in(name), dns.TypeA); err != nil {
				t.Error(err)
			}
		}
		lines := server.Log.Lines(in("Service NS/web: host "))
		for _, text := range []string{`it is the name of namespace "kube-system"`, `public suffix "com"`, "localhost is for"} {
			if n := strings.Count(strings.Join(lines, "\n"), text); n != 1 {
				t.Errorf("got lines %q, want one with %q", lines, text)
			}
		}
	}
	if err := s.ExpectRcode("printer.minilb", dns.TypeA, dns.RcodeNameError); err != nil {
		t.Error(err)
	}
	if err := s.ExpectRcode("wpad.minilb", dns.TypeA, dns.RcodeNameError); err != nil {
		t.Error(err)
	}
	if err := excepted.Expect("wpad.minilb", dns.TypeA, "10.1.0.1"); err != nil {
		t.Errorf("with a claim line: %v", err)
	}
}
