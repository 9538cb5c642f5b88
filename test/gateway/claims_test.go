package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// others is a second namespace that claims what the case's own does, with a Gateway of its own.
var others = harness.Object("v1", "Namespace", "NS-other", "")

// claimCases are about routes, Ingresses and Services that claim one name (C1 to C4, C8, D17).
var claimCases = []gatewayCase{
	{name: "C2: the older route, of the namespace whose name is the later one",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{Namespace: "NS-other"}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.1.0.2"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: the older route, of the namespace whose name is the earlier one",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{}),
		younger: harness.Manifest(harness.Route{Namespace: "NS-other"}),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS-other/r: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: the age of the route counts, not that of its Gateway",
		objects: others + harness.Manifest(othersGateway, harness.Route{}),
		younger: harness.Manifest(harness.Gateway{}, harness.Route{Namespace: "NS-other"}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C2: the namespace of the route counts, not that of its Gateway",
		objects: others + harness.Manifest(harness.Gateway{Listeners: fromAll}, harness.Route{Namespace: "NS-other", Parents: "{name: gw, namespace: NS}"}),
		younger: harness.Manifest(harness.Route{Metadata: serves("web")}) + exposedService("web", "10.244.0.1"),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: an older Ingress before a route",
		objects: others + ingress("NS-other", "a.NS.example", "{ip: 10.9.0.1}") + harness.Manifest(harness.Gateway{}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.9.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: an older route before an Ingress",
		objects: others + harness.Manifest(harness.Gateway{}, harness.Route{}),
		younger: ingress("NS-other", "a.NS.example", "{ip: 10.9.0.1}"),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`Ingress NS-other/i: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: an older Service before a route",
		objects: others + harness.ExposedServiceIn("NS-other", "web", "10.244.0.1", "annotations: {minilb/host: a.NS.example}") + harness.Manifest(harness.Gateway{}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.244.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: an older route before a Service",
		objects: others + harness.Manifest(harness.Gateway{}, harness.Route{}),
		younger: harness.ExposedServiceIn("NS-other", "web", "10.244.0.1", "annotations: {minilb/host: a.NS.example}"),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`Service NS-other/web: host "a.NS.example" is refused: another namespace claimed it earlier`}},
	{name: "C2: kinds of routes",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{Kind: "GRPCRoute", Namespace: "NS-other"}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.1.0.2"}},
	{name: "C2, M2: an older route that is not attached holds nothing",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{Namespace: "NS-other", Status: "none"}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C2, M2: an older route without an address holds nothing",
		objects: others + harness.Manifest(harness.Gateway{}, harness.Gateway{Namespace: "NS-other", Addresses: "none"}, harness.Route{Namespace: "NS-other"}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C2: host by host",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{Namespace: "NS-other"}),
		younger: harness.Manifest(harness.Route{Hosts: "a.NS.example, b.NS.example"}),
		want:    []string{"a 10.1.0.2", "b 10.1.0.1"}},

	{name: "C3: two routes of a namespace",
		objects: harness.Manifest(harness.Gateway{}, harness.Gateway{Name: "second", Addresses: "{value: 10.1.0.2}"}, harness.Route{}),
		younger: harness.Manifest(harness.Route{Name: "second", Parents: "{name: second}"}),
		want:    []string{"a 10.1.0.1 10.1.0.2"}},
	{name: "C3: routes of all kinds, an Ingress and a Service of a namespace",
		objects: harness.Manifest(
			harness.Gateway{}, harness.Route{},
			harness.Gateway{Name: "second", Addresses: "{value: 10.1.0.2}"}, harness.Route{Kind: "GRPCRoute", Parents: "{name: second}"},
			harness.Gateway{Name: "third", Addresses: "{value: 10.1.0.3}", Listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}, harness.Route{Kind: "TLSRoute", Parents: "{name: third}"}) +
			ingress("NS", "a.NS.example", "{ip: 10.1.0.4}") + exposedService("web", "10.1.0.5", "annotations: {minilb/host: a.NS.example}"),
		want: []string{"a 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5"}},
	{name: "C3: the winner's namespace, not others",
		objects: others + harness.Manifest(harness.Gateway{}, harness.Route{}, othersGateway),
		younger: harness.Manifest(harness.Route{Namespace: "NS-other"}) + ingress("NS", "a.NS.example", "{ip: 10.1.0.4}"),
		want:    []string{"a 10.1.0.1 10.1.0.4"}},
	{name: "C3: routes of two namespaces on one Gateway, as in the guide of the Gateway API",
		objects: others + harness.Manifest(harness.Gateway{Listeners: fromAll}, harness.Route{}),
		younger: harness.Manifest(harness.Route{Namespace: "NS-other", Parents: "{name: gw, namespace: NS}"}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C4: one route at Gateways of two namespaces is one claim",
		objects: others + harness.Manifest(harness.Gateway{}, harness.Gateway{Namespace: "NS-other", Listeners: fromAll, Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: gw}, {name: gw, namespace: NS-other}"}),
		want:    []string{"a 10.1.0.1 10.1.0.2"}},

	{name: "C1: an exact host before an older wildcard",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{Namespace: "NS-other", Hosts: "'*.NS.example'"}),
		younger: harness.Manifest(harness.Route{}),
		want:    []string{"a 10.1.0.1", "b 10.1.0.2"}},
	{name: "C1: a longer wildcard before an older shorter one",
		objects: others + harness.Manifest(harness.Gateway{}, othersGateway, harness.Route{Namespace: "NS-other", Hosts: "'*.NS.example'"}),
		younger: harness.Manifest(harness.Route{Hosts: "'*.a.NS.example'"}),
		want:    []string{"x.a 10.1.0.1", "b 10.1.0.2"}},

	// C8, D17: names within the zone.
	{name: "D17: the name of a Service",
		objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{}, harness.Route{Hosts: "web.NS.minilb, a.NS.example"}),
		want:    []string{"web.NS.minilb. 10.244.0.1", "a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "web.NS.minilb" is refused: it is the name of Service NS/web`}},
	{name: "C8, D17: another namespace's names",
		objects: others + harness.Manifest(othersGateway, harness.Route{Namespace: "NS-other", Hosts: "web.NS.minilb, a.NS.example"}),
		want:    []string{"a 10.1.0.2"},
		logged:  []string{`HTTPRoute NS-other/r: host "web.NS.minilb" is refused: names below NS.minilb belong to namespace "NS"`}},
	{name: "D17: its own namespace's names",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Hosts: "portal.NS.minilb, home-NS.minilb"}),
		want:    []string{"portal.NS.minilb. 10.1.0.1", "home-NS.minilb. 10.1.0.1"}},
	{name: "D17: all names of the zone, by a listener",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: all, port: 80, protocol: HTTP, hostname: "*.minilb"}, {name: good, port: 80, protocol: HTTP, hostname: a.NS.example}`}, harness.Route{Hosts: "none"}),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "*.minilb" is refused: it would cover every namespace of zone minilb`}},
}

