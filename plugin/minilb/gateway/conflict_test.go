package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// G53: where nobody has judged the listeners, the Gateway's own go before those of sets, and
// an older set's before a younger one's.
func TestListenerPrecedence(t *testing.T) {
	set := func(name, created, listener string) string {
		return fmt.Sprintf("\nkind: ListenerSet\nmetadata: {name: %s, namespace: shop, creationTimestamp: %q}\n"+
			"spec: {parentRef: {name: gw, namespace: infra}, listeners: [%s]}\n---\n", name, created, listener)
	}
	const may, june = "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"
	for _, tc := range []struct {
		name, older, younger string
		first, second        string // the sets' listeners
		want                 string // the sets that have one, by what their routes are told
	}{
		{"different hosts", may, june, "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "{name: l, port: 81, protocol: HTTP, hostname: b.org}", "one two"},
		{"different ports", may, june, "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "{name: l, port: 82, protocol: HTTP, hostname: a.org}", "one two"},
		{"the same", may, june, "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "one"},
		{"the same, the other older", june, may, "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "two"},
		{"the same age", may, may, "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "one"},
		{"another protocol", may, june, "{name: l, port: 81, protocol: HTTP, hostname: a.org}", "{name: l, port: 81, protocol: HTTPS, hostname: b.org}", "one"},
		{"protocols that share a port", may, june, "{name: l, port: 81, protocol: TLS, hostname: b.org}", "{name: l, port: 81, protocol: HTTPS, hostname: a.org}", "two"},
		{"the Gateway's", may, june, "{name: l, port: 80, protocol: HTTP, hostname: gateway.org}", "{name: l, port: 80, protocol: HTTP, hostname: a.org}", "two"},
		{"one that lost to the Gateway", may, june, "{name: l, port: 80, protocol: HTTPS, hostname: b.org}", "{name: l, port: 80, protocol: HTTP, hostname: b.org}", "two"},
		{"UDP", may, june, "{name: l, port: 81, protocol: UDP}", "{name: l, port: 81, protocol: HTTPS, hostname: b.org}", "two"},
		{"open ports", may, june, "{name: l, protocol: HTTP, hostname: a.org}", "{name: l, protocol: HTTP, hostname: a.org}", "one two"},
	} {
		manifest := gatewayWith(letsIn) + set("one", tc.older, tc.first) + set("two", tc.younger, tc.second)
		for _, name := range []string{"one", "two"} {
			manifest += fmt.Sprintf("\nkind: HTTPRoute\nmetadata: {name: %s, namespace: shop}\nspec: {parentRefs: [{kind: ListenerSet, name: %s}]}\n---\n", name, name)
		}
		objects := testObjects(t, manifest)
		objects.options = &config.Options{IgnoreAccepted: true}
		objects.Recompute(nil, none)
		var got []string
		for _, name := range []string{"one", "two"} {
			claims := objects.Claims(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: name})
			if len(claims) > 0 && len(claims[0].List) > 0 {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// G53: a listener that its controller has judged neither loses its port nor takes another's if
// it was refused; and a ListenerSet that has no Gateway takes nobody's.
func TestListenerPrecedenceJudged(t *testing.T) {
	const younger = `
kind: ListenerSet
metadata: {name: two, namespace: shop, creationTimestamp: "2026-06-01T00:00:00Z"}
spec: {parentRef: {name: gw, namespace: infra}, listeners: [{name: l, port: 81, protocol: HTTP, hostname: a.org}]}
status: {listeners: [{name: l, conditions: [%s]}]}
---
kind: HTTPRoute
metadata: {name: two, namespace: shop}
spec: {parentRefs: [{kind: ListenerSet, name: two}]}
---
`
	const older = `
kind: ListenerSet
metadata: {name: one, namespace: shop, creationTimestamp: "2026-05-01T00:00:00Z"}
spec: {parentRef: {%s}, listeners: [{name: l, port: 81, protocol: HTTP, hostname: a.org}]}
status: {listeners: [{name: l, conditions: [%s]}]}
---
`
	const (
		toGateway = "name: gw, namespace: infra"
		yes       = `{type: Accepted, status: "True"}`
		no        = `{type: Accepted, status: "False"}`
		conflict  = `{type: Conflicted, status: "True"}`
	)
	const lost = `it is not served: listener "l" of ListenerSet shop/two conflicts with an older one`
	for _, tc := range []struct {
		name, parent, older, younger string
		want                         string // what is said of the younger, "" if it is served
	}{
		{"not judged", toGateway, "", "", lost},
		{"the older accepted", toGateway, yes, "", lost},
		{"the older refused", toGateway, no, "", ""},
		{"the older in conflict", toGateway, conflict, "", ""},
		{"the younger accepted", toGateway, "", yes, ""},
		{"the older of a Service", "group: '', kind: Service, name: gw, namespace: infra", "", "", ""},
		{"the older of a Gateway that is not there", "name: gone, namespace: infra", "", "", ""},
	} {
		want := []string{"a.org. -> 10.0.0.5"}
		if tc.want != "" {
			want = []string{"!HTTPRoute shop/two: " + tc.want}
		}
		objects := testObjects(t, gatewayWith(letsIn)+fmt.Sprintf(older, tc.parent, tc.older)+fmt.Sprintf(younger, tc.younger))
		if got := told(objects, config.Options{IgnoreAccepted: true}); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
	}
}
