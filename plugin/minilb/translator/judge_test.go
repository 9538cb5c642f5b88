package translator

import (
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// A route is not judged anew for what does not concern it.
func TestAttachedUnconcerned(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	gateway, route := object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}
	b.set(gateway, strings.Split(gatewayWith(open), "---")[1])
	b.set(route, routeOf(object.KindHTTPRoute, "a.ex.org", toGateway))
	b.publish()
	before := b.tr.routes.Claims(route)[0]
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "other"}, "metadata: {name: other, namespace: infra}")
	b.set(object.KindName{Kind: "Namespace", Namespace: "", Name: "other"}, "metadata: {name: other}")
	b.publish()
	if b.tr.routes.Claims(route)[0] != before {
		t.Error("it was judged anew")
	}
	b.set(gateway, strings.Split(gatewayWith(open+", x: y"), "---")[1]) // what is not read is no change
	b.publish()
	if b.tr.routes.Claims(route)[0] != before {
		t.Error("it was judged anew without a change")
	}
	b.set(gateway, strings.Replace(strings.Split(gatewayWith(open), "---")[1], "10.0.0.5", "10.0.0.6", 1))
	b.publish()
	b.want("a.ex.org.", "10.0.0.6")
}

// G53: what happens to one ListenerSet decides on another's.
func TestAttachedOlderSet(t *testing.T) {
	b := newAttachedBench(t, config.Options{IgnoreAccepted: true})
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, strings.Split(gatewayWith(letsIn), "---")[1])
	set := func(namespace, created, host string) {
		b.set(object.KindName{Kind: object.KindListenerSet, Namespace: namespace, Name: "set"}, fmt.Sprintf("metadata: {name: set, namespace: %s, creationTimestamp: %q}\n"+
			"spec: {parentRef: {name: gw, namespace: infra}, listeners: [{name: l, port: 81, protocol: HTTP, hostname: %s}]}", namespace, created, host))
		b.publish()
	}
	set("young", "2026-06-01T00:00:00Z", "a.org")
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "young", Name: "r"}, "metadata: {name: r, namespace: young}\nspec: {hostnames: [a.org], parentRefs: [{kind: ListenerSet, name: set}]}")
	b.publish()
	b.want("a.org.", "10.0.0.5")
	set("old", "2026-05-01T00:00:00Z", "a.org")
	b.want("a.org.", "-")
	set("old", "2026-05-01T00:00:00Z", "b.org")
	b.want("a.org.", "10.0.0.5")
	set("old", "2026-05-01T00:00:00Z", "a.org")
	b.want("a.org.", "-")
	b.set(object.KindName{Kind: object.KindListenerSet, Namespace: "old", Name: "set"}, "")
	b.publish()
	b.want("a.org.", "10.0.0.5")
}

// What is said of a parent follows what of its kind is served and may be read.
func TestAttachedUnread(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	to := func(state informer.State) func() {
		return func() { b.watcher.ListenerSets(object.KindListenerSet, "").Set(state) }
	}
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, "a.org", toSet))
	for _, step := range []struct {
		change func()
		want   string
	}{
		{to(informer.Forbidden), `I HTTPRoute shop/r: host "a.org" is not served: ListenerSet shop/set cannot be read`},
		{func() {}, ""},
		{to(informer.Listed), `I HTTPRoute shop/r: host "a.org" is not served: ListenerSet shop/set does not exist`},
		{to(informer.Forbidden), `I HTTPRoute shop/r: host "a.org" is not served: ListenerSet shop/set cannot be read`},
		{to(informer.NotServed), `I HTTPRoute shop/r: host "a.org" is not served: ListenerSet shop/set does not exist: the API server does not serve its kind`},
	} {
		step.change()
		if got := strings.Join(b.publish(), " "); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

// M8: what happens to an object that is to be ignored is not published, but for that it is there (G20b).
func TestAttachedIgnoredUnchanged(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	b.pending()
	for _, step := range []struct {
		manifest string
		news     bool
	}{{"spec: {gatewayClassName: a}", true}, {"spec: {gatewayClassName: b}", false}, {"", true}} {
		if step.manifest != "" {
			step.manifest = "metadata: {name: gw, namespace: infra, labels: {minilb/ignore: 'true'}}\n" + step.manifest
		}
		if b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, step.manifest); b.pending() != step.news {
			t.Errorf("%q is to be published: want %v", step.manifest, step.news)
		}
	}
}

// G20b: a parent that is ignored is not called absent, and is found once it is not ignored any longer.
func TestAttachedIgnoredParents(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	parts := strings.Split(gatewayWith(open), "---")
	ignored := func(manifest string) string {
		return strings.Replace(manifest, "namespace: infra}", "namespace: infra, labels: {minilb/ignore: 'true'}}", 1)
	}
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, "a.org", toGateway))
	const is, absent = `I HTTPRoute shop/r: host "a.org" is not served: Gateway infra/gw has label minilb/ignore or k8s-gateway.dns/ignore, which makes it absent`,
		`I HTTPRoute shop/r: host "a.org" is not served: Gateway infra/gw does not exist`
	for i, step := range []struct{ manifest, log, addrs string }{
		{"", absent, "-"}, {ignored(parts[1]), is, "-"}, {parts[1], "", "10.0.0.5"}, {ignored(parts[1]), is, "-"}, {"", absent, "-"},
	} {
		b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, step.manifest)
		if got := strings.Join(b.publish(), " "); got != step.log {
			t.Errorf("step %d: got %q, want %q", i, got, step.log)
		}
		b.want("a.org.", step.addrs)
	}
}

// C2: claims of one namespace do not wait for those of another that is read on its own.
func TestUnlistedNamespace(t *testing.T) {
	b := newBench(t, config.Options{Namespaces: []string{"a", "b"}})
	for _, namespace := range []string{"a", "b"} {
		b.watcher.Services(namespace).Set(informer.Listed)
		b.watcher.EndpointSlices(namespace).Set(informer.Listed)
		i := testIngress(namespace+"/i", namespace+".org")
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.9"}}
		b.watcher.Ingresses(namespace).Add(i)
	}
	b.watcher.Ingresses("a").Set(informer.Listed)
	b.publish()
	b.want("a.org.", "10.0.0.9")
	b.want("b.org.", "-")
}
