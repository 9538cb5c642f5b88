package translator

import (
	"fmt"
	"net/netip"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// What cannot be read is not held against those who lead there (G7, D72).
func TestTranslatorPartial(t *testing.T) {
	b := newBench(t, config.Options{})
	i := testIngress("shop/i", "a.ex.org", "b.ex.org")
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "web.shop.minilb"}}
	b.watcher.Ingresses("").Update(i)
	j := testIngress("shop/j", "c.ex.org")
	j.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}
	b.watcher.Ingresses("").Update(j)
	b.services().Update(testService("shop/web", 1, "d.ex.org"))
	b.services().Set(informer.Listed)
	b.watcher.LabelledServices("").Set(informer.Listed)
	b.watcher.Ingresses("").Set(informer.Listed)
	b.watcher.EndpointSlices("").Set(informer.Forbidden)
	if lines := b.publish(); len(lines) != 0 {
		t.Errorf("got %q, want no line about what cannot be read", lines)
	}
	b.want("c.ex.org.", "10.0.0.1")
	b.want("a.ex.org.", "-")
	b.want("d.ex.org.", "-")
	if result, _ := b.index.Lookup("minilb.", "web.shop.minilb."); result != records.NotSynced {
		t.Errorf("in the zone: got %d, want NotSynced", result)
	}
}

// C5: whatever the order of events, the result is that of the objects.
func TestTranslatorOrder(t *testing.T) {
	r := seeded(t)
	for round := range 30 {
		b := newBench(t, config.Options{})
		final := map[string]func(*bench){}
		var names []string
		for range 300 {
			ns, name, addr := fmt.Sprintf("n%d", r.IntN(3)), fmt.Sprintf("s%d", r.IntN(4)), fmt.Sprintf("10.0.%d.%d", r.IntN(3), r.IntN(5)+1)
			host, created := fmt.Sprintf("h%d.ex.org", r.IntN(4)), int64(r.IntN(3))
			names = append(names, name+"."+ns+".minilb.", host+".")
			var id string
			var event func(*bench)
			switch id = ns + "/" + name; r.IntN(6) {
			case 0:
				id, event = "service "+id, func(b *bench) { b.services().Update(testService(ns+"/"+name, created, host)) }
			case 1:
				id, event = "service "+id, func(b *bench) { b.services().Delete(testService(ns+"/"+name, 1, "")) }
			case 2:
				id, event = "slice "+id, func(b *bench) { b.watcher.EndpointSlices("").Update(serviceSlice(ns+"/"+name, name+"-1", addr+" RSt")) }
			case 3:
				id, event = "slice "+id, func(b *bench) { b.watcher.EndpointSlices("").Delete(serviceSlice(ns+"/"+name, name+"-1")) }
			case 4:
				target := []string{addr, "h1.ex.org", "h2.ex.org", "s1.n1.minilb", "lb.aws.com"}[r.IntN(5)]
				id, event = "ingress "+id, func(b *bench) {
					i := testIngress(ns+"/"+name, host)
					i.CreationTimestamp = metav1.Unix(created, 0)
					if _, err := netip.ParseAddr(target); err == nil {
						i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: target}}
					} else {
						i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: target}}
					}
					b.watcher.Ingresses("").Update(i)
				}
			case 5:
				id, event = "ingress "+id, func(b *bench) { b.watcher.Ingresses("").Delete(testIngress(ns+"/"+name, "")) }
			}
			event(b)
			if r.IntN(10) == 0 {
				b.sync()
			}
			final[id] = event
		}
		b.sync()
		scratch := newBench(t, config.Options{})
		for _, event := range final {
			event(scratch)
		}
		scratch.sync()
		for _, name := range names {
			if got, want := b.addrs(name), scratch.addrs(name); got != want {
				t.Fatalf("round %d: %s: got %q, an index made from scratch has %q", round, name, got, want)
			}
		}
		if got, want := b.tr.Stats(), scratch.tr.Stats(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: got %v, want %v", round, got, want)
		}
	}
}
