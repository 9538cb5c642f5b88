package gateway

import (
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/object"
)

// G7: of a route whose parents, or what they let in, depend on a kind that cannot be read, nobody knows
// that nothing stands behind it: the kind is told of, once, and not each route.
func TestUnsure(t *testing.T) {
	const selecting = `listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}]`
	const set = "\nkind: ListenerSet\nmetadata: {name: set, namespace: shop}\nspec: {parentRef: {name: gw, namespace: infra}, listeners: []}\n---\n"
	to := func(parent string) string { return routeOf(object.KindHTTPRoute, "a.ex.org", parent) }
	for _, tc := range []struct {
		name, manifest string
		unread         string
		want           object.Reason
	}{
		{"a Gateway that is not there", to(toGateway), "", object.ReasonNoTarget},
		{"a Gateway that cannot be read", to(toGateway), "gateway", object.ReasonUnread},
		{"a ListenerSet", to(toSet), "gateway", object.ReasonNoTarget},
		{"a ListenerSet that cannot be read", to(toSet), "listenerset", object.ReasonUnread},
		{"a ListenerSet of another group", to(toSet), "xlistenerset", object.ReasonNoTarget},
		{"a ListenerSet of a Gateway that cannot be read", set + to(toSet), "gateway", object.ReasonUnread},
		{"a listener that takes labelled namespaces", gatewayWith(selecting) + to(toGateway), "", object.ReasonNoTarget},
		{"a listener that takes labelled namespaces, which cannot be read", gatewayWith(selecting) + to(toGateway), "namespace", object.ReasonUnread},
		{"a listener that takes no others", gatewayWith(strings.Replace(open, "All", "Same", 1)) + to(toGateway), "namespace", object.ReasonNoTarget},
	} {
		a := testObjects(t, tc.manifest)
		a.Recompute(map[object.KindName]Cause{{Kind: tc.unread}: CauseUnavailable}, none)
		for name, claims := range a.claims {
			if len(claims) != 1 || len(claims[0].Problems) != 1 || claims[0].Problems[0].Reason != tc.want {
				t.Errorf("%s: %s: got %+v, want a problem of the reason %q", tc.name, name, claims, tc.want)
			}
		}
		if len(a.claims) != 1 {
			t.Errorf("%s: got %d routes with claims", tc.name, len(a.claims))
		}
	}
}
