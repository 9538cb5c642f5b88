package explain

import (
	"strings"
	"testing"
)

// What real controllers write, and what people get wrong with them: the cause is in one line. G20, G20b, G21, G42, M8
func TestExplainGateways(t *testing.T) {
	const minilb = ". {\n minilb minilb\n}"
	const none = "minilb has no such name and passes it on to the plugin that follows, such as forward. It is asked for by 1 object, of which none counts: see why below."
	const pods = "It is answered with 2 IPv4 addresses and no IPv6 address."
	all := web + gateway
	at := func(address string) string { return strings.Replace(all, "value: web.shop.minilb", address, 1) }
	with := func(status string) string { return all + route + "\nstatus: {parents: [" + status + "]}" }
	edge := `
---
apiVersion: v1
kind: Service
metadata: {namespace: edge, name: envoy}
spec: {type: ClusterIP, clusterIP: 10.96.72.32, clusterIPs: [10.96.72.32, "fd00:96::20"]}
`
	const yes = `conditions: [{type: Accepted, status: "True"}]`
	for _, tc := range []struct {
		name, corefile, manifest string
		summary, cause, why      string // of its parent, or of the claim where the route is attached
	}{
		{"NGINX Gateway Fabric", minilb, with("{parentRef: {namespace: shop, name: gw, sectionName: http}, controllerName: example.org/gc, " + yes + "}"), pods, "", ""},
		{"Kong", minilb, strings.Replace(with("{parentRef: {group: gateway.networking.k8s.io, kind: Gateway, namespace: shop, name: gw}, controllerName: example.org/gc, "+yes+"}"), "parentRefs: [{name: gw}]", "parentRefs: [{name: gw, port: 80}]", 1), pods, "", ""},

		{"no controller", minilb, all + route, none, "NoStatus", `the route's status has no entry for Gateway shop/gw: is controller "example.org/gc" of GatewayClass "gc" running?`},
		{"no class", minilb, strings.Replace(all, "gatewayClassName: gc", "gatewayClassName: nobody", 1) + route, none, "NoStatus", `the route's status has no entry for Gateway shop/gw: GatewayClass "nobody" does not exist`},
		{"another controller", minilb, with("{parentRef: {name: gw}, controllerName: example.org/b, " + yes + "}"), none, "OtherController", `it is accepted by controller "example.org/b", but GatewayClass "gc" of Gateway shop/gw names controller "example.org/gc"`},
		{"refused", minilb, with("{parentRef: {name: gw}, controllerName: example.org/gc, conditions: [{type: Accepted, status: \"False\", reason: NotAllowedByListeners, message: no listener takes it}]}"), none, "Refused",
			"the controller of Gateway shop/gw does not accept it (NotAllowedByListeners: no listener takes it)"},
		{"ignored", minilb, strings.Replace(all, "name: gw}\nspec", "name: gw, labels: {minilb/ignore: \"true\"}}\nspec", 1) + route, none, "Ignored", "Gateway shop/gw has label minilb/ignore or k8s-gateway.dns/ignore, which makes it absent"},
		{"misspelt", minilb, all + strings.Replace(route, "{name: gw}", "{name: gateway-a}", 1) + strings.Replace(gateway[strings.LastIndex(gateway, "\n---\n"):], "name: gw", "name: gatewya-a", 1), none, "Absent", "Gateway shop/gateway-a does not exist; there is shop/gatewya-a"},
		{"of another namespace", minilb, strings.ReplaceAll(all, "namespace: shop, name: gw", "namespace: edge, name: gw") + route, none, "Absent", "Gateway shop/gw does not exist; there is edge/gw"},
		{"outside of the namespaces", ". {\n minilb minilb {\n  namespaces shop\n }\n}", strings.ReplaceAll(all, "namespace: shop, name: gw", "namespace: edge, name: gw") + strings.Replace(route, "{name: gw}", "{name: gw, namespace: edge}", 1), none, "OutsideNamespaces",
			"Gateway edge/gw lies outside of the namespaces that are read"},
		{"another kind", minilb, all + strings.Replace(route, "{name: gw}", "{kind: Gatway, name: gw}", 1), none, "UnknownKind", `its parentRef has kind "Gatway" of group "gateway.networking.k8s.io", want Gateway`},
		{"of no listener", minilb, strings.NewReplacer("*.g.ex.org", "*.h.ex.org", "[r.g.ex.org]", "[x.h.ex.org, r.g.ex.org]").Replace(all + route + accepted), none, "",
			`host "r.g.ex.org" is not served: no listener of Gateway shop/gw has a hostname for it: "http" has *.h.ex.org, "admin" has admin.ex.org`},

		{"the cluster's own name", minilb, at("value: gw-istio.shop.svc.corp.internal") + route + accepted, none, "", `Gateway shop/gw: its address "gw-istio.shop.svc.corp.internal" can be reached in the cluster alone; annotation minilb/service can name a Service instead`},
		{"the cluster's own name, of another namespace", minilb, at("value: envoy.edge.svc.corp.internal") + edge + route + accepted,
			"It is an alias of envoy.edge.svc.corp.internal, which is not ours: the server looks that up and gives its addresses. Address envoy.edge.svc.corp.internal is the cluster's own name of Service edge/envoy, which clients outside of the cluster do not reach.", "",
			"its address envoy.edge.svc.corp.internal is the cluster's own name of Service edge/envoy, which clients outside of the cluster do not reach: annotation minilb/service can name a Service of class minilb instead"},
		{"a ClusterIP", minilb, strings.Replace(at("value: 10.96.72.32"), "type: Hostname", "type: IPAddress", 1) + edge + route + accepted,
			"It is answered with 1 IPv4 address and no IPv6 address. Address 10.96.72.32 is the ClusterIP of Service edge/envoy, which clients outside of the cluster do not reach.", "",
			"its address 10.96.72.32 is the ClusterIP of Service edge/envoy, which clients outside of the cluster do not reach: annotation minilb/service can name a Service of class minilb instead"},
		{"an Ingress at a ClusterIP", minilb, web + edge + ingress("shop/i", "r.g.ex.org", `ip: "fd00:96::20"`),
			"It is answered with no IPv4 address and 1 IPv6 address. Address fd00:96::20 is the ClusterIP of Service edge/envoy, which clients outside of the cluster do not reach.", "", "its address fd00:96::20 is the ClusterIP"},
	} {
		x := newCluster(t, tc.corefile, tc.manifest).explain(t, "r.g.ex.org")
		if x.Summary != tc.summary || len(x.Claims) != 1 {
			t.Errorf("%s: got\n%s\nwant\n%s\nand claims %+v", tc.name, x.Summary, tc.summary, x.Claims)
			continue
		}
		claim := x.Claims[0]
		cause, why := "", claim.Message
		if len(claim.Parents) == 1 && claim.Parents[0].Cause != "" {
			cause, why = string(claim.Parents[0].Cause), claim.Parents[0].Message
		}
		if cause != tc.cause || !strings.Contains(why, tc.why) || tc.why == "" && why != "" {
			t.Errorf("%s: got %s: %s\nwant %s: %s", tc.name, cause, why, tc.cause, tc.why)
		}
	}
	// A route without parentRefs.
	x := newCluster(t, minilb, all+strings.Replace(route, "parentRefs: [{name: gw}]", "parentRefs: []", 1)).explain(t, "r.g.ex.org")
	if want := `host "r.g.ex.org" is not served: it has no parentRefs: name the Gateway that is to serve it`; len(x.Claims) != 1 || x.Claims[0].Message != want {
		t.Errorf("got %+v, want %q", x.Claims, want)
	}
}
