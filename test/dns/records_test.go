package dns_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// recordsState are Services with HTTPS, all of the same pods, one of which is known by hosts only
// through an Ingress, and one without.
const recordsState = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS, annotations: {minilb/host: "web.NS.example, old.NS.example"}}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Service
metadata: {name: same, namespace: NS, annotations: {minilb/alpn: "h2, http/1.1"}}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 443}]
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: NS, annotations: {minilb/alpn: h2}}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{port: 80, targetPort: 443}]
---
apiVersion: v1
kind: Service
metadata: {name: only, namespace: NS}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  selector: {app: web}
  ports: [{port: 443, targetPort: 8443}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: NS}
spec: {rules: [{host: a.NS.example, HTTP}, {host: "*.w.NS.example", HTTP}]}
status: {loadBalancer: {ingress: [{hostname: only.NS.minilb}]}}
`

// TestHTTPSAndPTR asks for the records that are there on request alone (D50, D51, D60).
func TestHTTPSAndPTR(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	ctx, ns := t.Context(), harness.NewNamespace(t, c)
	harness.Must(t, c.Node(ctx, "records", "192.168.1.77"))
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(recordsState, "NS", ns)))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: ns, Name: "web-0", Labels: map[string]string{"app": "web"}, Node: "records", IPs: []string{"10.77.1.7", "fd77::7"}}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: ns, Name: "web-1", Labels: map[string]string{"app": "web"}, Node: "records", IPs: []string{"10.77.2.8", "fd77::8"}}))
	harness.Must(t, c.SetReady(ctx, ns, "web-1", false))
	s := harness.StartCoreDNS(t, fmt.Sprintf(`.:PORT {
		bind 127.0.0.1
		READY
		errors
		minilb minilb 10.77.0.0/16 fd77::/64 {
			kubeconfig %s
			namespaces %s
			https
			fallthrough fd77::/64
		}
	}`, c.Kubeconfig, ns))
	s.WaitReady(t)
	const up, down = "7.1.77.10.in-addr.arpa", "8.2.77.10.in-addr.arpa"
	in := func(name string) string { return strings.ReplaceAll(name, "NS", ns) }
	cluster.Eventually(t, 20*time.Second, func() error { // the slices of all Services are there, of both families
		return errors.Join(
			s.Expect(up, dns.TypePTR, in("10-77-1-7.only.NS.minilb."), in("10-77-1-7.plain.NS.minilb."), in("10-77-1-7.same.NS.minilb."), in("10-77-1-7.web.NS.minilb.")),
			s.Expect("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa", dns.TypePTR, in("10-77-1-7.web.NS.minilb.")),
			s.ExpectRcode(down, dns.TypePTR, dns.RcodeNameError))
	})
	expect := func(name string, qtype uint16, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = in(want[i])
		}
		if err := s.Expect(in(name), qtype, want...); err != nil {
			t.Error(err)
		}
	}
	expect("web.NS.minilb", dns.TypeHTTPS) // D50: at another port, beside a port 80
	expect("web.NS.example", dns.TypeHTTPS)
	expect("old.NS.example", dns.TypeA, "10.77.1.7")
	expect("web.NS.minilb", dns.TypeSVCB)
	expect("same.NS.minilb", dns.TypeHTTPS, `1 . alpn="h2,http/1.1"`)
	expect("plain.NS.minilb", dns.TypeHTTPS)
	expect("10-77-1-7.web.NS.minilb", dns.TypeHTTPS)
	for _, name := range []string{"only.NS.minilb", "a.NS.example", "q.w.NS.example"} {
		expect(name, dns.TypeHTTPS, `1 . port="8443"`) // D50
	}
	expect("NS.minilb", dns.TypeHTTPS)
	expect("minilb", dns.TypeHTTPS)
	for _, name := range []string{"_8443._https.web.NS.minilb", "nope.NS.minilb"} { // D51: no name for a port that is not the default
		if err := s.ExpectRcode(in(name), dns.TypeHTTPS, dns.RcodeNameError); err != nil {
			t.Error(err)
		}
	}

	expect(up, dns.TypePTR, "10-77-1-7.only.NS.minilb.", "10-77-1-7.plain.NS.minilb.", "10-77-1-7.same.NS.minilb.", "10-77-1-7.web.NS.minilb.")
	expect(up, dns.TypeA)
	expect("1.77.10.in-addr.arpa", dns.TypePTR)
	expect("7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa", dns.TypePTR, "10-77-1-7.web.NS.minilb.")
	const (
		apex = "77.10.in-addr.arpa."
		six  = "8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa"
	)
	upper := strings.ToUpper("7" + six[1:] + ".")
	testMessages(t, s, []vector{
		{"7.1.77.10.IN-ADDR.ARPA.", dns.TypePTR, harness.Message{Flags: "aa", Answer: []string{ // D22
			in("7.1.77.10.IN-ADDR.ARPA. 5 IN PTR 10-77-1-7.only.NS.minilb."), in("7.1.77.10.IN-ADDR.ARPA. 5 IN PTR 10-77-1-7.plain.NS.minilb."),
			in("7.1.77.10.IN-ADDR.ARPA. 5 IN PTR 10-77-1-7.same.NS.minilb."), in("7.1.77.10.IN-ADDR.ARPA. 5 IN PTR 10-77-1-7.web.NS.minilb."),
		}}},
		{upper, dns.TypePTR, harness.Message{Flags: "aa", Answer: []string{upper + in(" 5 IN PTR 10-77-1-7.web.NS.minilb.")}}},
		{up + ".", dns.TypeANY, harness.Message{Flags: "aa", Answer: []string{up + `. 5 IN HINFO "RFC8482" ""`}}}, // D28
		// The first zone's name server is that of the reverse zones.
		{apex, dns.TypeSOA, harness.Message{Flags: "aa", Answer: []string{apex + " 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"}}},
		{apex, dns.TypeNS, harness.Message{Flags: "aa", Answer: []string{apex + " 5 IN NS ns1.minilb."}, Extra: []string{"ns1.minilb. 5 IN A 127.0.0.1"}}},
		{apex, dns.TypePTR, harness.Message{Flags: "aa", Authority: []string{apex + " 5 IN SOA ns1.minilb. hostmaster.minilb. SERIAL 7200 1800 86400 5"}}},
	})
	for name, want := range map[string]int{
		down: dns.RcodeNameError, "2.77.10.in-addr.arpa": dns.RcodeNameError, "x.77.10.in-addr.arpa": dns.RcodeNameError, "x." + up: dns.RcodeNameError,
		six:                     dns.RcodeRefused, // the next plugin, if there were one
		"1.0.0.10.in-addr.arpa": dns.RcodeRefused,
	} {
		if err := s.ExpectRcode(name, dns.TypePTR, want); err != nil {
			t.Error(err)
		}
	}

	before := harness.Serials(t, s, "minilb", "77.10.in-addr.arpa")
	harness.Must(t, c.SetReady(ctx, ns, "web-1", true))
	cluster.Eventually(t, 10*time.Second, func() error {
		return s.Expect(down, dns.TypePTR, in("10-77-2-8.only.NS.minilb."), in("10-77-2-8.plain.NS.minilb."), in("10-77-2-8.same.NS.minilb."), in("10-77-2-8.web.NS.minilb."))
	})
	for i, serial := range harness.Serials(t, s, "minilb", "77.10.in-addr.arpa") {
		if serial <= before[i] {
			t.Errorf("D24: zone %d: a new endpoint left the serial at %d", i, serial)
		}
	}

	// A host goes with its annotation.
	services := c.Client.CoreV1().Services(ns)
	web, err := services.Get(ctx, "web", metav1.GetOptions{})
	harness.Must(t, err)
	web.Annotations["minilb/host"] = in("web.NS.example")
	_, err = services.Update(ctx, web, metav1.UpdateOptions{})
	harness.Must(t, err)
	cluster.Eventually(t, 5*time.Second, func() error { return s.ExpectRcode(in("old.NS.example"), dns.TypeA, dns.RcodeRefused) })
	expect("web.NS.example", dns.TypeA, "10.77.1.7", "10.77.2.8")
}