// TestGatewayClaimsOfOneSecond has two routes claim a host within a second: the namespace and the
// name decide, whichever the API server has stored first (C2).
func TestGatewayClaimsOfOneSecond(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t)))
	s.WaitReady(t)
	for attempt := range 20 {
		// The later name comes first, so that the order of arrival would give another winner.
		second, first := fmt.Sprintf("second-b%d", attempt), fmt.Sprintf("second-a%d", attempt)
		host := fmt.Sprintf("second%d.example", attempt)
		var created []time.Time
		for i, namespace := range []string{second, first} {
			address := fmt.Sprintf("{value: 10.1.0.%d}", 2-i)
			harness.Must(t, c.Apply(t.Context(), harness.Object("v1", "Namespace", namespace, "")+harness.Manifest(harness.Gateway{Namespace: namespace, Addresses: address})))
		}
		for _, namespace := range []string{second, first} {
			harness.Must(t, c.Apply(t.Context(), harness.Manifest(harness.Route{Namespace: namespace, Hosts: host})))
			made, err := c.Dynamic.Resource(harness.HttpRoutes).Namespace(namespace).Get(t.Context(), "r", metav1.GetOptions{})
			harness.Must(t, err)
			created = append(created, made.GetCreationTimestamp().Time)
		}
		winner := first
		if created[0].Before(created[1]) {
			winner = second
		}
		want := map[string]string{first: "10.1.0.1", second: "10.1.0.2"}[winner]
		cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(host, dns.TypeA, want) })
		if winner == first {
			return
		}
	}
	t.Fatal("no two routes were made in one second")
}

// othersGateway is that of the other namespace.
var othersGateway = harness.Gateway{Namespace: "NS-other", Addresses: "{value: 10.1.0.2}"}

// ingress is an Ingress for a host with an address in its status.
func ingress(namespace, host, address string) string {
	return fmt.Sprintf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i, namespace: %s}
spec: {rules: [{host: %s, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}
status: {loadBalancer: {ingress: [%s]}}
---
`, namespace, host, address)
}
