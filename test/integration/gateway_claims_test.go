package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
)

// others is a second namespace that claims what the case's own does, with a Gateway of its own.
var others = object("v1", "Namespace", "NS-other", "")

// claimCases are about routes, Ingresses and Services that claim one name (C1 to C4, C8, D17).
var claimCases = []gatewayCase{
	{name: "C2: the older route, of the namespace whose name is the later one",
		objects: others + manifest(gateway{}, othersGateway, route{namespace: "NS-other"}),
		younger: manifest(route{}),
		want:    []string{"a 10.1.0.2"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: the older route, of the namespace whose name is the earlier one",
		objects: others + manifest(gateway{}, othersGateway, route{}),
		younger: manifest(route{namespace: "NS-other"}),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS-other/r: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: the age of the route counts, not that of its Gateway",
		objects: others + manifest(othersGateway, route{}),
		younger: manifest(gateway{}, route{namespace: "NS-other"}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C2: the namespace of the route counts, not that of its Gateway",
		objects: others + manifest(gateway{listeners: fromAll}, route{namespace: "NS-other", parents: "{name: gw, namespace: NS}"}),
		younger: manifest(route{metadata: serves("web")}) + exposedService("web", "10.244.0.1"),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: an older Ingress before a route",
		objects: others + ingress("NS-other", "a.NS.example", "{ip: 10.9.0.1}") + manifest(gateway{}),
		younger: manifest(route{}),
		want:    []string{"a 10.9.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: an older route before an Ingress",
		objects: others + manifest(gateway{}, route{}),
		younger: ingress("NS-other", "a.NS.example", "{ip: 10.9.0.1}"),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`Ingress NS-other/i: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: an older Service before a route",
		objects: others + exposedServiceIn("NS-other", "web", "10.244.0.1", "annotations: {minilb/host: a.NS.example}") + manifest(gateway{}),
		younger: manifest(route{}),
		want:    []string{"a 10.244.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: an older route before a Service",
		objects: others + manifest(gateway{}, route{}),
		younger: exposedServiceIn("NS-other", "web", "10.244.0.1", "annotations: {minilb/host: a.NS.example}"),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`Service NS-other/web: host "a.NS.example." is refused: another namespace claimed it earlier`}},
	{name: "C2: kinds of routes",
		objects: others + manifest(gateway{}, othersGateway, route{kind: "GRPCRoute", namespace: "NS-other"}),
		younger: manifest(route{}),
		want:    []string{"a 10.1.0.2"}},
	{name: "C2, M2: an older route that is not attached holds nothing",
		objects: others + manifest(gateway{}, othersGateway, route{namespace: "NS-other", status: "none"}),
		younger: manifest(route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C2, M2: an older route without an address holds nothing",
		objects: others + manifest(gateway{}, gateway{namespace: "NS-other", addresses: "none"}, route{namespace: "NS-other"}),
		younger: manifest(route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "C2: host by host",
		objects: others + manifest(gateway{}, othersGateway, route{namespace: "NS-other"}),
		younger: manifest(route{hosts: "a.NS.example, b.NS.example"}),
		want:    []string{"a 10.1.0.2", "b 10.1.0.1"}},

	{name: "C3: two routes of a namespace",
		objects: manifest(gateway{}, gateway{name: "second", addresses: "{value: 10.1.0.2}"}, route{}),
		younger: manifest(route{name: "second", parents: "{name: second}"}),
		want:    []string{"a 10.1.0.1 10.1.0.2"}},
	{name: "C3: routes of all kinds, an Ingress and a Service of a namespace",
		objects: manifest(
			gateway{}, route{},
			gateway{name: "second", addresses: "{value: 10.1.0.2}"}, route{kind: "GRPCRoute", parents: "{name: second}"},
			gateway{name: "third", addresses: "{value: 10.1.0.3}", listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}, route{kind: "TLSRoute", parents: "{name: third}"}) +
			ingress("NS", "a.NS.example", "{ip: 10.1.0.4}") + exposedService("web", "10.1.0.5", "annotations: {minilb/host: a.NS.example}"),
		want: []string{"a 10.1.0.1 10.1.0.2 10.1.0.3 10.1.0.4 10.1.0.5"}},
	{name: "C3: the winner's namespace, not others",
		objects: others + manifest(gateway{}, route{}, othersGateway),
		younger: manifest(route{namespace: "NS-other"}) + ingress("NS", "a.NS.example", "{ip: 10.1.0.4}"),
		want:    []string{"a 10.1.0.1 10.1.0.4"}},
	{name: "C4: one route at Gateways of two namespaces is one claim",
		objects: others + manifest(gateway{}, gateway{namespace: "NS-other", listeners: fromAll, addresses: "{value: 10.1.0.2}"}, route{parents: "{name: gw}, {name: gw, namespace: NS-other}"}),
		want:    []string{"a 10.1.0.1 10.1.0.2"}},

	{name: "C1: an exact host before an older wildcard",
		objects: others + manifest(gateway{}, othersGateway, route{namespace: "NS-other", hosts: "'*.NS.example'"}),
		younger: manifest(route{}),
		want:    []string{"a 10.1.0.1", "b 10.1.0.2"}},
	{name: "C1: a longer wildcard before an older shorter one",
		objects: others + manifest(gateway{}, othersGateway, route{namespace: "NS-other", hosts: "'*.NS.example'"}),
		younger: manifest(route{hosts: "'*.a.NS.example'"}),
		want:    []string{"x.a 10.1.0.1", "b 10.1.0.2"}},

	// C8, D17: names within the zone.
	{name: "D17: the name of a Service",
		objects: exposedService("web", "10.244.0.1") + manifest(gateway{}, route{hosts: "web.NS.minilb, a.NS.example"}),
		want:    []string{"web.NS.minilb. 10.244.0.1", "a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "web.NS.minilb." is refused: it is the name of Service NS/web`}},
	{name: "C8, D17: another namespace's names",
		objects: others + manifest(othersGateway, route{namespace: "NS-other", hosts: "web.NS.minilb, a.NS.example"}),
		want:    []string{"a 10.1.0.2"},
		logged:  []string{`HTTPRoute NS-other/r: host "web.NS.minilb." is refused: names below NS.minilb. belong to namespace "NS"`}},
	{name: "D17: its own namespace's names",
		objects: manifest(gateway{}, route{hosts: "portal.NS.minilb, home-NS.minilb"}),
		want:    []string{"portal.NS.minilb. 10.1.0.1", "home-NS.minilb. 10.1.0.1"}},
	{name: "D17: all names of the zone, by a listener",
		objects: manifest(gateway{listeners: `{name: all, port: 80, protocol: HTTP, hostname: "*.minilb"}, {name: good, port: 80, protocol: HTTP, hostname: a.NS.example}`}, route{hosts: "none"}),
		want:    []string{"a 10.1.0.1"},
		logged:  []string{`HTTPRoute NS/r: host "*.minilb." is refused: it would cover every namespace of zone minilb.`}},
}

// C2: claims of one second are ordered by namespace and name, whichever the API server has stored first.
func TestGatewayClaimsOfOneSecond(t *testing.T) {
	c := gatewayCluster(t, cluster.NewestGatewayAPI)
	s := startCoreDNS(t, resolverFor(shippedAccounts(t, c).dns, startUpstream(t)))
	s.waitReady(t)
	for attempt := range 20 {
		// The later name comes first, so that the order of arrival would give another winner.
		second, first := fmt.Sprintf("second-b%d", attempt), fmt.Sprintf("second-a%d", attempt)
		host := fmt.Sprintf("second%d.example", attempt)
		var created []time.Time
		for i, namespace := range []string{second, first} {
			address := fmt.Sprintf("{value: 10.1.0.%d}", 2-i)
			must(t, c.Apply(t.Context(), object("v1", "Namespace", namespace, "")+manifest(gateway{namespace: namespace, addresses: address})))
		}
		for _, namespace := range []string{second, first} {
			must(t, c.Apply(t.Context(), manifest(route{namespace: namespace, hosts: host})))
			made, err := c.Dynamic.Resource(httpRoutes).Namespace(namespace).Get(t.Context(), "r", metav1.GetOptions{})
			must(t, err)
			created = append(created, made.GetCreationTimestamp().Time)
		}
		winner := first
		if created[0].Before(created[1]) {
			winner = second
		}
		want := map[string]string{first: "10.1.0.1", second: "10.1.0.2"}[winner]
		cluster.Eventually(t, 5*time.Second, func() error { return s.expect(host, dns.TypeA, want) })
		if winner == first {
			return
		}
	}
	t.Fatal("no two routes were made in one second")
}

// othersGateway is that of the other namespace.
var othersGateway = gateway{namespace: "NS-other", addresses: "{value: 10.1.0.2}"}

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
