package gateway_test

import (
	"testing"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// oldCases are about what older releases of the Gateway API have in the place of what the newest has.
var oldCases = inNamespaces([]gatewayCase{
	// G54, G10: the ListenerSet of its own group.
	{name: "G54: a name alone", objects: oldSet(harness.ListenerSet{}, toOldSet), want: []string{"a 10.1.0.1"}},
	{name: "G54: its section", objects: oldSet(harness.ListenerSet{}, "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls, sectionName: http}"), want: []string{"a 10.1.0.1"}},
	{name: "G54: its port", objects: oldSet(harness.ListenerSet{}, "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls, port: 80}"), want: []string{"a 10.1.0.1"}},
	{name: "G54: another port", objects: oldSet(harness.ListenerSet{}, "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls, port: 81}"), want: []string{"a -"}},
	{name: "G54: no port", objects: oldSet(harness.ListenerSet{Listeners: "{name: http, port: 0, protocol: HTTP}"}, toOldSet), want: []string{"a 10.1.0.1"}},
	{name: "G54: the port is left out", objects: oldSet(harness.ListenerSet{Listeners: "{name: http, protocol: HTTP}"}, toOldSet), want: []string{"a 10.1.0.1"}},
	{name: "G54: no port is no port of a parentRef, not even that of the status", objects: oldSet(harness.ListenerSet{Listeners: "{name: http, port: 0, protocol: HTTP}"}, "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls, port: 8000}"), want: []string{"a -"}},
	{name: "G54: a port left out is no port of a parentRef", objects: oldSet(harness.ListenerSet{Listeners: "{name: http, protocol: HTTP}"}, "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls, port: 8000}"), want: []string{"a -"}},
	{name: "G54: no port is no port of a parentRef with a section", objects: oldSet(harness.ListenerSet{Listeners: "{name: http, port: 0, protocol: HTTP}"}, "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls, sectionName: http, port: 8000}"), want: []string{"a -"}},
	{name: "G10: the new kind of the old group", objects: oldSet(harness.ListenerSet{}, "{group: gateway.networking.x-k8s.io, kind: ListenerSet, name: ls}"), want: []string{"a -"}},
	{name: "G10: the old kind of the new group", objects: oldSet(harness.ListenerSet{}, "{group: gateway.networking.k8s.io, kind: XListenerSet, name: ls}"), want: []string{"a -"}},
	{name: "G10: the Gateway of the old group", objects: oldSet(harness.ListenerSet{}, "{group: gateway.networking.x-k8s.io, kind: Gateway, name: gw}"), want: []string{"a -"}},
	{name: "G51: nothing is allowed by default", objects: harness.Manifest(harness.Gateway{}, harness.ListenerSet{Kind: "XListenerSet"}, harness.Route{Parents: toOldSet}), want: []string{"a -"}},
	{name: "G51: a ListenerSet that is refused", objects: oldSet(harness.ListenerSet{Conditions: harness.Condition("Accepted", "False")}, toOldSet), want: []string{"a -"}},
	{name: "G51: no status of its listeners", objects: oldSet(harness.ListenerSet{ListenerStatus: "none"}, toOldSet), want: []string{"a -"}},
	{name: "G52: a Gateway is not its ListenerSets", objects: oldSet(harness.ListenerSet{Listeners: "{name: foo, port: 81, protocol: HTTP}"}, "{name: gw, sectionName: foo}"), want: []string{"a -"}},
	{name: "M7: on a ListenerSet", objects: exposedService("web", "10.244.0.1") + oldSet(harness.ListenerSet{Metadata: serves("web")}, toOldSet), want: []string{"a 10.244.0.1"}},
	{name: "M8: a ListenerSet", objects: oldSet(harness.ListenerSet{Metadata: ignored}, toOldSet), want: []string{"a -"}},

	// G31: hosts were optional in the version that the objects may still be stored in.
	{name: "G31: a TLSRoute without hosts",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}, hostname: "*.in.NS.example"}`}, harness.Route{Kind: "TLSRoute", Version: "v1alpha2", Hosts: "none"}),
		want:    []string{"a.in 10.1.0.1", "a -"}},
	{name: "G3: a TLSRoute", objects: harness.Manifest(harness.Gateway{Listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}, harness.Route{Kind: "TLSRoute", Version: "v1alpha3"}), want: []string{"a 10.1.0.1"}},
	{name: "G3: a GRPCRoute", objects: harness.Manifest(harness.Gateway{}, harness.Route{Kind: "GRPCRoute"}), want: []string{"a 10.1.0.1"}},
})

const toOldSet = "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: ls}"

// oldSet is a route at a parent, which may be an XListenerSet or its Gateway.
func oldSet(l harness.ListenerSet, parent string) string {
	l.Kind = "XListenerSet"
	return harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, l, harness.Route{Parents: parent})
}

// testOldCases is the like of TestGatewayRules with the last release before ListenerSets were of
// the Gateway API's own group.
func testOldCases(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS) {
	applyCases(t, c, oldCases)
	expectCases(t, oldCases, map[string]*harness.CoreDNS{"watching": s})
}
