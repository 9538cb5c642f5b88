package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

func TestAttachment(t *testing.T) {
	const (
		noHost  = "no listener of Gateway infra/gw has a hostname for it: "
		noEntry = `the route's status has no entry for Gateway infra/gw: is controller "example.org/ctl" of GatewayClass "gc" running?`
	)
	tests := []struct {
		name     string
		manifest string
		options  config.Options
		want     []string
	}{
		{
			name:     "G10: a reference's defaults",
			manifest: gatewayWith(open) + strings.ReplaceAll(routeOf(object.KindHTTPRoute, "a.ex.org", "{name: gw}"), "shop", "infra"),
			want:     []string{"a.ex.org. -> 10.0.0.5"},
		},
		{
			name:     "G10: the namespace of one reference is not the next one's",
			manifest: gatewayWith(open) + routeOf(object.KindHTTPRoute, "a.ex.org", toGateway, "{name: gw}"),
			want:     []string{"a.ex.org. -> 10.0.0.5"},
		},
		{
			name: "G10: other kinds of parents",
			manifest: gatewayWith(open) + routeOf(object.KindHTTPRoute, "a.ex.org",
				`{group: "", kind: Service, name: gw, namespace: infra}`, "{group: networking.istio.io, kind: ServiceEntry, name: gw, namespace: infra}", "{kind: HTTPRoute, name: gw, namespace: infra}"),
		},
		{
			name:     "a Gateway that is not there",
			manifest: routeOf(object.KindHTTPRoute, "a.ex.org", toGateway),
			want:     []string{"a.ex.org.: Gateway infra/gw does not exist"},
		},
		{
			name:     "a Gateway that is not read",
			manifest: routeOf(object.KindHTTPRoute, "a.ex.org", toGateway),
			options:  config.Options{Namespaces: []string{"shop"}},
			want:     []string{"a.ex.org.: Gateway infra/gw lies outside of the namespaces that are read"},
		},
		{
			name: "G11: the listener's name and port",
			manifest: gatewayWith(`listeners: [
				{name: http, port: 80, protocol: HTTP, hostname: "*.a.org", allowedRoutes: {namespaces: {from: All}}},
				{name: https, port: 443, protocol: HTTPS, hostname: "*.b.org", allowedRoutes: {namespaces: {from: All}}},
				{name: alt, port: 443, protocol: HTTPS, hostname: "*.c.org", allowedRoutes: {namespaces: {from: All}}}]`) +
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, "1.a.org, 1.b.org, 1.c.org", "{name: gw, namespace: infra, sectionName: https}"), "name: r,", "name: one,") +
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, "2.a.org, 2.b.org, 2.c.org", "{name: gw, namespace: infra, port: 443}"), "name: r,", "name: two,") +
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, "3.a.org, 3.b.org, 3.c.org", "{name: gw, namespace: infra, sectionName: https, port: 443}"), "name: r,", "name: three,") +
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, "4.a.org, 4.b.org, 4.c.org", "{name: gw, namespace: infra, sectionName: https, port: 80}"), "name: r,", "name: four,") +
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, "5.a.org, 5.b.org, 5.c.org", `{name: gw, namespace: infra, sectionName: ""}`), "name: r,", "name: five,"),
			want: []string{
				"1.a.org.: " + noHost + `"https" has *.b.org`, "1.b.org. -> 10.0.0.5", "1.c.org.: " + noHost + `"https" has *.b.org`,
				"2.a.org.: " + noHost + `"https" has *.b.org, "alt" has *.c.org`, "2.b.org. -> 10.0.0.5", "2.c.org. -> 10.0.0.5",
				"3.a.org.: " + noHost + `"https" has *.b.org`, "3.b.org. -> 10.0.0.5", "3.c.org.: " + noHost + `"https" has *.b.org`,
				"4.a.org.: no listener of Gateway infra/gw has the name or port that it asks for",
				"4.b.org.: no listener of Gateway infra/gw has the name or port that it asks for",
				"4.c.org.: no listener of Gateway infra/gw has the name or port that it asks for",
				"5.a.org. -> 10.0.0.5", "5.b.org. -> 10.0.0.5", "5.c.org. -> 10.0.0.5",
			},
		},
		{
			name: "G12: one listener suffices",
			manifest: gatewayWith(`listeners: [
				{name: http, port: 80, protocol: HTTP, hostname: "*.a.org", allowedRoutes: {namespaces: {from: All}}},
				{name: https, port: 443, protocol: HTTPS, hostname: "*.b.org", allowedRoutes: {namespaces: {from: All}}}]`) +
				routeOf(object.KindHTTPRoute, "x.b.org", toGateway),
			want: []string{"x.b.org. -> 10.0.0.5"},
		},
		{
			name: "G13: protocols",
			manifest: gatewayWith(`listeners: [
				{name: http, port: 80, protocol: HTTP, hostname: "http.org", allowedRoutes: {namespaces: {from: All}}},
				{name: https, port: 443, protocol: HTTPS, hostname: "https.org", allowedRoutes: {namespaces: {from: All}}},
				{name: tls, port: 8443, protocol: TLS, hostname: "tls.org", allowedRoutes: {namespaces: {from: All}}},
				{name: tcp, port: 1, protocol: TCP, hostname: "tcp.org", allowedRoutes: {namespaces: {from: All}}},
				{name: own, port: 2, protocol: example.org/quic, hostname: "own.org", allowedRoutes: {namespaces: {from: All}}},
				{name: none, port: 3, hostname: "none.org", allowedRoutes: {namespaces: {from: All}}}]`) +
				routeOf(object.KindHTTPRoute, "", toGateway) + strings.ReplaceAll(routeOf(object.KindGRPCRoute, "", toGateway), "shop", "grpc") + strings.ReplaceAll(routeOf(object.KindTLSRoute, "", toGateway), "shop", "tls"),
			want: []string{"http.org. -> 10.0.0.5", "http.org. -> 10.0.0.5", "https.org. -> 10.0.0.5", "https.org. -> 10.0.0.5", "tls.org. -> 10.0.0.5"},
		},
		{
			name: "G13: a protocol of an implementation, by what its status supports",
			manifest: class + `
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: gc
  listeners:
  - {name: own, port: 2, protocol: example.org/quic, hostname: own.org, allowedRoutes: {namespaces: {from: All}}}
  - {name: other, port: 3, protocol: example.org/quic, hostname: other.org, allowedRoutes: {namespaces: {from: All}}}
  - {name: notOurs, port: 4, protocol: example.org/quic, hostname: notOurs.org, allowedRoutes: {namespaces: {from: All}}}
status:
  addresses: [{value: 10.0.0.5}]
  listeners:
  - {name: own, supportedKinds: [{kind: GRPCRoute}, {group: gateway.networking.k8s.io, kind: HTTPRoute}]}
  - {name: other, supportedKinds: [{kind: TLSRoute}]}
  - {name: notOurs, supportedKinds: [{group: example.org, kind: HTTPRoute}]}
---
` + routeOf(object.KindHTTPRoute, "", toGateway),
			want: []string{"own.org. -> 10.0.0.5"},
		},
		{
			name: "G14: kinds",
			manifest: gatewayWith(`listeners: [
				{name: a, port: 1, protocol: HTTP, hostname: "grpc.org", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}},
				{name: b, port: 2, protocol: HTTP, hostname: "both.org", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}, {group: gateway.networking.k8s.io, kind: HTTPRoute}]}},
				{name: c, port: 3, protocol: HTTP, hostname: "notOurs.org", allowedRoutes: {namespaces: {from: All}, kinds: [{group: example.org, kind: HTTPRoute}]}},
				{name: d, port: 4, protocol: HTTP, hostname: "wrong.org", allowedRoutes: {namespaces: {from: All}, kinds: [{kind: TLSRoute}]}},
				{name: e, port: 5, protocol: HTTP, hostname: "any.org", allowedRoutes: {namespaces: {from: All}, kinds: []}}]`) +
				routeOf(object.KindHTTPRoute, "", toGateway) + strings.ReplaceAll(routeOf(object.KindTLSRoute, "tls.org", toGateway), "shop", "tls"),
			want: []string{"any.org. -> 10.0.0.5", "both.org. -> 10.0.0.5", `tls.org.: listener "e" of Gateway infra/gw takes no TLSRoute`},
		},
		{
			name: "G15, G16: namespaces",
			manifest: gatewayWith(`listeners: [
				{name: a, port: 1, protocol: HTTP, hostname: default.org},
				{name: b, port: 2, protocol: HTTP, hostname: same.org, allowedRoutes: {namespaces: {from: Same}}},
				{name: c, port: 3, protocol: HTTP, hostname: all.org, allowedRoutes: {namespaces: {from: All}}},
				{name: d, port: 4, protocol: HTTP, hostname: labels.org, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}},
				{name: e, port: 5, protocol: HTTP, hostname: any.org, allowedRoutes: {namespaces: {from: Selector, selector: {}}}},
				{name: f, port: 6, protocol: HTTP, hostname: nil.org, allowedRoutes: {namespaces: {from: Selector}}},
				{name: g, port: 7, protocol: HTTP, hostname: other.org, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: other}}}}},
				{name: h, port: 8, protocol: HTTP, hostname: wrong.org, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: Likes, values: [shop]}]}}}},
				{name: i, port: 9, protocol: HTTP, hostname: none.org, allowedRoutes: {namespaces: {from: None}}},
				{name: j, port: 10, protocol: HTTP, hostname: new.org, allowedRoutes: {namespaces: {from: Nearby}}},
				{name: k, port: 11, protocol: HTTP, hostname: ignored.org, allowedRoutes: {namespaces: {from: Same, selector: {}}}}]`) +
				"\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n---\n" +
				routeOf(object.KindHTTPRoute, "", toGateway) + // of shop, which is known
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, `"*.org"`, toGateway), "shop", "unknown") + // whose labels are not
				strings.ReplaceAll(routeOf(object.KindHTTPRoute, "same.org, default.org", toGateway), "shop", "infra"),
			want: []string{
				"all.org. -> 10.0.0.5", "all.org. -> 10.0.0.5", "any.org. -> 10.0.0.5",
				"default.org. -> 10.0.0.5", "labels.org. -> 10.0.0.5", "same.org. -> 10.0.0.5",
			},
		},
		{
			name: "G18: a listener that its controller refuses",
			manifest: class + `
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: gc
  listeners:
  - {name: refused, port: 2, protocol: HTTP, hostname: refused.org, allowedRoutes: {namespaces: {from: All}}}
  - {name: conflicted, port: 3, protocol: HTTP, hostname: conflicted.org, allowedRoutes: {namespaces: {from: All}}}
  - {name: unknown, port: 4, protocol: HTTP, hostname: unknown.org, allowedRoutes: {namespaces: {from: All}}}
  - {name: unprogrammed, port: 5, protocol: HTTP, hostname: unprogrammed.org, allowedRoutes: {namespaces: {from: All}}}
  - {name: silent, port: 6, protocol: HTTP, hostname: silent.org, allowedRoutes: {namespaces: {from: All}}}
status:
  addresses: [{value: 10.0.0.5}]
  listeners:
  - {name: refused, conditions: [{type: Accepted, status: "False"}]}
  - {name: conflicted, conditions: [{type: Accepted, status: "True"}, {type: Conflicted, status: "True"}]}
  - {name: unknown, conditions: [{type: Accepted, status: Unknown}, {type: Conflicted, status: Unknown}]}
  - {name: unprogrammed, conditions: [{type: Accepted, status: "True"}, {type: Conflicted, status: "False"}, {type: Programmed, status: "False"}, {type: ResolvedRefs, status: "False"}]}
---
` + routeOf(object.KindHTTPRoute, "", toGateway),
			want: []string{"silent.org. -> 10.0.0.5", "unknown.org. -> 10.0.0.5", "unprogrammed.org. -> 10.0.0.5"}, // G24
		},
		{
			name: "G19: default Gateways",
			manifest: strings.Replace(gatewayWith(open), "gatewayClassName: gc,", "gatewayClassName: gc, defaultScope: All,", 1) +
				strings.NewReplacer("infra", "two", "defaultScope: All", "defaultScope: None", "10.0.0.5", "10.0.0.6").Replace(fmt.Sprintf(gw, open)) +
				strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway, "{name: gw, namespace: two}"), "parentRefs: [{name: gw, namespace: infra}, {name: gw, namespace: two}]", "useDefaultGateways: All", 1) +
				strings.Replace(strings.ReplaceAll(routeOf(object.KindHTTPRoute, "b.ex.org", toGateway), "name: r,", "name: none,"), "parentRefs: [{name: gw, namespace: infra}]", "useDefaultGateways: None", 1) +
				strings.Replace(strings.ReplaceAll(routeOf(object.KindHTTPRoute, "c.ex.org", toGateway), "name: r,", "name: nothing,"), "parentRefs: [{name: gw, namespace: infra}]", "", 1),
			want: []string{
				"a.ex.org. -> 10.0.0.5",
				"b.ex.org.: it has no parentRefs: name the Gateway that is to serve it",
				"c.ex.org.: it has no parentRefs: name the Gateway that is to serve it",
			},
		},
		{
			name:     "G19: default Gateways, of which there is none",
			manifest: gatewayWith(open) + strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway), "parentRefs: [{name: gw, namespace: infra}]", "useDefaultGateways: All", 1),
			want:     []string{"a.ex.org.: it asks for the default Gateways, and no such Gateway is in its status"},
		},
		{
			name:     "no parents and no hosts, as of routes below other routes",
			manifest: gatewayWith(open) + strings.Replace(routeOf(object.KindHTTPRoute, "", toGateway), "parentRefs: [{name: gw, namespace: infra}]", "parentRefs: []", 1),
		},
		{
			name: "G20: accepted, of this parent and of no other part of it",
			manifest: gatewayWith(open) + `
kind: HTTPRoute
metadata: {name: equal, namespace: shop}
spec: {hostnames: [equal.org], parentRefs: [{name: gw, namespace: infra, sectionName: http}]}
status: {parents: [{parentRef: {group: gateway.networking.k8s.io, kind: Gateway, name: gw, namespace: infra, sectionName: http, port: 0}, controllerName: example.org/ctl, conditions: [{type: ResolvedRefs, status: "False"}, {type: Accepted, status: "True"}]}]}
---
kind: HTTPRoute
metadata: {name: section, namespace: shop}
spec: {hostnames: [section.org], parentRefs: [{name: gw, namespace: infra, sectionName: http}]}
status: {parents: [{parentRef: {name: gw, namespace: infra}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: "True"}]}]}
---
kind: HTTPRoute
metadata: {name: port, namespace: shop}
spec: {hostnames: [port.org], parentRefs: [{name: gw, namespace: infra}]}
status: {parents: [{parentRef: {name: gw, namespace: infra, port: 80}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: "True"}]}]}
---
kind: HTTPRoute
metadata: {name: namespace, namespace: shop}
spec: {hostnames: [namespace.org], parentRefs: [{name: gw, namespace: infra}]}
status: {parents: [{parentRef: {name: gw}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: "True"}]}]}
---
kind: HTTPRoute
metadata: {name: fresh, namespace: shop}
spec: {hostnames: [fresh.org], parentRefs: [{name: gw, namespace: infra}]}
status: {parents: []}
---
kind: HTTPRoute
metadata: {name: none, namespace: shop}
spec: {hostnames: [none.org], parentRefs: [{name: gw, namespace: infra}]}
---
kind: HTTPRoute
metadata: {name: unknown, namespace: shop}
spec: {hostnames: [unknown.org], parentRefs: [{name: gw, namespace: infra}]}
status: {parents: [{parentRef: {name: gw, namespace: infra}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: Unknown}]}]}
---
kind: HTTPRoute
metadata: {name: refused, namespace: shop}
spec: {hostnames: [false.org], parentRefs: [{name: gw, namespace: infra}]}
status: {parents: [{parentRef: {name: gw, namespace: infra}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: "False", reason: NotAllowedByListeners}]}]}
---
kind: HTTPRoute
metadata: {name: stale, namespace: shop}
spec: {hostnames: [stale.org], parentRefs: [{name: gw, namespace: infra, sectionName: https}]}
status: {parents: [{parentRef: {name: gw, namespace: infra}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: "True"}]}]}
`,
			want: []string{
				"equal.org. -> 10.0.0.5",
				"false.org.: the controller of Gateway infra/gw does not accept it (NotAllowedByListeners)",
				"fresh.org.: " + noEntry,
				"namespace.org.: " + noEntry,
				"none.org.: " + noEntry,
				"port.org. -> 10.0.0.5",
				"section.org. -> 10.0.0.5",
				"stale.org.: no listener of Gateway infra/gw has the name or port that it asks for",
				"unknown.org.: the controller of Gateway infra/gw has not decided on it yet (condition Accepted is Unknown)",
			},
		},
		{
			name:     "G21: another controller's word",
			manifest: gatewayWith(open) + strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway), "example.org/ctl", "example.org/other", 1),
			want:     []string{`a.ex.org.: it is accepted by controller "example.org/other", but GatewayClass "gc" of Gateway infra/gw names controller "example.org/ctl"`},
		},
		{
			name: "G21: two controllers",
			manifest: gatewayWith(open) + `
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {hostnames: [a.ex.org], parentRefs: [{name: gw, namespace: infra}]}
status: {parents: [
  {parentRef: {name: gw, namespace: infra}, controllerName: example.org/other, conditions: [{type: Accepted, status: "False"}]},
  {parentRef: {name: gw, namespace: infra}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: "True"}]}]}
`,
			want: []string{"a.ex.org. -> 10.0.0.5"},
		},
		{
			name:     "G21: any controller's, where the class cannot be read",
			manifest: fmt.Sprintf(gw, open) + strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway), "example.org/ctl", "example.org/other", 1),
			want:     []string{"a.ex.org. -> 10.0.0.5"},
		},
		{
			name: "G22: a status that is older than the spec",
			manifest: gatewayWith(open) + strings.NewReplacer("namespace: shop}", "namespace: shop, generation: 7}", `status: "True"`, `status: "True", observedGeneration: 3`).
				Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway)),
			want: []string{"a.ex.org. -> 10.0.0.5"},
		},
		{
			name: "G23: without any status",
			manifest: gatewayWith(open) + `
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {hostnames: [a.ex.org], parentRefs: [{name: gw, namespace: infra}]}
---
kind: HTTPRoute
metadata: {name: s, namespace: shop}
spec: {hostnames: [b.ex.org], parentRefs: [{name: gw, namespace: infra, port: 81}]}
`,
			options: config.Options{IgnoreAccepted: true},
			want:    []string{"a.ex.org. -> 10.0.0.5", "b.ex.org.: no listener of Gateway infra/gw has the name or port that it asks for"},
		},
		{
			name: "G30: the intersection, and no more",
			manifest: gatewayWith(`listeners: [{name: a, port: 1, protocol: HTTP, hostname: "*.B.c", allowedRoutes: {namespaces: {from: All}}}, {name: b, port: 2, protocol: HTTP, hostname: "x.org", allowedRoutes: {namespaces: {from: All}}}]`) +
				routeOf(object.KindHTTPRoute, `A.b.c, x.a.b.c, b.c, "*.org", "*.x.b.c", other.net`, toGateway),
			want: []string{
				"*.x.b.c. -> 10.0.0.5", "a.b.c. -> 10.0.0.5", "b.c.: " + noHost + `"a" has *.b.c, "b" has x.org`, "other.net.: " + noHost + `"a" has *.b.c, "b" has x.org`,
				"x.a.b.c. -> 10.0.0.5", "x.org. -> 10.0.0.5",
			},
		},
		{
			name:     "G30: nothing in common",
			manifest: gatewayWith(`listeners: [{name: a, port: 1, protocol: HTTP, hostname: "*.b.c", allowedRoutes: {namespaces: {from: All}}}]`) + routeOf(object.KindHTTPRoute, "b.c", toGateway),
			want:     []string{"b.c.: " + noHost + `"a" has *.b.c`},
		},
		{
			name:     "G30, G31: no hostname anywhere",
			manifest: gatewayWith(open) + routeOf(object.KindHTTPRoute, "", toGateway),
		},
		{
			name:     "G31: a TLSRoute of old without hostnames",
			manifest: gatewayWith(`listeners: [{name: a, port: 1, protocol: TLS, hostname: "*.b.c", allowedRoutes: {namespaces: {from: All}}}]`) + routeOf(object.KindTLSRoute, "", toGateway),
			want:     []string{"*.b.c. -> 10.0.0.5"},
		},
		{
			name:     "G32: hosts that are none",
			manifest: gatewayWith(open) + routeOf(object.KindHTTPRoute, "1.2.3.4, "+strings.Repeat("a", 64)+".org, ok.org", toGateway),
			want: []string{
				`!HTTPRoute shop/r: host "1.2.3.4" is refused: it is an IP address`,
				`!HTTPRoute shop/r: host "` + strings.Repeat("a", 64) + `.org" is refused: its label "aaaaaaaaaaaaaaaaaaaa"… has 64 characters, at most 63 are allowed`,
				"ok.org. -> 10.0.0.5",
			},
		},
		{
			name: "G43, C4: each host leads to the Gateways that serve it",
			manifest: gatewayWith(`listeners: [{name: a, port: 1, protocol: HTTP, hostname: "*.a.org", allowedRoutes: {namespaces: {from: All}}}, {name: c, port: 3, protocol: HTTP, hostname: "*.c.org", allowedRoutes: {namespaces: {from: All}}}]`) +
				strings.NewReplacer("infra", "two", "10.0.0.5", "10.0.0.6").Replace(fmt.Sprintf(gw, `listeners: [{name: a, port: 1, protocol: HTTP, hostname: "*.b.org", allowedRoutes: {namespaces: {from: All}}}, {name: c, port: 3, protocol: HTTP, hostname: "*.c.org", allowedRoutes: {namespaces: {from: All}}}]`)) +
				routeOf(object.KindHTTPRoute, "x.a.org, x.b.org, x.c.org", toGateway, "{name: gw, namespace: two}"),
			want: []string{"x.a.org. -> 10.0.0.5", "x.b.org. -> 10.0.0.6", "x.c.org. -> 10.0.0.5 10.0.0.6"},
		},
		{
			name:     "classes",
			manifest: gatewayWith(open) + routeOf(object.KindHTTPRoute, "a.ex.org", toGateway),
			options:  config.Options{GatewayClasses: []string{"other"}},
		},
		{
			name:     "classes: one of those",
			manifest: gatewayWith(open) + routeOf(object.KindHTTPRoute, "a.ex.org", toGateway),
			options:  config.Options{GatewayClasses: []string{"other", "gc"}},
			want:     []string{"a.ex.org. -> 10.0.0.5"},
		},
		{
			name: "M7: a Gateway's Service",
			manifest: strings.Replace(gatewayWith(open), "namespace: infra}", "namespace: infra, annotations: {minilb/service: traefik}}", 1) +
				routeOf(object.KindHTTPRoute, "a.ex.org", toGateway),
			want: []string{"a.ex.org. -> svc:infra/traefik"},
		},
		{
			name: "M7: a route's own",
			manifest: strings.Replace(gatewayWith(open), "namespace: infra}", "namespace: infra, annotations: {minilb/service: traefik}}", 1) +
				strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway), "namespace: shop}", "namespace: shop, annotations: {minilb/service: web}}", 1),
			want: []string{"a.ex.org. -> svc:shop/web"},
		},
		{
			name: "M7: one that names nothing",
			manifest: strings.Replace(gatewayWith(open), "namespace: infra}", "namespace: infra, annotations: {minilb/service: a/b/c}}", 1) +
				routeOf(object.KindHTTPRoute, "a.ex.org", toGateway),
			want: []string{`a.ex.org.: Gateway infra/gw: annotation minilb/service is "a/b/c", want [namespace/]name`},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := told(testObjects(t, tc.manifest), tc.options); !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// C7c: that a route has more hosts than are kept is said unless all its parents are somebody else's.
func TestSurplusHosts(t *testing.T) {
	a := New(&config.Options{})
	for kind, want := range map[string]int{object.KindGateway: 1, "/Service": 0} {
		r := &object.Route{Kind: object.KindHTTPRoute, Hosts: []string{"a.ex.org"}, Surplus: 3, Parents: []object.ParentRef{{KindName: object.KindName{Kind: kind, Namespace: "infra", Name: "gw"}}}}
		said := 0
		for _, c := range a.claimsOf(r) {
			for _, p := range c.Problems {
				if p.Reason == object.ReasonTooMany {
					said++
				}
			}
		}
		if said != want {
			t.Errorf("its parent is a %s: it is said %d times, want %d", kind, said, want)
		}
	}
}
