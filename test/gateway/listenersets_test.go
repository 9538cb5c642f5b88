package gateway_test

import "github.com/minilb/minilb/test/harness"

// setCases are about the listeners that stand beside their Gateway (G50 to G53).
var setCases = []gatewayCase{
	// G50: the parent, whose addresses are those of all.
	{name: "G50: a name alone", objects: setOfSame(harness.ListenerSet{}), want: []string{"a 10.1.0.1"}},
	{name: "G50: group, kind and namespace spelled out", objects: setOfSame(harness.ListenerSet{Parent: "group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw"}), want: []string{"a 10.1.0.1"}},
	{name: "G50: another namespace's Gateway",
		objects: harness.Infra + harness.Manifest(harness.Gateway{}, harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: All"), Addresses: "{value: 10.1.0.2}"}, harness.ListenerSet{Parent: "name: gw, namespace: NS-infra"}, harness.Route{Parents: harness.ToSet}),
		want:    []string{"a 10.1.0.2"}},
	{name: "G50: the namespace is by default the ListenerSet's, not the route's",
		objects: harness.Infra + harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: All")}, harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: Same"), Addresses: "{value: 10.1.0.2}"},
			harness.ListenerSet{Namespace: "NS-infra", Listeners: fromAll}, harness.Route{Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS-infra}"}),
		want: []string{"a 10.1.0.2"}},
	{name: "G50: no such Gateway", objects: setOfSame(harness.ListenerSet{Parent: "name: nobody"}), want: []string{"a -"}},
	{name: "G50: a parent that is no Gateway", objects: setOfSame(harness.ListenerSet{Parent: "group: example.org, kind: Gateway, name: gw"}), want: []string{"a -"}},
	{name: "G50: a parent that is a ListenerSet",
		objects: setOfSame(harness.ListenerSet{Name: "front"}) + harness.Manifest(harness.ListenerSet{Parent: "kind: ListenerSet, name: front"}),
		want:    []string{"a -"}},
	{name: "G50: all addresses of the Gateway",
		objects: exposedService("web", "10.244.0.1") + harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Addresses: "{value: 10.1.0.2}, {type: Hostname, value: web.NS.minilb}"}, harness.ListenerSet{}, harness.Route{Parents: harness.ToSet}),
		want:    []string{"a 10.1.0.2 10.244.0.1"}},

	// G51: which Gateways let it have listeners.
	{name: "G51: nothing is allowed by default", objects: harness.Manifest(harness.Gateway{}, harness.ListenerSet{}, harness.Route{Parents: harness.ToSet}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw does not allow ListenerSet NS/ls by its allowedListeners`}},
	{name: "G51: nothing said of the namespaces", objects: setAllowed(""), want: []string{"a -"}},
	{name: "G51: None", objects: setAllowed("from: None"), want: []string{"a -"}},
	{name: "G51: Same", objects: setAllowed("from: Same"), want: []string{"a 10.1.0.1"}},
	{name: "G51: All", objects: setAllowed("from: All"), want: []string{"a 10.1.0.1"}},
	{name: "G51: a Selector that matches", objects: setAllowed("from: Selector, selector: {matchLabels: {team: a}}"), want: []string{"a 10.1.0.1"}},
	{name: "G51: a Selector that does not match", objects: setAllowed("from: Selector, selector: {matchLabels: {team: b}}"), want: []string{"a -"}},
	{name: "G51: an empty Selector", objects: setAllowed("from: Selector, selector: {}"), want: []string{"a 10.1.0.1"}},
	{name: "G51: no Selector", objects: setAllowed("from: Selector"), want: []string{"a -"}},
	{name: "G51: Same, and it is another",
		objects: harness.Infra + harness.Manifest(harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{Parent: "name: gw, namespace: NS-infra"}, harness.Route{Parents: harness.ToSet}),
		want:    []string{"a -"}},
	{name: "G51, G17: a grant does not open a Gateway",
		objects: harness.Infra + harness.Manifest(harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{Parent: "name: gw, namespace: NS-infra"}, harness.Route{Parents: harness.ToSet}) + `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: all, namespace: NS-infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: ListenerSet, namespace: NS}]
  to: [{group: gateway.networking.k8s.io, kind: Gateway}]
