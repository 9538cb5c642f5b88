package integration_test

// setCases are about the listeners that stand beside their Gateway (G50 to G53).
var setCases = []gatewayCase{
	// G50: the parent, whose addresses are those of all.
	{name: "G50: a name alone", objects: setOfSame(listenerSet{}), want: []string{"a 10.1.0.1"}},
	{name: "G50: group, kind and namespace spelled out", objects: setOfSame(listenerSet{parent: "group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw"}), want: []string{"a 10.1.0.1"}},
	{name: "G50: another namespace's Gateway",
		objects: infra + manifest(gateway{}, gateway{namespace: "NS-infra", spec: listenersFrom("from: All"), addresses: "{value: 10.1.0.2}"}, listenerSet{parent: "name: gw, namespace: NS-infra"}, route{parents: toSet}),
		want:    []string{"a 10.1.0.2"}},
	{name: "G50: the namespace is by default the ListenerSet's, not the route's",
		objects: infra + manifest(gateway{spec: listenersFrom("from: All")}, gateway{namespace: "NS-infra", spec: listenersFrom("from: Same"), addresses: "{value: 10.1.0.2}"},
			listenerSet{namespace: "NS-infra", listeners: fromAll}, route{parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS-infra}"}),
		want: []string{"a 10.1.0.2"}},
	{name: "G50: no such Gateway", objects: setOfSame(listenerSet{parent: "name: nobody"}), want: []string{"a -"}},
	{name: "G50: a parent that is no Gateway", objects: setOfSame(listenerSet{parent: "group: example.org, kind: Gateway, name: gw"}), want: []string{"a -"}},
	{name: "G50: a parent that is a ListenerSet",
		objects: setOfSame(listenerSet{name: "front"}) + manifest(listenerSet{parent: "kind: ListenerSet, name: front"}),
		want:    []string{"a -"}},
	{name: "G50: all addresses of the Gateway",
		objects: exposedService("web", "10.244.0.1") + manifest(gateway{spec: listenersFrom("from: Same"), addresses: "{value: 10.1.0.2}, {type: Hostname, value: web.NS.minilb}"}, listenerSet{}, route{parents: toSet}),
		want:    []string{"a 10.1.0.2 10.244.0.1"}},

	// G51: which Gateways let it have listeners.
	{name: "G51: nothing is allowed by default", objects: manifest(gateway{}, listenerSet{}, route{parents: toSet}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: Gateway NS/gw does not allow ListenerSet NS/ls by its allowedListeners`}},
	{name: "G51: nothing said of the namespaces", objects: setAllowed(""), want: []string{"a -"}},
	{name: "G51: None", objects: setAllowed("from: None"), want: []string{"a -"}},
	{name: "G51: Same", objects: setAllowed("from: Same"), want: []string{"a 10.1.0.1"}},
	{name: "G51: All", objects: setAllowed("from: All"), want: []string{"a 10.1.0.1"}},
	{name: "G51: a Selector that matches", objects: setAllowed("from: Selector, selector: {matchLabels: {team: a}}"), want: []string{"a 10.1.0.1"}},
	{name: "G51: a Selector that does not match", objects: setAllowed("from: Selector, selector: {matchLabels: {team: b}}"), want: []string{"a -"}},
	{name: "G51: an empty Selector", objects: setAllowed("from: Selector, selector: {}"), want: []string{"a 10.1.0.1"}},
	{name: "G51: no Selector", objects: setAllowed("from: Selector"), want: []string{"a -"}},
	{name: "G51: Same, and it is another",
		objects: infra + manifest(gateway{namespace: "NS-infra", spec: listenersFrom("from: Same")}, listenerSet{parent: "name: gw, namespace: NS-infra"}, route{parents: toSet}),
		want:    []string{"a -"}},
	{name: "G51, G17: a grant does not open a Gateway",
		objects: infra + manifest(gateway{namespace: "NS-infra", spec: listenersFrom("from: Same")}, listenerSet{parent: "name: gw, namespace: NS-infra"}, route{parents: toSet}) + `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: all, namespace: NS-infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: ListenerSet, namespace: NS}]
  to: [{group: gateway.networking.k8s.io, kind: Gateway}]
`,
		want: []string{"a -"}},

	// G51: what the controller says of it and of its listeners.
	{name: "G51: no status", objects: setOfSame(listenerSet{conditions: "none"}), want: []string{"a -"}},
	{name: "G51: a ListenerSet that is refused", objects: setOfSame(listenerSet{conditions: condition("Accepted", "False")}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: ListenerSet NS/ls is not accepted by its controller`}},
	{name: "G51: a ListenerSet that is undecided", objects: setOfSame(listenerSet{conditions: condition("Accepted", "Unknown")}), want: []string{"a -"}},
	{name: "G51: a ListenerSet that is programmed and no more", objects: setOfSame(listenerSet{conditions: condition("Programmed", "True")}), want: []string{"a -"}},
	{name: "G51, G24: a ListenerSet that is not programmed", objects: setOfSame(listenerSet{conditions: condition("Accepted", "True") + ", " + condition("Programmed", "False")}), want: []string{"a 10.1.0.1"}},
	{name: "G51: no status of its listeners", objects: setOfSame(listenerSet{listenerStatus: "none"}), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example." is not served: listener "http" of ListenerSet NS/ls is not accepted yet`}},
	{name: "G51: a listener that is refused", objects: setListener(condition("Accepted", "False")), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G51: a listener that is undecided", objects: setListener(condition("Accepted", "Unknown")), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G51: a listener that is conflicted", objects: setListener(condition("Accepted", "True") + ", " + condition("Conflicted", "True")), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G51: a listener that is not conflicted", objects: setListener(condition("Accepted", "True") + ", " + condition("Conflicted", "False")), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},

	// G52: a parentRef means the one or the other.
	{name: "G52: a Gateway is not its ListenerSets",
		objects: manifest(gateway{spec: listenersFrom("from: Same"), listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.NS.example"}`},
			listenerSet{listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.ls.NS.example"}`},
			route{hosts: "a.gw.NS.example, a.ls.NS.example"}),
		want: []string{"a.gw 10.1.0.1", "a.ls -"}},
	{name: "G52: a ListenerSet is not its Gateway",
		objects: manifest(gateway{spec: listenersFrom("from: Same"), listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.NS.example"}`},
			listenerSet{listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.ls.NS.example"}`},
			route{hosts: "a.gw.NS.example, a.ls.NS.example", parents: toSet}),
		want: []string{"a.gw -", "a.ls 10.1.0.1"}},
	{name: "G52: a Gateway's section that only a ListenerSet has",
		objects: manifest(gateway{spec: listenersFrom("from: Same")}, listenerSet{listeners: "{name: foo, port: 81, protocol: HTTP}"}, route{parents: "{name: gw, sectionName: foo}"}),
		want:    []string{"a -"}},
	{name: "G52: a ListenerSet's section that only its Gateway has",
		objects: manifest(gateway{spec: listenersFrom("from: Same")}, listenerSet{listeners: "{name: foo, port: 81, protocol: HTTP}"}, route{parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, sectionName: http}"}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example." is not served: no listener of ListenerSet NS/ls has the name or port that it asks for`}},
	{name: "G52: a ListenerSet of that name is not meant by a Gateway's",
		objects: setOfSame(listenerSet{name: "other"}) + manifest(route{name: "second", hosts: "b.NS.example", parents: "{name: other}"}),
		want:    []string{"a -", "b -"}},
	{name: "G52: both are parents",
		objects: manifest(gateway{spec: listenersFrom("from: Same"), listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.NS.example"}`},
			listenerSet{listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.ls.NS.example"}`},
			route{hosts: "a.gw.NS.example, a.ls.NS.example", parents: "{name: gw}, " + toSet}),
		want: []string{"a.gw 10.1.0.1", "a.ls 10.1.0.1"}},
	{name: "G52: accepted by the Gateway, not by the ListenerSet",
		objects: setOfSame(listenerSet{}) + manifest(route{name: "second", hosts: "b.NS.example", parents: toSet, status: attached("{name: gw}") + ", " + attached("{name: ls}")}),
		want:    []string{"a 10.1.0.1", "b -"}},

	// G53: without a status, only the Gateway's own listener is certain.
	{name: "G53: the Gateway's listener comes first",
		objects: manifest(gateway{spec: listenersFrom("from: Same"), listenerStatus: "none"}, listenerSet{conditions: "none"}, route{}, route{name: "second", hosts: "b.NS.example", parents: toSet}),
		want:    []string{"a 10.1.0.1", "b -"}},

	// G11 to G15, G21 and G30 hold for its listeners, too.
	{name: "G11: sectionName and port of a ListenerSet",
		objects: manifest(gateway{spec: listenersFrom("from: Same")}, listenerSet{listeners: twoListeners},
			route{hosts: twoHosts, parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, sectionName: https, port: 443}"}),
		want: []string{"a.http -", "a.https 10.1.0.1"}},
	{name: "G13: the protocol of a ListenerSet's listener", objects: setOfSame(listenerSet{listeners: "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"}), want: []string{"a -"}},
	{name: "G14: the kinds of a ListenerSet's listener", objects: setOfSame(listenerSet{listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}"}), want: []string{"a -"}},
	{name: "G15: Same is the ListenerSet's namespace",
		objects: infra + manifest(gateway{namespace: "NS-infra", spec: listenersFrom("from: All")}, listenerSet{parent: "name: gw, namespace: NS-infra"}, route{parents: toSet},
			route{name: "far", namespace: "NS-infra", hosts: "b.NS.example", parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS}"}),
		want: []string{"a 10.1.0.1", "b -"}},
	{name: "G15: All of a ListenerSet",
		objects: infra + manifest(gateway{namespace: "NS-infra", spec: listenersFrom("from: All")}, listenerSet{parent: "name: gw, namespace: NS-infra", listeners: fromAll},
			route{name: "far", namespace: "NS-infra", parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS}"}),
		want: []string{"a 10.1.0.1"}},
	{name: "G15: a Selector of a ListenerSet",
		objects: infra + "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {team: a}}}\n---\n" + manifest(gateway{spec: listenersFrom("from: Same")},
			listenerSet{listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}"}, route{parents: toSet},
			route{name: "far", namespace: "NS-infra", hosts: "b.NS.example", parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls, namespace: NS}"}),
		want: []string{"a 10.1.0.1", "b -"}},
	{name: "G21: the controller of the Gateway's class",
		objects: setOfSame(listenerSet{}) + manifest(route{name: "second", hosts: "b.NS.example", parents: toSet, status: parentStatus(toSet, "example.org/other", condition("Accepted", "True"))}),
		want:    []string{"a 10.1.0.1", "b -"}},
	{name: "G30: the hostname of a ListenerSet's listener",
		objects: manifest(gateway{spec: listenersFrom("from: Same")}, listenerSet{listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.in.NS.example"}`},
			route{hosts: "a.in.NS.example, a.out.NS.example", parents: toSet}, route{name: "second", hosts: "none", parents: toSet, kind: "GRPCRoute"}),
		want: []string{"a.in 10.1.0.1", "a.out -", "b.in 10.1.0.1"}},

	// M7: the annotation nearest to the route.
	{name: "M7: on a ListenerSet", objects: exposedService("web", "10.244.0.1") + setOfSame(listenerSet{metadata: serves("web")}), want: []string{"a 10.244.0.1"}},
	{name: "M7: a ListenerSet's beats its Gateway's, and a route's beats both",
		objects: exposedService("one", "10.244.0.1") + exposedService("two", "10.244.0.2") + exposedService("three", "10.244.0.3") +
			manifest(gateway{spec: listenersFrom("from: Same"), metadata: serves("one")}, listenerSet{metadata: serves("two")}, listenerSet{name: "plain"},
				route{parents: "{group: gateway.networking.k8s.io, kind: ListenerSet, name: plain}"}, route{name: "second", hosts: "b.NS.example", parents: toSet},
				route{name: "third", hosts: "c.NS.example", parents: toSet, metadata: serves("three")}, route{name: "fourth", hosts: "d.NS.example"}),
		want: []string{"a 10.244.0.1", "b 10.244.0.2", "c 10.244.0.3", "d 10.244.0.1"}},
	{name: "M7: the namespace is by default the ListenerSet's",
		objects: infra + exposedService("web", "10.244.0.1") + exposedServiceIn("NS-infra", "web", "10.244.0.3") +
			manifest(gateway{namespace: "NS-infra", spec: listenersFrom("from: All")}, listenerSet{parent: "name: gw, namespace: NS-infra", metadata: serves("web")}, route{parents: toSet}),
		want: []string{"a 10.244.0.1"}},

	{name: "M8: a ListenerSet", objects: setOfSame(listenerSet{metadata: ignored}), want: []string{"a -"}},
	{name: "M8: the Gateway of a ListenerSet", objects: manifest(gateway{spec: listenersFrom("from: Same"), metadata: ignored}, listenerSet{}, route{parents: toSet}), want: []string{"a -"}},
}

// toSet is the parentRef of the cases' ListenerSet.
const toSet = "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls}"

func listenersFrom(namespaces string) string {
	return "allowedListeners: {namespaces: {" + namespaces + "}}"
}

// setOfSame is a route at a ListenerSet, whose Gateway allows those of its namespace.
func setOfSame(l listenerSet) string {
	return manifest(gateway{spec: listenersFrom("from: Same")}, l, route{parents: toSet})
}

// setAllowed is a route at a ListenerSet in a namespace with the label team: a, whose Gateway
// allows listeners from some namespaces.
func setAllowed(namespaces string) string {
	return "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {team: a}}}\n---\n" +
		manifest(gateway{spec: listenersFrom(namespaces)}, listenerSet{}, route{parents: toSet})
}

// setListener is a route at a ListenerSet with two listeners, of which that for a.NS.example has the conditions.
func setListener(conditions string) string {
	return manifest(gateway{spec: listenersFrom("from: Same")}, listenerSet{
		listeners:      "{name: a, port: 80, protocol: HTTP, hostname: a.NS.example}, {name: b, port: 80, protocol: HTTP, hostname: b.NS.example}",
		listenerStatus: listenerStatus("a", conditions) + ", " + listenerStatus("b", condition("Accepted", "True")),
	}, route{hosts: "a.NS.example, b.NS.example", parents: toSet})
}
