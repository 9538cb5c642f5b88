package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// G20b: each reason for which a route is not attached to a parent has a kind and words of its own.
func TestCauses(t *testing.T) {
	gateway := gatewayWith(open)
	// status returns a route at a part of the Gateway, with entries of its status.
	status := func(parent, entries string) string {
		return "kind: HTTPRoute\nmetadata: {name: r, namespace: infra}\nspec: {hostnames: [a.org], parentRefs: [" + parent + "]}\nstatus: {parents: [" + entries + "]}\n"
	}
	entry := func(parent, controller, accepted string) string {
		return fmt.Sprintf("{parentRef: %s, controllerName: %s, conditions: [{type: Accepted, status: %s}]}", parent, controller, accepted)
	}
	const ours, self = "example.org/ctl", "{name: gw}"
	met := map[Cause]bool{}
	for _, tc := range []struct {
		name, manifest string
		options        config.Options
		unknown        map[object.KindName]Cause
		cause          Cause
		text           string
	}{
		{name: "a Service of a mesh", manifest: status("{group: '', kind: Service, name: web}", ""), cause: CauseOtherKind, text: "it is no Gateway or ListenerSet"},
		{name: "another group's kind", manifest: status("{group: example.org, kind: MeshService, name: web}", ""), cause: CauseOtherKind, text: "it is no Gateway or ListenerSet"},
		{name: "a route below a route", manifest: status("{kind: HTTPRoute, name: web}", ""), cause: CauseOtherKind, text: "it is no Gateway or ListenerSet"},
		{name: "a kind with a typo", manifest: gateway + status("{kind: Gatway, name: gw}", ""), cause: CauseUnknownKind,
			text: `its parentRef has kind "Gatway" of group "gateway.networking.k8s.io", want Gateway or ListenerSet of gateway.networking.k8s.io, or XListenerSet of gateway.networking.x-k8s.io`},
		{name: "a Service without its group", manifest: gateway + status("{kind: Service, name: web}", ""), cause: CauseUnknownKind, text: `its parentRef has kind "Service" of group "gateway.networking.k8s.io", want`},
		{name: "a group with a typo", manifest: gateway + status("{group: gateway.networking.k8s.oi, name: gw}", ""), cause: CauseUnknownKind, text: `its parentRef has kind "Gateway" of group "gateway.networking.k8s.oi", want`},
		{name: "an empty group", manifest: gateway + status("{group: '', name: gw}", ""), cause: CauseUnknownKind, text: `its parentRef has kind "Gateway" of group "", want`},
		{name: "another group's Gateway", manifest: gateway + status("{group: networking.istio.io, kind: Gateway, name: gw}", ""), cause: CauseUnknownKind, text: `its parentRef has kind "Gateway" of group "networking.istio.io", want`},
		{name: "the old kind of the new group", manifest: status("{kind: XListenerSet, name: set}", ""), cause: CauseUnknownKind, text: `its parentRef has kind "XListenerSet" of group "gateway.networking.k8s.io", want`},
		{name: "the new kind of the old group", manifest: status("{group: gateway.networking.x-k8s.io, kind: ListenerSet, name: set}", ""), cause: CauseUnknownKind, text: `its parentRef has kind "ListenerSet" of group "gateway.networking.x-k8s.io", want`},
		{name: "another class", manifest: gateway + status(self, ""), options: config.Options{GatewayClasses: []string{"other"}}, cause: CauseOtherClass, text: `Gateway infra/gw is of GatewayClass "gc", which is not among gateway_classes`},

		{name: "absent", manifest: status(self, ""), cause: CauseAbsent, text: "Gateway infra/gw does not exist"},
		{name: "not served", manifest: status("{kind: ListenerSet, name: set}", ""), unknown: map[object.KindName]Cause{{Kind: "listenerset"}: CauseUnserved}, cause: CauseUnserved,
			text: "ListenerSet infra/set does not exist: the API server does not serve its kind"},
		{name: "forbidden", manifest: status(self, ""), unknown: map[object.KindName]Cause{{Kind: "gateway"}: CauseUnavailable}, cause: CauseUnavailable, text: "Gateway infra/gw cannot be read"},
		{name: "forbidden in its namespace", manifest: status(self, ""), options: config.Options{Namespaces: []string{"infra", "shop"}}, unknown: map[object.KindName]Cause{{Kind: "gateway", Namespace: "infra"}: CauseUnavailable},
			cause: CauseUnavailable, text: "Gateway infra/gw cannot be read"},
		{name: "forbidden in another namespace", manifest: status(self, ""), options: config.Options{Namespaces: []string{"infra", "shop"}}, unknown: map[object.KindName]Cause{{Kind: "gateway", Namespace: "shop"}: CauseUnavailable},
			cause: CauseAbsent, text: "Gateway infra/gw does not exist"},
		{name: "in a namespace that is not read", manifest: status(self, ""), options: config.Options{Namespaces: []string{"shop"}}, cause: CauseOutside, text: "Gateway infra/gw lies outside of the namespaces that are read"},
		{name: "ignored", manifest: status("{name: hidden}", ""), cause: CauseIgnored, text: "Gateway infra/hidden has label minilb/ignore or k8s-gateway.dns/ignore, which makes it absent"},
		{name: "malformed", manifest: "kind: Gateway\nmetadata: {name: gw, namespace: infra}\nspec: {listeners: 5}\n---\n" + status(self, ""), cause: CauseMalformed, text: "Gateway infra/gw is not as its kind should be"},
		{name: "a set that is not let in", manifest: gateway + theSet + routeOf(object.KindHTTPRoute, "a.org", toSet), cause: CauseNotLetIn, text: "Gateway infra/gw does not allow ListenerSet shop/set by its allowedListeners"},
		{name: "a set that is refused", manifest: gatewayWith(letsIn) + strings.Replace(theSet, `status: "True"}]`, `status: "False"}]`, 1) + routeOf(object.KindHTTPRoute, "a.org", toSet), cause: CauseRefused, text: "ListenerSet shop/set is refused by its controller"},

		{name: "no entry", manifest: gateway + status(self, ""), cause: CauseNoStatus, text: `the route's status has no entry for Gateway infra/gw: is controller "example.org/ctl" of GatewayClass "gc" running?`},
		{name: "no entry, and no class", manifest: fmt.Sprintf(gw, open) + status(self, ""), cause: CauseNoStatus, text: "the route's status has no entry for Gateway infra/gw: GatewayClass \"gc\" does not exist"},
		{name: "no entry, and classes that are not read", manifest: fmt.Sprintf(gw, open) + status(self, ""), unknown: map[object.KindName]Cause{{Kind: "gatewayclass"}: CauseUnavailable}, cause: CauseNoStatus,
			text: `the route's status has no entry for Gateway infra/gw: is the controller of GatewayClass "gc" running?`},
		{name: "of a route that is read in some namespaces alone", manifest: fmt.Sprintf(gw, open) + status(self, ""), options: config.Options{Namespaces: []string{"infra"}}, cause: CauseNoStatus,
			text: "the route's status has no entry for Gateway infra/gw: GatewayClass \"gc\" does not exist"},
		{name: "accepted by another controller", manifest: gateway + status(self, entry(self, "example.org/other", "'True'")), cause: CauseOtherControl,
			text: `it is accepted by controller "example.org/other", but GatewayClass "gc" of Gateway infra/gw names controller "example.org/ctl"`},
		{name: "refused by another controller", manifest: gateway + status(self, entry(self, "example.org/other", "'False'")), cause: CauseOtherControl,
			text: `the route's status has an entry of controller "example.org/other" alone, but GatewayClass "gc" of Gateway infra/gw names controller "example.org/ctl"`},
		{name: "entries of other controllers", manifest: gateway + status("{name: gw, sectionName: http}", entry("{name: gw, sectionName: old}", "a.org/a", "'True'")+", "+entry(self, "b.org/b", "Unknown")+", "+entry(self, "b.org/b", "'False'")), cause: CauseOtherControl,
			text: `the route's status has an entry of controller "a.org/a" and "b.org/b" alone, but GatewayClass "gc"`},
		{name: "an entry of another section", manifest: gateway + status("{name: gw, sectionName: http}", entry("{name: gw, sectionName: old}", ours, "'True'")), cause: CauseOtherStatus,
			text: `the route's status has an entry for Gateway infra/gw section "old" alone, and none for Gateway infra/gw section "http"`},
		{name: "entries of other ports", manifest: gateway + status("{name: gw, port: 80}", entry("{name: gw, port: 81}", ours, "'True'")+", "+entry("{name: gw, port: 82}", ours, "'False'")), cause: CauseOtherStatus,
			text: "the route's status has an entry for Gateway infra/gw port 81 and Gateway infra/gw port 82 alone, and none for Gateway infra/gw port 80"},
		{name: "refused", manifest: gateway + status(self, "{parentRef: {name: gw}, controllerName: example.org/ctl, conditions: [{type: Accepted, status: 'False', reason: NotAllowedByListeners, message: \"No listener\\ntakes it\"}]}"), cause: CauseRefused,
			text: "the controller of Gateway infra/gw does not accept it (NotAllowedByListeners: No listener takes it)"},
		{name: "undecided", manifest: gateway + status(self, entry(self, ours, "Unknown")), cause: CausePending, text: "the controller of Gateway infra/gw has not decided on it yet (condition Accepted is Unknown)"},
		{name: "an entry without the condition", manifest: gateway + status(self, "{parentRef: {name: gw}, controllerName: example.org/ctl}"), cause: CausePending, text: "the controller of Gateway infra/gw has not decided on it yet (condition Accepted is not there)"},

		{name: "no listeners", manifest: gatewayWith("listeners: []") + routeOf(object.KindHTTPRoute, "a.org", toGateway), cause: CauseNoListener, text: "Gateway infra/gw has no listeners"},
		{name: "no such listener", manifest: gateway + routeOf(object.KindHTTPRoute, "a.org", "{name: gw, namespace: infra, sectionName: htp}"), cause: CauseNoListener, text: "no listener of Gateway infra/gw has the name or port that it asks for"},
		{name: "a listener of its own namespace", manifest: gatewayWith("listeners: [{name: http, port: 80, protocol: HTTP}]") + routeOf(object.KindHTTPRoute, "a.org", toGateway), cause: CauseNotTaken, text: `listener "http" of Gateway infra/gw allows no routes of namespace "shop"`},
		{name: "the listener that has the host, of several", manifest: gatewayWith(`listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.org}, {name: b, port: 80, protocol: HTTP, hostname: b.org, allowedRoutes: {namespaces: {from: All}}},
			{name: c, port: 443, protocol: TLS, hostname: a.org, allowedRoutes: {namespaces: {from: All}}}]`) + routeOf(object.KindHTTPRoute, "a.org", toGateway), cause: CauseNotTaken, text: `listener "a" of Gateway infra/gw allows no routes of namespace "shop"`},
		{name: "a listener that is refused", manifest: gatewayWith("listeners: [{name: a, port: 80, protocol: HTTP, hostname: a.org}]") + routeOf(object.KindGRPCRoute, "b.org", "{name: gw, namespace: infra}"), cause: CauseNotTaken, text: `listener "a" of Gateway infra/gw allows no routes of namespace "shop"`},
		{name: "other hostnames", manifest: gatewayWith(strings.Replace(open, "port: 80", "port: 80, hostname: b.org", 1)) + routeOf(object.KindHTTPRoute, "a.org", toGateway), cause: CauseOtherHosts, text: `no listener of Gateway infra/gw has a hostname for it: "http" has b.org`},
	} {
		objects := testObjects(t, tc.manifest)
		objects.ignored[object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "hidden"}] = true
		objects.options, objects.unavailable = &tc.options, tc.unknown
		for _, r := range objects.routes {
			attached, o := objects.attach(r, r.Parents[0], newServings())
			if attached || o == nil || o.cause != tc.cause || !strings.HasPrefix(o.text, tc.text) {
				t.Errorf("%s: got %+v, want %s: %s", tc.name, o, tc.cause, tc.text)
			}
			met[tc.cause] = true
		}
	}
	for _, cause := range Causes {
		if !met[cause] {
			t.Errorf("%s: not tried", cause)
		}
	}
}

