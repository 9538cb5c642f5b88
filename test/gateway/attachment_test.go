package gateway_test

import "github.com/minilb/minilb/test/harness"

// The listeners of a Gateway whose hostnames show which of them a route is attached to.
const (
	twoListeners = `{name: http, port: 80, protocol: HTTP, hostname: "*.http.NS.example"}, {name: https, port: 443, protocol: HTTPS, hostname: "*.https.NS.example"}`
	twoHosts     = "a.http.NS.example, a.https.NS.example"
)

// attachmentCases are about which listeners a route is attached to (G10 to G19).
var attachmentCases = []gatewayCase{
	// G10: what a parentRef refers to.
	{name: "G10: a name alone is a Gateway of the route's namespace",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{}),
		want:    []string{"a 10.1.0.1", "a AAAA", "b -", "NS.example. -"}},
	{name: "G10: group, kind and namespace spelled out",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw}"}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G10: another namespace's Gateway, not the one of that name here",
		objects: harness.Infra + harness.Manifest(harness.Gateway{}, harness.Gateway{Namespace: "NS-infra", Listeners: fromAll, Addresses: "{value: 10.1.0.2}"},
			harness.Route{Parents: "{name: gw, namespace: NS-infra}"}),
		want: []string{"a 10.1.0.2"}},
	{name: "G10: no namespace is not any namespace",
		objects: harness.Infra + harness.Manifest(harness.Gateway{Namespace: "NS-infra", Listeners: fromAll}, harness.Route{}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw does not exist`}},
	{name: "G10: a Service of a mesh",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: `{group: "", kind: Service, name: gw}`}),
		want:    []string{"a -"}},
	{name: "G10: a Service without its group",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{kind: Service, name: gw}"}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: its parentRef has kind "Service" of group "gateway.networking.k8s.io", want Gateway`}},
	{name: "G10: another group's Gateway",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{group: networking.istio.io, kind: Gateway, name: gw}"}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: its parentRef has kind "Gateway" of group "networking.istio.io", want Gateway`}},
	{name: "G10: an unusable parent beside a usable one",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: `{group: "", kind: Service, name: gw}, {name: nobody}, {name: gw}`}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G10: no parent at all",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "none"}),
		want:    []string{"a -"},
		logged:  []string{`HTTPRoute NS/r: host "a.NS.example" is not served: it has no parentRefs: name the Gateway that is to serve it`}},

	// G11: which of the Gateway's listeners.
	{name: "G11: all",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts}),
		want:    []string{"a.http 10.1.0.1", "a.https 10.1.0.1"}},
	{name: "G11: that of the sectionName",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: https}"}),
		want:    []string{"a.http -", "a.https 10.1.0.1"}},
	{name: "G11: that of the port",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, port: 80}"}),
		want:    []string{"a.http 10.1.0.1", "a.https -"}},
	{name: "G11: all of the port",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners + `, {name: more, port: 443, protocol: HTTPS, hostname: "*.more.NS.example"}`},
			harness.Route{Hosts: twoHosts + ", a.more.NS.example", Parents: "{name: gw, port: 443}"}),
		want: []string{"a.http -", "a.https 10.1.0.1", "a.more 10.1.0.1"}},
	{name: "G11: both match",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: https, port: 443}"}),
		want:    []string{"a.http -", "a.https 10.1.0.1"}},
	{name: "G11: the sectionName matches and the port does not",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: https, port: 80}"}),
		want:    []string{"a.http -", "a.https -"},
		logged:  []string{`HTTPRoute NS/r: host "a.https.NS.example" is not served: no listener of Gateway NS/gw has the name or port that it asks for`}},
	{name: "G11: no such sectionName",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: htt}"}),
		want:    []string{"a.http -", "a.https -"}},
	{name: "G11: no such port",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, port: 8080}"}),
		want:    []string{"a.http -", "a.https -"}},
	{name: "G11: two sections of one Gateway",
		objects: harness.Manifest(harness.Gateway{Listeners: twoListeners}, harness.Route{Hosts: twoHosts, Parents: "{name: gw, sectionName: http}, {name: gw, sectionName: https}"}),
		want:    []string{"a.http 10.1.0.1", "a.https 10.1.0.1"}},

	// G12: one success is enough, and only what succeeded counts.
	{name: "G12: the rule's example",
		objects: harness.Manifest(harness.Gateway{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.a.NS.example"}, {name: https, port: 443, protocol: HTTPS, hostname: "*.b.NS.example"}`},
			harness.Route{Hosts: "x.b.NS.example"}),
		want: []string{"x.b 10.1.0.1", "y.b -", "x.a -"}},
	{name: "G12: the listeners that refuse the route add nothing",
		objects: harness.Manifest(harness.Gateway{Listeners: `
			{name: http, port: 80, protocol: HTTP, hostname: "*.a.NS.example"},
			{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}, hostname: "*.b.NS.example"},
			{name: grpc, port: 444, protocol: HTTPS, hostname: "*.c.NS.example", allowedRoutes: {kinds: [{kind: GRPCRoute}]}}`},
			harness.Route{Hosts: "x.a.NS.example, x.b.NS.example, x.c.NS.example"}),
		want: []string{"x.a 10.1.0.1", "x.b -", "x.c -"}},

	// G13: the protocols of each kind of route.
	{name: "G13: HTTPRoute and HTTPS", objects: protocol("HTTPRoute", "{name: l, port: 1, protocol: HTTPS}"), want: []string{"a 10.1.0.1"}},
	{name: "G13: HTTPRoute and TLS", objects: protocol("HTTPRoute", "{name: l, port: 1, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: x}]}}"), want: []string{"a -"}},
	{name: "G13: HTTPRoute and TCP", objects: protocol("HTTPRoute", "{name: l, port: 1, protocol: TCP}"), want: []string{"a -"}},
	{name: "G13: HTTPRoute and UDP", objects: protocol("HTTPRoute", "{name: l, port: 1, protocol: UDP}"), want: []string{"a -"}},
	{name: "G13: HTTPRoute and a protocol nobody knows", objects: protocol("HTTPRoute", "{name: l, port: 1, protocol: QUIC}"), want: []string{"a -"}},
	{name: "G13: GRPCRoute and HTTP", objects: protocol("GRPCRoute", "{name: l, port: 1, protocol: HTTP}"), want: []string{"a 10.1.0.1"}},
	{name: "G13: GRPCRoute and HTTPS", objects: protocol("GRPCRoute", "{name: l, port: 1, protocol: HTTPS}"), want: []string{"a 10.1.0.1"}},
	{name: "G13: GRPCRoute and TLS", objects: protocol("GRPCRoute", "{name: l, port: 1, protocol: TLS, tls: {mode: Passthrough}}"), want: []string{"a -"}},
	{name: "G13: TLSRoute and TLS passed through", objects: protocol("TLSRoute", "{name: l, port: 1, protocol: TLS, tls: {mode: Passthrough}}"), want: []string{"a 10.1.0.1"}},
	{name: "G13: TLSRoute and TLS ended", objects: protocol("TLSRoute", "{name: l, port: 1, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: x}]}}"), want: []string{"a 10.1.0.1"}},
	{name: "G13: TLSRoute and HTTPS", objects: protocol("TLSRoute", "{name: l, port: 1, protocol: HTTPS}"), want: []string{"a -"},
		logged: []string{`TLSRoute NS/r: host "a.NS.example" is not served: listener "l" of Gateway NS/gw takes no TLSRoute`}},
	{name: "G13: TLSRoute and HTTP", objects: protocol("TLSRoute", "{name: l, port: 1, protocol: HTTP}"), want: []string{"a -"}},
	{name: "G13: TLSRoute and TCP", objects: protocol("TLSRoute", "{name: l, port: 1, protocol: TCP}"), want: []string{"a -"}},
	{name: "G13: a controller's own protocol that takes the kind",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: l, port: 1, protocol: example.org/web}", ListenerStatus: supported("l", "{group: gateway.networking.k8s.io, kind: HTTPRoute}")}, harness.Route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G13: a controller's own protocol that takes another kind",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: l, port: 1, protocol: example.org/web}", ListenerStatus: supported("l", "{kind: GRPCRoute}")}, harness.Route{}),
		want:    []string{"a -"}},
	{name: "G13: a controller's own protocol that takes another group's kind",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: l, port: 1, protocol: example.org/web}", ListenerStatus: supported("l", "{group: example.org, kind: HTTPRoute}")}, harness.Route{}),
		want:    []string{"a -"}},
	{name: "G13: a controller's own protocol that says nothing",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: l, port: 1, protocol: example.org/web}", ListenerStatus: "none"}, harness.Route{}),
		want:    []string{"a -"}},

	// G14: the kinds that a listener allows.
	{name: "G14: another kind alone", objects: protocol("HTTPRoute", "{name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: listener "l" of Gateway NS/gw takes no HTTPRoute`}},
	{name: "G14: the kind alone", objects: protocol("GRPCRoute", "{name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}"), want: []string{"a 10.1.0.1"}},
	{name: "G14: the kind among others", objects: protocol("HTTPRoute", "{name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}, {group: gateway.networking.k8s.io, kind: HTTPRoute}]}}"), want: []string{"a 10.1.0.1"}},
	{name: "G14: another group's kind", objects: protocol("HTTPRoute", "{name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{group: example.org, kind: HTTPRoute}]}}"), want: []string{"a -"}},
	{name: "G14: no kinds mean those of the protocol", objects: protocol("HTTPRoute", "{name: l, port: 80, protocol: HTTP, allowedRoutes: {kinds: []}}"), want: []string{"a 10.1.0.1"}},
	{name: "G14, G13: a kind that the protocol does not take", objects: protocol("TLSRoute", "{name: l, port: 80, protocol: HTTPS, allowedRoutes: {kinds: [{kind: TLSRoute}]}}"), want: []string{"a -"}},

	// G15, G16: the namespaces that a listener allows.
	{name: "G15: the same namespace by default, and it is another", objects: across("", ""), want: []string{"a -"}},
	{name: "G15: Same, and it is another", objects: across("", "from: Same"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: listener "http" of Gateway NS-infra/gw allows no routes of namespace "NS"`}},
	{name: "G15: All", objects: across("", "from: All"), want: []string{"a 10.1.0.1"}},
	{name: "G15: a Selector that matches", objects: across("team: a", "from: Selector, selector: {matchLabels: {team: a}}"), want: []string{"a 10.1.0.1"}},
	{name: "G15: a Selector that does not match", objects: across("team: b", "from: Selector, selector: {matchLabels: {team: a}}"), want: []string{"a -"}},
	{name: "G15: a Selector of which a part does not match", objects: across("team: a", "from: Selector, selector: {matchLabels: {team: a, stage: prod}}"), want: []string{"a -"}},
	{name: "G15: a Selector with an expression that matches", objects: across("team: b", "from: Selector, selector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}"), want: []string{"a 10.1.0.1"}},
	{name: "G15: a Selector with an expression that does not match", objects: across("team: a", "from: Selector, selector: {matchExpressions: [{key: team, operator: DoesNotExist}]}"), want: []string{"a -"}},
	{name: "G15: a Selector by the namespace's name", objects: across("", "from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: NS}}"), want: []string{"a 10.1.0.1"}},
	{name: "G15: an empty Selector", objects: across("", "from: Selector, selector: {}"), want: []string{"a 10.1.0.1"}},
	{name: "G15: no Selector", objects: across("team: a", "from: Selector"), want: []string{"a -"}},
	{name: "G15: a Selector that the Gateway's own namespace does not match",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: a}}}}}"}, harness.Route{}),
		want:    []string{"a -"}},
	{name: "G15: a Selector without sense",
		objects: across("team: a", "from: Selector, selector: {matchExpressions: [{key: team, operator: Likes, values: [a]}]}"),
		want:    []string{"a -"}},

	// G17: grants are for backends and secrets.
	{name: "G17: a grant does not open a listener",
		objects: across("", "from: Same") + `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: all, namespace: NS-infra}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: NS}]
  to: [{group: gateway.networking.k8s.io, kind: Gateway}]
`,
		want: []string{"a -"}},

	// G18: what the controller says of a listener.
	{name: "G18: a listener that is not accepted", objects: listenerCondition("Accepted", "False"), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G18: a listener that is conflicted", objects: listenerCondition("Conflicted", "True"), want: []string{"a -", "b 10.1.0.1"}},
	{name: "G18: a listener that is not conflicted", objects: listenerCondition("Conflicted", "False"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
	{name: "G18: a listener that nothing is known of yet", objects: listenerCondition("Accepted", "Unknown"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
	{name: "G18, G24: a listener that is not programmed", objects: listenerCondition("Programmed", "False"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
	{name: "G18, G24: a listener without its certificate", objects: listenerCondition("ResolvedRefs", "False"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
	{name: "G18: no status of the listeners", objects: harness.Manifest(harness.Gateway{ListenerStatus: "none"}, harness.Route{}), want: []string{"a 10.1.0.1"}},

	// G19: only spec.parentRefs count, whatever the status says, unless both sides ask for more.
	{name: "G19: a parent in the status alone",
		objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "none", Status: harness.Attached("{name: gw}")}),
		want:    []string{"a -"}},
	{name: "G19: a default Gateway that the controller has chosen",
		objects: harness.Manifest(harness.Gateway{Spec: "defaultScope: All"}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "none", Spec: "useDefaultGateways: All", Status: harness.Attached("{name: gw}, {name: other}")}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G19: a default Gateway beside the one that the route names",
		objects: harness.Manifest(harness.Gateway{Spec: "defaultScope: All"}, harness.Gateway{Name: "other", Addresses: "{value: 10.1.0.2}"}, harness.Route{Parents: "{name: other}", Spec: "useDefaultGateways: All", Status: harness.Attached("{name: gw}, {name: other}")}),
		want:    []string{"a 10.1.0.1 10.1.0.2"}},
	{name: "G19: a default Gateway that no controller has chosen",
		objects: harness.Manifest(harness.Gateway{Spec: "defaultScope: All"}, harness.Route{Parents: "none", Spec: "useDefaultGateways: All", Status: "none"}),
		want:    []string{"a -"}},
	{name: "G19: a Gateway that is none of the default ones",
		objects: harness.Manifest(harness.Gateway{Spec: "defaultScope: None"}, harness.Route{Parents: "none", Spec: "useDefaultGateways: All", Status: harness.Attached("{name: gw}")}),
		want:    []string{"a -"}},
	{name: "G19: a route that asks for none of the default ones",
		objects: harness.Manifest(harness.Gateway{Spec: "defaultScope: All"}, harness.Route{Parents: "none", Spec: "useDefaultGateways: None", Status: harness.Attached("{name: gw}")}),
		want:    []string{"a -"}},

	// M8: what is to be ignored is absent.
	{name: "M8: a Gateway", objects: harness.Manifest(harness.Gateway{Metadata: ignored}, harness.Route{}), want: []string{"a -"}},
	{name: "M8: a route", objects: harness.Manifest(harness.Gateway{}, harness.Route{Metadata: ignored}, harness.Route{Name: "other", Hosts: "b.NS.example"}), want: []string{"a -", "b 10.1.0.1"}},
	{name: "M8: a GatewayClass, so that any controller counts",
		objects: "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: NS, " + ignored + "}, spec: {controllerName: example.org/other}}\n---\n" + harness.Manifest(harness.Gateway{Class: "NS"}, harness.Route{}),
		want:    []string{"a 10.1.0.1"}},
	{name: "M8: a Namespace, so that no Selector knows it", objects: across(`team: a, minilb/ignore: "true"`, "from: Selector, selector: {matchLabels: {team: a}}"), want: []string{"a -"}},
	{name: "M8: the label's value is not true", objects: harness.Manifest(harness.Gateway{Metadata: `labels: {minilb/ignore: "false"}`}, harness.Route{Metadata: `labels: {minilb/ignore: ""}`}), want: []string{"a 10.1.0.1"}},
}

const (
	ignored = `labels: {minilb/ignore: "true"}`
	fromAll = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}"
)

// protocol is a route of a kind at a Gateway with one listener.
func protocol(kind, listener string) string {
	return harness.Manifest(harness.Gateway{Listeners: listener}, harness.Route{Kind: kind})
}

// across is a route at a Gateway of another namespace, by the labels of the route's namespace
// and the listener's allowedRoutes.namespaces.
func across(labels, namespaces string) string {
	return harness.Infra + "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {" + labels + "}}}\n---\n" + harness.Manifest(
		harness.Gateway{Namespace: "NS-infra", Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {" + namespaces + "}}}"},
		harness.Route{Parents: "{name: gw, namespace: NS-infra}"})
}

// supported is the status of a listener that takes one kind.
func supported(name, kind string) string {
	return "{name: " + name + ", attachedRoutes: 1, supportedKinds: [" + kind + "], conditions: [" + harness.Condition("Accepted", "True") + "]}"
}

// listenerCondition is a route at two listeners, of which that for a.NS.example has the condition.
func listenerCondition(kind, status string) string {
	return harness.Manifest(harness.Gateway{
		Listeners:      "{name: a, port: 80, protocol: HTTP, hostname: a.NS.example}, {name: b, port: 80, protocol: HTTP, hostname: b.NS.example}",
		ListenerStatus: harness.ListenerStatus("a", harness.Condition(kind, status)) + ", " + harness.ListenerStatus("b", harness.Condition("Accepted", "True")),
	}, harness.Route{Hosts: "a.NS.example, b.NS.example"})
}
