package translator

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// A Service's names cost nothing that has to do with claims, unless a claim depends on it.
func TestPublishConcerned(t *testing.T) {
	b := newBench(t, config.Options{})
	resolved := 0 // once for the one host each time
	b.tr.hooks.Covered = func(string) bool { resolved++; return true }
	b.services().Update(testService("shop/web", 1, ""))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
	ingress := testIngress("shop/i", "a.ex.org")
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "web.shop.minilb"}}
	b.watcher.Ingresses("").Update(ingress)
	b.sync()
	b.want("a.ex.org.", "10.0.0.1")
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"another Service", func() { b.services().Update(testService("shop/api", 1, "")) }, 0},
		{"it goes", func() { b.services().Delete(testService("shop/api", 1, "")) }, 0},
		{"it claims a host", func() { b.services().Update(testService("shop/api", 1, "b.ex.org")) }, 1},
		{"it claims no more", func() { b.services().Update(testService("shop/api", 1, "")) }, 0},
		{"the Service behind the host", func() { b.services().Delete(testService("shop/web", 1, "")) }, 0}, // for which nothing is left
		{"it comes back", func() { b.services().Update(testService("shop/web", 1, "")) }, 1},
		{"nothing", func() {}, 0},
	} {
		resolved = 0
		step.do()
		b.publish()
		if resolved != step.want {
			t.Errorf("%s: %d hosts were resolved, want %d", step.what, resolved, step.want)
		}
	}
	b.want("a.ex.org.", "10.0.0.1")
	b.want("web.shop.minilb.", "10.0.0.1")
	b.want("api.shop.minilb.", "")
}

// D12: what stands between a zone and one that lies in it exists, so that no wildcard covers it.
func TestPublishBetweenZones(t *testing.T) {
	b := newBench(t, config.Options{Zones: []string{"minilb.", "a.b.c.minilb."}})
	wildcard, alias := testIngress("c/i", "*.c.minilb"), testIngress("c/j", "z.ex.org")
	wildcard.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.0.1"}}
	alias.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "x.b.c.minilb"}}
	b.watcher.Ingresses("").Update(wildcard)
	b.watcher.Ingresses("").Update(alias)
	b.sync()
	b.want("x.c.minilb.", "10.9.0.1")
	b.want("x.b.c.minilb.", "-")
	b.want("z.ex.org.", "-")
}
