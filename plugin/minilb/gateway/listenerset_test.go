package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// A Gateway that lets ListenerSets of all namespaces in, and one of them in shop; the tests
// take away from that what they need.
const (
	letsIn = `allowedListeners: {namespaces: {from: All}}, listeners: [{name: http, port: 80, protocol: HTTP, hostname: gateway.org, allowedRoutes: {namespaces: {from: All}}}]`
	theSet = `
kind: ListenerSet
metadata: {name: set, namespace: shop}
spec:
  parentRef: {name: gw, namespace: infra}
  listeners: [{name: http, port: 81, protocol: HTTP, hostname: "*.set.org"}]
status:
  conditions: [{type: Accepted, status: "True"}]
  listeners: [{name: http, conditions: [{type: Accepted, status: "True"}]}]
---
`
	toSet = "{kind: ListenerSet, name: set}"
)

func TestListenerSets(t *testing.T) {
	tests := []struct {
		name     string
		manifest string
		options  config.Options
		want     []string
	}{
		{
			name:     "G50: its Gateway's addresses",
			manifest: gatewayWith(letsIn) + theSet + routeOf(object.KindHTTPRoute, "a.set.org, gateway.org", toSet),
			want:     []string{"a.set.org. -> 10.0.0.5", `gateway.org.: no listener of ListenerSet shop/set has a hostname for it: "http" has *.set.org`}, // G52
		},
		{
			name:     "G50: a Gateway in its own namespace",
			manifest: strings.ReplaceAll(gatewayWith(letsIn), "infra", "shop") + strings.Replace(theSet, ", namespace: infra", "", 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org. -> 10.0.0.5"},
		},
		{
			name:     "G50: a parent that is no Gateway",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, "parentRef: {", "parentRef: {kind: Service, group: '', ", 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
		},
		{
			name:     "its Gateway is not there",
			manifest: theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: Gateway infra/gw does not exist"},
		},
		{
			name:     "it is not there",
			manifest: gatewayWith(letsIn) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: ListenerSet shop/set does not exist"},
		},
		{
			name:     "its Gateway is of another class",
			manifest: gatewayWith(letsIn) + theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			options:  config.Options{GatewayClasses: []string{"other"}},
		},
		{
			name:     "G51: the Gateway lets none in by default",
			manifest: gatewayWith(strings.Replace(letsIn, "allowedListeners: {namespaces: {from: All}}, ", "", 1)) + theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: Gateway infra/gw does not allow ListenerSet shop/set by its allowedListeners"},
		},
		{
			name: "G51: by default not even one of its own namespace",
			manifest: strings.ReplaceAll(gatewayWith(strings.Replace(letsIn, "allowedListeners: {namespaces: {from: All}}, ", "", 1)), "infra", "shop") +
				strings.ReplaceAll(theSet, "infra", "shop") + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want: []string{"a.set.org.: Gateway shop/gw does not allow ListenerSet shop/set by its allowedListeners"},
		},
		{
			name:     "G51: from None",
			manifest: gatewayWith(strings.Replace(letsIn, "namespaces: {from: All}}, listeners", "namespaces: {from: None}}, listeners", 1)) + theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: Gateway infra/gw does not allow ListenerSet shop/set by its allowedListeners"},
		},
		{
			name:     "G51: from the Gateway's namespace",
			manifest: gatewayWith(strings.Replace(letsIn, "namespaces: {from: All}}, listeners", "namespaces: {from: Same}}, listeners", 1)) + theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: Gateway infra/gw does not allow ListenerSet shop/set by its allowedListeners"},
		},
		{
			name: "G51: by labels",
			manifest: gatewayWith(strings.Replace(letsIn, "namespaces: {from: All}}, listeners", "namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}, listeners", 1)) +
				"\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n---\n" + theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want: []string{"a.set.org. -> 10.0.0.5"},
		},
		{
			name: "G51: by other labels",
			manifest: gatewayWith(strings.Replace(letsIn, "namespaces: {from: All}}, listeners", "namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}, listeners", 1)) +
				"\nkind: Namespace\nmetadata: {name: shop, labels: {team: other}}\n---\n" + theSet + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want: []string{"a.set.org.: Gateway infra/gw does not allow ListenerSet shop/set by its allowedListeners"},
		},
		{
			name:     "G51: not accepted",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, `status: "True"}]`, `status: "False"}]`, 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: ListenerSet shop/set is refused by its controller"},
		},
		{
			name:     "G51: not accepted yet",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, `status: "True"}]`, `status: Unknown}]`, 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org.: ListenerSet shop/set is not accepted by its controller yet"},
		},
		{
			name:     "G51: a listener that is not accepted",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, `{name: http, conditions: [{type: Accepted, status: "True"}]}`, `{name: http, conditions: [{type: Accepted, status: Unknown}]}`, 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{`a.set.org.: listener "http" of ListenerSet shop/set is not accepted yet`},
		},
		{
			name:     "G51: a listener that nobody has judged",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, "listeners: [{name: http, cond", "listeners: [{name: other, cond", 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{`a.set.org.: listener "http" of ListenerSet shop/set is not accepted yet`},
		},
		{
			name:     "G51: a conflict",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, `{name: http, conditions: [`, `{name: http, conditions: [{type: Conflicted, status: "True"}, `, 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{`a.set.org.: listener "http" of ListenerSet shop/set conflicts with another`},
		},
		{
			name:     "G52: the Gateway's own listeners are not the set's, nor the other way round",
			manifest: gatewayWith(letsIn) + theSet + routeOf(object.KindHTTPRoute, "a.set.org, gateway.org", toGateway),
			want:     []string{`a.set.org.: no listener of Gateway infra/gw has a hostname for it: "http" has gateway.org`, "gateway.org. -> 10.0.0.5"},
		},
		{
			name:     "G52: a name of the set, asked of the Gateway",
			manifest: gatewayWith(letsIn) + strings.ReplaceAll(theSet, "name: http,", "name: foo,") + routeOf(object.KindHTTPRoute, "a.set.org, gateway.org", "{name: gw, namespace: infra, sectionName: foo}"),
			want: []string{
				"a.set.org.: no listener of Gateway infra/gw has the name or port that it asks for",
				"gateway.org.: no listener of Gateway infra/gw has the name or port that it asks for",
			},
		},
		{
			name:     "G15: the default is the set's namespace, not the Gateway's",
			manifest: gatewayWith(letsIn) + theSet + strings.Replace(routeOf(object.KindHTTPRoute, "a.set.org", "{kind: ListenerSet, name: set, namespace: shop}"), "name: r, namespace: shop", "name: r, namespace: infra", 1),
			want:     []string{`a.set.org.: listener "http" of ListenerSet shop/set allows no routes of namespace "infra"`},
		},
		{
			name: "G54: an XListenerSet, whose port may be open",
			manifest: gatewayWith(letsIn) + strings.NewReplacer("kind: ListenerSet", "kind: XListenerSet", "port: 81, ", "").Replace(theSet) +
				routeOf(object.KindHTTPRoute, "a.set.org", "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: set}") +
				strings.Replace(routeOf(object.KindHTTPRoute, "b.set.org", "{group: gateway.networking.x-k8s.io, kind: XListenerSet, name: set, port: 80}"), "name: r,", "name: s,", 1) +
				strings.Replace(routeOf(object.KindHTTPRoute, "c.set.org", toSet), "name: r,", "name: u,", 1),
			want: []string{
				"a.set.org. -> 10.0.0.5",
				"b.set.org.: no listener of XListenerSet shop/set has the name or port that it asks for",
				"c.set.org.: ListenerSet shop/set does not exist",
			},
		},
		{
			name: "M7: a set's Service",
			manifest: strings.Replace(gatewayWith(letsIn), "namespace: infra}", "namespace: infra, annotations: {minilb/service: traefik}}", 1) +
				strings.Replace(theSet, "namespace: shop}", "namespace: shop, annotations: {minilb/service: other/web}}", 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want: []string{"a.set.org. -> svc:other/web"},
		},
		{
			name:     "M7: a set's Service in its own namespace",
			manifest: gatewayWith(letsIn) + strings.Replace(theSet, "namespace: shop}", "namespace: shop, annotations: {minilb/service: web}}", 1) + routeOf(object.KindHTTPRoute, "a.set.org", toSet),
			want:     []string{"a.set.org. -> svc:shop/web"},
		},
		{
			name:     "G23: without any status",
			manifest: gatewayWith(letsIn) + theSet[:strings.Index(theSet, "status:")] + "---\n" + strings.Replace(routeOf(object.KindHTTPRoute, "a.set.org", toSet), `"True"`, "Unknown", 1),
			options:  config.Options{IgnoreAccepted: true},
			want:     []string{"a.set.org. -> 10.0.0.5"},
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

// G50: only a Gateway of the Gateway API's own group is a parent.
func TestListenerSetParent(t *testing.T) {
	for group, want := range map[string]string{"": "Gateway infra/gw", "group: gateway.networking.k8s.io, ": "Gateway infra/gw", "group: example.org, ": "example.org/Gateway infra/gw", "kind: Service, ": "Service infra/gw"} {
		set := object.NewListenerSet(object.KindListenerSet)(customObject(t, "metadata: {name: set, namespace: shop}\nspec: {parentRef: {"+group+"name: gw, namespace: infra}}"), nil)
		if got := set.Parent.String(); got != want {
			t.Errorf("%q: got %s, want %s", group, got, want)
		}
	}
}
