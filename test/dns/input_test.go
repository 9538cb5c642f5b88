package dns_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestBadInput gives the real server what people get wrong: each item costs itself alone, and
// is logged in one line with its object.
func TestBadInput(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ctx := t.Context()
	first, second := harness.NewNamespace(t, c), harness.NewNamespace(t, c)
	in := strings.NewReplacer("FIRST", first, "SECOND", second).Replace
	label64 := strings.Repeat("a", 64)
	bytes254 := strings.Repeat(strings.Repeat("b", 62)+".", 4) + "bb"
	if len(bytes254) != 254 {
		t.Fatal(len(bytes254))
	}
	harness.Must(t, harness.Apply(c, in(`
apiVersion: v1
kind: Service
metadata:
  name: hosts
  namespace: FIRST
  annotations: {minilb/host: " good.example ,, UPPER.Example. art.example\nlines.example,`+label64+`.example,`+bytes254+`,10.0.0.1,bücher.example,"}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: odd, namespace: FIRST, annotations: {minilb/host: "nas-FIRST https://url.example/ port.example:8443"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: wild, namespace: FIRST, annotations: {minilb/host: "*,*.FIRST.com.,*.minilb,ns1.minilb,hosts.FIRST.minilb,x.SECOND.minilb"}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: winner, namespace: FIRST, annotations: {minilb/host: shared.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: unpublished, namespace: FIRST}
spec: {rules: [{host: unpublished.example, HTTP}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: zeros, namespace: FIRST}
spec: {rules: [{host: zeros.example, HTTP}, {HTTP}]}
status: {loadBalancer: {ingress: [{ip: 10.9.0.9}, {hostname: hosts.FIRST.minilb}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: long, namespace: FIRST}
spec: {rules: [{host: `+label64+`.example, HTTP}, {host: beside.example, HTTP}]}
status: {loadBalancer: {ingress: [{ip: 10.9.0.8}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nowhere, namespace: FIRST, annotations: {minilb/service: no/such}}
spec: {rules: [{host: nowhere.example, HTTP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: hosts-fqdn, namespace: FIRST, labels: {kubernetes.io/service-name: hosts}}
addressType: FQDN
endpoints: [{addresses: [web.example.org]}]
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: hosts-empty, namespace: FIRST, labels: {kubernetes.io/service-name: hosts}}, addressType: IPv4, endpoints: []}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: nobodys, namespace: FIRST}, addressType: IPv4, endpoints: [{addresses: [10.1.1.1]}]}
---
`+harness.StaticSlice(first, "hosts", "IPv4", "10.1.0.1", "192.192.192.192")+harness.StaticSlice(first, "wild", "IPv4", "10.1.0.2")+harness.StaticSlice(first, "winner", "IPv4", "10.1.0.3")+harness.StaticSlice(first, "odd", "IPv4", "10.1.0.4"))))
	nextSecond() // the loser's claim is to be the younger
	harness.Must(t, harness.Apply(c, in(`
apiVersion: v1
kind: Service
metadata: {name: loser, namespace: SECOND, annotations: {minilb/host: shared.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
`+harness.StaticSlice(second, "loser", "IPv4", "10.2.0.1"))))

	// All lines are counted: other tests' objects are none of its business.
	s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, harness.StartUpstream(t), "namespaces "+first+" "+second))
	s.WaitReady(t)
	for name, want := range map[string]string{
		"good.example": "10.1.0.1", "upper.example": "10.1.0.1", "art.example": "10.1.0.1", "lines.example": "10.1.0.1", "nas-FIRST.minilb": "10.1.0.4", // I10
		"hosts.FIRST.minilb": "10.1.0.1", // E6, E17
		"any.FIRST.com":      "10.1.0.2", "wild.FIRST.minilb": "10.1.0.2", "shared.example": "10.1.0.3",
		"beside.example": "10.9.0.8", "loser.SECOND.minilb": "10.2.0.1",
	} {
		if err := s.Expect(in(name), dns.TypeA, want); err != nil {
			t.Error(err)
		}
	}
	if err := s.Expect("zeros.example", dns.TypeA, "10.1.0.1", "10.9.0.9"); err != nil { // I7
		t.Error(err)
	}
	lines := []string{
		`The API server does not serve the Gateway API`,
		`Service FIRST/odd: host "nas-FIRST" has no dot, so it means nas-FIRST.minilb; "nas-FIRST." with a final dot would be the name itself`,
		`Service FIRST/odd: host "https://url.example/" in annotation minilb/host is refused: it is a URL: write "url.example"`,
		`Service FIRST/odd: host "port.example:8443" in annotation minilb/host is refused: it has a port, which DNS does not know: write "port.example"`,
		`Service FIRST/hosts: host "` + label64 + `.example" in annotation minilb/host is refused: its label "aaaaaaaaaaaaa`,
		`in annotation minilb/host is refused: it has 254 characters, at most 253 are allowed`,
		`Service FIRST/hosts: host "10.0.0.1" in annotation minilb/host is refused: it is an IP address`,
		`Service FIRST/hosts: host "bücher.example" in annotation minilb/host is refused: it has a letter beyond ASCII, 'ü': write "xn--bcher-kva.example"`,
		`Service FIRST/wild: host "*" in annotation minilb/host is refused: a wildcard needs a domain`,
		`Service FIRST/wild: host "*.minilb" is refused: it would cover every namespace of zone minilb`,
		`Service FIRST/wild: host "ns1.minilb" is refused: it is the name server of zone minilb`,
		`Service FIRST/wild: host "hosts.FIRST.minilb" is refused: it is the name of Service FIRST/hosts`,
		`Service FIRST/wild: host "x.SECOND.minilb" is refused: names below SECOND.minilb belong to namespace "SECOND"`,
		`Service SECOND/loser: host "shared.example" is refused: another namespace claimed it earlier`,
		`Ingress FIRST/unpublished: host "unpublished.example" is not served: its status has no address yet`,
		`Ingress FIRST/long: host "` + label64 + `.example" is refused: its label`,
		`Ingress FIRST/nowhere: host "nowhere.example" is not served: Service no/such is not one of class "minilb"`,
		`EndpointSlice FIRST/hosts-fqdn: its address type "FQDN" cannot be answered with`,
	}
	cluster.Eventually(t, 10*time.Second, func() error { // the answers come first
		var errs []error
		for _, line := range lines {
			if got := s.Log.Lines(in(line)); len(got) != 1 {
				errs = append(errs, fmt.Errorf("got %d lines with %q, want one", len(got), in(line)))
			}
		}
		if n := len(s.Log.Lines("plugin/minilb")); n != len(lines) {
			errs = append(errs, fmt.Errorf("got %d lines, want %d:\n%s", n, len(lines), s.Log))
		}
		return errors.Join(errs...)
	})
	_, metrics := harness.Get(s.Prom)
	for _, want := range []string{`{reason="conflict"} 1`, `{reason="reserved"} 4`, `{reason="invalid"} 9`, `{reason="dead"} 2`, `{reason="not_allowed"} 0`} {
		if !strings.Contains(metrics, "coredns_minilb_claims_rejected"+want) {
			t.Errorf("no claims_rejected%s in\n%s", want, harness.Grep(metrics, "rejected"))
		}
	}

	// What the API server itself does not let in.
	for _, refused := range []string{
		`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: garbage, namespace: FIRST, labels: {kubernetes.io/service-name: hosts}}, addressType: IPv4, endpoints: [{addresses: [garbage]}]}`,
		`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: zeros, namespace: FIRST}, spec: {rules: [{host: zeros.example, HTTP}]}, status: {loadBalancer: {ingress: [{ip: ten}]}}}`,
	} {
		if err := harness.Apply(c, in(refused)); err == nil {
			t.Errorf("the API server takes %s: the translation must be tested with it here", refused)
		}
	}

	// A problem that is put right is served, and not logged again.
	harness.Must(t, c.Delete(ctx, in("{apiVersion: v1, kind: Service, metadata: {name: winner, namespace: FIRST}}")))
	cluster.Eventually(t, 5*time.Second, func() error { return s.Expect("shared.example", dns.TypeA, "10.2.0.1") })
}