// G20b: hosts of a route that no listener has are told apart from those that are served, unless they may be
// meant for a Gateway that is somebody else's.
func TestUnmetHosts(t *testing.T) {
	two := gatewayWith(`listeners: [{name: http, port: 80, protocol: HTTP, hostname: "*.a.org", allowedRoutes: {namespaces: {from: All}}}]`) +
		strings.NewReplacer("infra", "two", "gatewayClassName: gc", "gatewayClassName: other", "10.0.0.5", "10.0.0.6").Replace(fmt.Sprintf(gw, strings.Replace(open, "port: 80", "port: 80, hostname: '*.b.org'", 1)))
	const none = `no listener of Gateway infra/gw has a hostname for it: "http" has *.a.org`
	for _, tc := range []struct {
		name    string
		parents []string
		options config.Options
		want    []string
	}{
		{"one Gateway", []string{toGateway}, config.Options{}, []string{"x.a.org. -> 10.0.0.5", "x.b.org.: " + none}},
		{"two, each with one of the hosts", []string{toGateway, "{name: gw, namespace: two}"}, config.Options{}, []string{"x.a.org. -> 10.0.0.5", "x.b.org. -> 10.0.0.6"}},
		{"the other is another server's", []string{toGateway, "{name: gw, namespace: two}"}, config.Options{GatewayClasses: []string{"gc"}}, []string{"x.a.org. -> 10.0.0.5"}},
		{"the other is none of ours", []string{toGateway, "{group: '', kind: Service, name: web}"}, config.Options{}, []string{"x.a.org. -> 10.0.0.5"}},
		{"the other is not there", []string{toGateway, "{name: gw}"}, config.Options{}, []string{"x.a.org. -> 10.0.0.5", "x.b.org.: " + none + "; Gateway shop/gw does not exist"}},
	} {
		if got := told(testObjects(t, two+routeOf(object.KindHTTPRoute, "x.a.org, x.b.org", tc.parents...)), tc.options); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
	// Of many listeners the first few are named.
	var listeners []string
	for i := range maxObstacles + 2 {
		listeners = append(listeners, fmt.Sprintf("{name: l%d, port: 80, protocol: HTTP, hostname: l%d.org, allowedRoutes: {namespaces: {from: All}}}", i, i))
	}
	want := []string{`a.org.: no listener of Gateway infra/gw has a hostname for it: "l0" has l0.org, "l1" has l1.org, "l2" has l2.org, and 2 more`}
	if got := told(testObjects(t, gatewayWith("listeners: ["+strings.Join(listeners, ", ")+"]")+routeOf(object.KindHTTPRoute, "a.org", toGateway)), config.Options{}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
