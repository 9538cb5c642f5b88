package translator

import (
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// BenchmarkPublish is what a change costs beside so many Services, and so many hosts of Ingresses
// that lead to them.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []struct{ services, hosts int }{{100, 100}, {10_000, 100}, {10_000, 10_000}} {
		w := newBench(b, config.Options{})
		for i := range size.services {
			name := fmt.Sprintf("shop/s%05d", i)
			w.services().Update(testService(name, 1, ""))
			w.watcher.EndpointSlices("").Update(serviceSlice(name, name[len("shop/"):], "10.0.0.1 RSt", "10.0.0.2 RSt", "10.0.0.3 RSt"))
		}
		ingress := func(i int, host string) *networkingv1.Ingress {
			obj := testIngress(fmt.Sprintf("shop/i%05d", i), host)
			obj.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: fmt.Sprintf("s%05d.shop.minilb", i%size.services)}}
			return obj
		}
		for i := range size.hosts {
			w.watcher.Ingresses("").Update(ingress(i, fmt.Sprintf("h%05d.ex.org", i)))
		}
		w.sync()
		for _, change := range []struct {
			kind string
			make func(i int)
		}{
			{"slice", func(i int) {
				w.watcher.EndpointSlices("").Update(serviceSlice("shop/s00001", "s00001", fmt.Sprintf("10.0.1.%d RSt", i%250)))
			}},
			{"service", func(i int) {
				if i%2 == 0 {
					w.services().Update(testService("shop/new", 1, ""))
				} else {
					w.services().Delete(testService("shop/new", 1, ""))
				}
				w.publish()
			}},
			{"ingress", func(i int) {
				w.watcher.Ingresses("").Update(ingress(0, fmt.Sprintf("other%d.ex.org", i%2)))
				w.publish()
			}},
		} {
			b.Run(fmt.Sprintf("%s/services=%d/hosts=%d", change.kind, size.services, size.hosts), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					change.make(i)
				}
			})
		}
	}
}

// BenchmarkClaimChange is what a change of what one Ingress claims costs beside 20,000 hosts, until it is answered.
func BenchmarkClaimChange(b *testing.B) {
	w := newBench(b, config.Options{})
	w.services().Update(testService("shop/web", 1, ""))
	w.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web", "10.0.0.1 RSt"))
	update := func(i int, host string, addresses ...networkingv1.IngressLoadBalancerIngress) {
		obj := testIngress(fmt.Sprintf("n%02d/i%05d", i%100, i), host)
		obj.Status.LoadBalancer.Ingress = addresses
		w.watcher.Ingresses("").Update(obj)
	}
	web := networkingv1.IngressLoadBalancerIngress{Hostname: "web.shop.minilb"}
	for i := range 20_000 {
		update(i, fmt.Sprintf("h%05d.ex.org", i), web)
	}
	w.sync()
	for name, change := range map[string]func(i int){
		"host": func(i int) { update(0, fmt.Sprintf("other%d.ex.org", i%2), web) },
		"address": func(i int) {
			update(0, "h00000.ex.org", networkingv1.IngressLoadBalancerIngress{IP: fmt.Sprintf("10.9.0.%d", i%250)})
		},
		"none": func(i int) { update(0, "h00000.ex.org", []networkingv1.IngressLoadBalancerIngress{web}[:i%2]...) },
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				change(i)
				w.publish()
			}
		})
	}
}