`,
		want: []string{"a -"}},

	// G51: what the controller says of it and of its listeners.
	{name: "G51: no status", objects: setOfSame(harness.ListenerSet{Conditions: "none"}), want: []string{"a -"}},
	{name: "G51: a ListenerSet that is refused", objects: setOfSame(harness.ListenerSet{Conditions: harness.Condition("Accepted", "False")}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: ListenerSet NS/ls is refused by its controller`}},
	{name: "G51: a ListenerSet that is undecided", objects: setOfSame(harness.ListenerSet{Conditions: harness.Condition("Accepted", "Unknown")}), want: []string{"a -"}},
	{name: "G51: a ListenerSet that is programmed and no more", objects: setOfSame(harness.ListenerSet{Conditions: harness.Condition("Programmed", "True")}), want: []string{"a -"}},
	{name: "G51, G24: a ListenerSet that is not programmed", objects: setOfSame(harness.ListenerSet{Conditions: harness.Condition("Accepted", "True") + ", " + harness.Condition("Programmed", "False")}), want: []string{"a 10.1.0.1"}},
	{name: "G51: no status of its listeners", objects: setOfSame(harness.ListenerSet{ListenerStatus: "none"}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: listener "http" of ListenerSet NS/ls is not accepted yet`}},
	{name: "G51: a listener that is refused", objects: setListener(harness.Condition("Accepted", "False")), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G51: a listener that is undecided", objects: setListener(harness.Condition("Accepted", "Unknown")), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G51: a listener that is conflicted", objects: setListener(harness.Condition("Accepted", "True") + ", " + harness.Condition("Conflicted", "True")), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G51: a listener that is not conflicted", objects: setListener(harness.Condition("Accepted", "True") + ", " + harness.Condition("Conflicted", "False")), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},

	// G52: a parentRef means the one or the other.
	{name: "G52: a Gateway is not its ListenerSets",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.NS.example"}`},
			harness.ListenerSet{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.ls.NS.example"}`},
			harness.Route{Hosts: "a.gw.NS.example, a.ls.NS.example"}),
		want: []string{"a.gw 10.1.0.1", "a.ls -"}},
	{name: "G52: a ListenerSet is not its Gateway",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.NS.example"}`},
			harness.ListenerSet{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.ls.NS.example"}`},
			harness.Route{Hosts: "a.gw.NS.example, a.ls.NS.example", Parents: harness.ToSet}),
		want: []string{"a.gw -", "a.ls 10.1.0.1"}},
	{name: "G52: a Gateway's section that only a ListenerSet has",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{Listeners: "{name: foo, port: 81, protocol: HTTP}"}, harness.Route{Parents: "{name: gw, sectionName: foo}"}),
		want:    []string{"a -"}},
	{name: "G52: a ListenerSet's section that only its Gateway has",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{Listeners: "{name: foo, port: 81, protocol: HTTP}"}, harness.Route{Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, sectionName: http}"}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: no listener of ListenerSet NS/ls has the name or port that it asks for`}},
	{name: "G52: a ListenerSet of that name is not meant by a Gateway's",
		objects: setOfSame(harness.ListenerSet{Name: "other"}) + harness.Manifest(harness.Route{Name: "second", Hosts: "b.NS.example", Parents: "{name: other}"}),
		want:    []string{"a -", "b -"}},
	{name: "G52: both are parents",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.NS.example"}`},
			harness.ListenerSet{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.ls.NS.example"}`},
			harness.Route{Hosts: "a.gw.NS.example, a.ls.NS.example", Parents: "{name: gw}, " + harness.ToSet}),
		want: []string{"a.gw 10.1.0.1", "a.ls 10.1.0.1"}},
	{name: "G52: accepted by the Gateway, not by the ListenerSet",
		objects: setOfSame(harness.ListenerSet{}) + harness.Manifest(harness.Route{Name: "second", Hosts: "b.NS.example", Parents: harness.ToSet, Status: harness.Attached("{name: gw}") + ", " + harness.Attached("{name: ls}")}),
		want:    []string{"a 10.1.0.1", "b -"}},

	// G53: without a status, only the Gateway's own listener is certain.
	{name: "G53: the Gateway's listener comes first",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), ListenerStatus: "none"}, harness.ListenerSet{Conditions: "none"}, harness.Route{}, harness.Route{Name: "second", Hosts: "b.NS.example", Parents: harness.ToSet}),
		want:    []string{"a 10.1.0.1", "b -"}},

	// G11 to G15, G21 and G30 hold for its listeners, too.
	{name: "G11: sectionName and port of a ListenerSet",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{Listeners: twoListeners},
			harness.Route{Hosts: twoHosts, Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, sectionName: https, port: 443}"}),
		want: []string{"a.http -", "a.https 10.1.0.1"}},
	{name: "G13: the protocol of a ListenerSet's listener", objects: setOfSame(harness.ListenerSet{Listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}), want: []string{"a -"}},
	{name: "G14: the kinds of a ListenerSet's listener", objects: setOfSame(harness.ListenerSet{Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}"}), want: []string{"a -"}},
	{name: "G15: Same is the ListenerSet's namespace",
		objects: harness.Infra + harness.Manifest(harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: All")}, harness.ListenerSet{Parent: "name: gw, namespace: NS-infra"}, harness.Route{Parents: harness.ToSet},
			harness.Route{Name: "far", Namespace: "NS-infra", Hosts: "b.NS.example", Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS}"}),
		want: []string{"a 10.1.0.1", "b -"}},
	{name: "G15: All of a ListenerSet",
		objects: harness.Infra + harness.Manifest(harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: All")}, harness.ListenerSet{Parent: "name: gw, namespace: NS-infra", Listeners: fromAll},
			harness.Route{Name: "far", Namespace: "NS-infra", Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS}"}),
		want: []string{"a 10.1.0.1"}},
	{name: "G15: a Selector of a ListenerSet",
		objects: harness.Infra + "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {team: a}}}\n---\n" + harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")},
			harness.ListenerSet{Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}"}, harness.Route{Parents: harness.ToSet},
			harness.Route{Name: "far", Namespace: "NS-infra", Hosts: "b.NS.example", Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS}"}),
		want: []string{"a 10.1.0.1", "b -"}},
	{name: "G21: the controller of the Gateway's class",
		objects: setOfSame(harness.ListenerSet{}) + harness.Manifest(harness.Route{Name: "second", Hosts: "b.NS.example", Parents: harness.ToSet, Status: harness.ParentStatus(harness.ToSet, "example.org/other", harness.Condition("Accepted", "True"))}),
		want:    []string{"a 10.1.0.1", "b -"}},
	{name: "G30: the hostname of a ListenerSet's listener",
		objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.in.NS.example"}`},
			harness.Route{Hosts: "a.in.NS.example, a.out.NS.example", Parents: harness.ToSet}, harness.Route{Name: "second", Hosts: "none", Parents: harness.ToSet, Kind: "GRPCRoute"}),
		want: []string{"a.in 10.1.0.1", "a.out -", "b.in 10.1.0.1"}},

	// M7: the annotation nearest to the route.
	{name: "M7: on a ListenerSet", objects: exposedService("web", "10.244.0.1") + setOfSame(harness.ListenerSet{Metadata: serves("web")}), want: []string{"a 10.244.0.1"}},
	{name: "M7: a ListenerSet's beats its Gateway's, and a route's beats both",
		objects: exposedService("one", "10.244.0.1") + exposedService("two", "10.244.0.2") + exposedService("three", "10.244.0.3") +
			harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Metadata: serves("one")}, harness.ListenerSet{Metadata: serves("two")}, harness.ListenerSet{Name: "plain"},
				harness.Route{Parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: plain}"}, harness.Route{Name: "second", Hosts: "b.NS.example", Parents: harness.ToSet},
				harness.Route{Name: "third", Hosts: "c.NS.example", Parents: harness.ToSet, Metadata: serves("three")}, harness.Route{Name: "fourth", Hosts: "d.NS.example"}),
		want: []string{"a 10.244.0.1", "b 10.244.0.2", "c 10.244.0.3", "d 10.244.0.1"}},
	{name: "M7: the namespace is by default the ListenerSet's",
		objects: harness.Infra + exposedService("web", "10.244.0.1") + harness.ExposedServiceIn("NS-infra", "web", "10.244.0.3") +
			harness.Manifest(harness.Gateway{Namespace: "NS-infra", Spec: harness.ListenersFrom("from: All")}, harness.ListenerSet{Parent: "name: gw, namespace: NS-infra", Metadata: serves("web")}, harness.Route{Parents: harness.ToSet}),
		want: []string{"a 10.244.0.1"}},

	{name: "M8: a ListenerSet", objects: setOfSame(harness.ListenerSet{Metadata: ignored}), want: []string{"a -"}},
	{name: "M8: the Gateway of a ListenerSet", objects: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Metadata: ignored}, harness.ListenerSet{}, harness.Route{Parents: harness.ToSet}), want: []string{"a -"}},
}

// setOfSame is a route at a ListenerSet, whose Gateway allows those of its namespace.
func setOfSame(l harness.ListenerSet) string {
	return harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, l, harness.Route{Parents: harness.ToSet})
}

// setAllowed is a route at a ListenerSet in a namespace with the label team: a, whose Gateway
// allows listeners from some namespaces.
func setAllowed(namespaces string) string {
	return "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {team: a}}}\n---\n" +
		harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom(namespaces)}, harness.ListenerSet{}, harness.Route{Parents: harness.ToSet})
}

// setListener is a route at a ListenerSet with two listeners, of which that for a.NS.example has the conditions.
func setListener(conditions string) string {
	return harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}, harness.ListenerSet{
		Listeners:      "{name: a, port: 80, protocol: HTTP, hostname: a.NS.example}, {name: b, port: 80, protocol: HTTP, hostname: b.NS.example}",
		ListenerStatus: harness.ListenerStatus("a", conditions) + ", " + harness.ListenerStatus("b", harness.Condition("Accepted", "True")),
	}, harness.Route{Hosts: "a.NS.example, b.NS.example", Parents: harness.ToSet})
}
