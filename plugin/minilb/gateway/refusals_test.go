package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Of the parents that do not take a route, the first few are spoken of, each once and in a line.
func TestAttachmentRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, manifest string
		want           string
	}{
		{"several", routeOf(object.KindHTTPRoute, "a.org", "{name: p}", "{name: p, port: 1}", "{name: q}", "{name: r}", "{name: s}"),
			"a.org.: Gateway shop/p does not exist; Gateway shop/q does not exist; Gateway shop/r does not exist"},
		{"a reason of several lines", gatewayWith(open) + strings.Replace(routeOf(object.KindHTTPRoute, "a.org", toGateway), `status: "True"`, `status: "False", reason: "No\n[ERROR] forged"`, 1),
			`a.org.: the controller of Gateway infra/gw does not accept it ("No\n[ERROR] forged")`},
		{"a long name", gatewayWith(strings.Replace(open, "name: http", "name: "+strings.Repeat("x", 200), 1)) + routeOf(object.KindTLSRoute, "a.org", toGateway),
			`a.org.: listener "` + strings.Repeat("x", 77) + `…" of Gateway infra/gw takes no TLSRoute`},
	} {
		if got := told(testObjects(t, tc.manifest), config.Options{}); !slices.Equal(got, []string{tc.want}) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// Hosts that are not served are named as long as there are but a few.
func TestDeadClaim(t *testing.T) {
	var hosts []string
	for i := range object.MaxLines + 1 {
		hosts = append(hosts, fmt.Sprintf("h%d.org", i))
	}
	r := &object.Route{Kind: object.KindHTTPRoute}
	problems := unservedClaim(r, hosts[:object.MaxLines], "why").Problems
	if last := problems[len(problems)-1]; len(problems) != object.MaxLines || last.Hosts != 0 {
		t.Errorf("got %d lines of %d hosts, the last %q", len(problems), object.MaxLines, last.Text)
	}
	problems = unservedClaim(r, hosts, "why").Problems
	if last := problems[len(problems)-1]; len(problems) != object.MaxLines || last.Text != "2 more hosts are not served: why" || last.Hosts != 2 {
		t.Errorf("got %d lines of %d hosts, the last %q", len(problems), len(hosts), last.Text)
	}
	for want, hosts := range map[string][]string{`host "a.org" is not served: why`: {"", "a.org"}, "it is not served: why": {""}} { // G30: "" is any host, and no name
		if problems := unservedClaim(r, hosts, "why").Problems; len(problems) != 1 || problems[0].Text != want {
			t.Errorf("%q: got %v, want %q", hosts, problems, want)
		}
	}
}

// G14: the group of a kind that a listener allows or supports defaults to the Gateway API's.
func TestListenerKindsGroup(t *testing.T) {
	objects := testObjects(t, gatewayWith(`listeners: [{name: a, port: 1, protocol: HTTP, hostname: a.org, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}}]`)+routeOf(object.KindHTTPRoute, "", toGateway))
	if got := told(objects, config.Options{}); !slices.Equal(got, []string{"a.org. -> 10.0.0.5"}) {
		t.Errorf("got %q", got)
	}
}

// C4: all hosts that lead to the same are in one claim, whichever they stand next to.
func TestAttachmentClaims(t *testing.T) {
	objects := testObjects(t, gatewayWith(open)+strings.Replace(fmt.Sprintf(gw, `listeners: [{name: b, port: 80, protocol: HTTP, hostname: b.org, allowedRoutes: {namespaces: {from: All}}}]`), "infra", "two", 1)+
		routeOf(object.KindHTTPRoute, "a.org, b.org, c.org, d.org", toGateway, "{name: gw, namespace: two}"))
	objects.Recompute(nil, none)
	var got []string
	for _, c := range objects.Claims(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}) {
		got = append(got, strings.Join(c.Hosts, " "))
	}
	if want := []string{"a.org. c.org. d.org.", "b.org."}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An object that has more of anything than the API server allows is cut.
func TestBounds(t *testing.T) {
	list := func(format string, n int) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(format, i))
		}
		return strings.Join(items, ", ")
	}
	for _, tc := range []struct{ written, taken [3]int }{
		{[3]int{object.MaxHosts, object.MaxParents, object.MaxListeners}, [3]int{object.MaxHosts, object.MaxParents, object.MaxListeners}},
		{[3]int{object.MaxHosts + 1, object.MaxParents + 1, object.MaxListeners + 1}, [3]int{object.MaxHosts, object.MaxParents, object.MaxListeners}},
	} {
		hosts, parents, listeners := tc.written[0], tc.written[1], tc.written[2]
		r := object.NewRoute(object.KindTLSRoute)(customObject(t, fmt.Sprintf("{metadata: {name: r, namespace: shop}, spec: {hostnames: [%s], parentRefs: [%s]}, status: {parents: [%s]}}",
			list("h%d.org", hosts), list("{name: p%d}", parents), list("{parentRef: {name: p%d}}", parents))), nil)
		if got := [3]int{len(r.Hosts), len(r.Parents), len(r.Statuses)}; got != [3]int{tc.taken[0], tc.taken[1], tc.taken[1]} {
			t.Errorf("got %v hosts, parents and verdicts of %v", got, tc.written)
		}
		g := object.NewGateway(customObject(t, fmt.Sprintf("{metadata: {name: g, namespace: shop}, spec: {listeners: [%s]}, status: {addresses: [%s]}}",
			list("{name: l%d}", listeners), list("{value: 10.0.1.%d}", object.MaxTargets)+", {value: 10.0.2.1}")), nil)
		if len(g.Listeners) != tc.taken[2] || len(g.Targets.List) != object.MaxTargets {
			t.Errorf("got %d listeners and %d addresses", len(g.Listeners), len(g.Targets.List))
		}
	}
}
