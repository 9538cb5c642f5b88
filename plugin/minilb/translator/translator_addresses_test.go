package translator

import (
	"net/netip"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// unusable are addresses that no name may lead to, in all spellings that an object can have.
var unusable = []string{
	"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0:127.0.0.1",
	"64:ff9b:1::127.0.0.1", "64:ff9b:1:2:3:4:7f00:1", "64:ff9b:1:7f00:0:100::", "64:ff9b:1::169.254.169.254", "64:ff9b:1::",
	"169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
	"224.0.0.1", "239.255.255.250", "ff02::1", "ff01::1", "ff05::2", "ff0e::1", "::ffff:224.0.0.1",
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "::", "::ffff:0.0.0.0", "64:ff9b::",
	"255.255.255.255", "::ffff:255.255.255.255",
}

// Whichever way an address comes in, an unusable one is left out and counted.
func TestUnusableEverywhere(t *testing.T) {
	for _, written := range unusable {
		b := newBench(t, config.Options{Gateways: true})
		b.services().Update(testService("shop/web", 1, ""))
		family := discoveryv1.AddressTypeIPv6
		if netip.MustParseAddr(written).Is4() {
			family = discoveryv1.AddressTypeIPv4
		}
		b.watcher.EndpointSlices("").Update(&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: family,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{written}}},
		})
		obj := testIngress("shop/i", "i.ex.org")
		obj.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: written}}
		b.watcher.Ingresses("").Update(obj)
		b.sync()
		for _, name := range []string{"web.shop.minilb.", "i.ex.org."} {
			if got := b.addrs(name); got != "" && got != "-" {
				t.Errorf("%s leads to %s", name, got)
			}
		}
		if got := b.tr.Stats().Rejected[string(object.ReasonInvalid)]; got != 2 {
			t.Errorf("%s: %d refusals, want one of the slice and one of the Ingress", written, got)
		}
		for _, kind := range []string{"IPAddress", "Hostname"} {
			g := object.NewGateway(customObject(t, `{metadata: {name: g, namespace: shop}, status: {addresses: [{type: `+kind+`, value: "`+written+`"}]}}`), nil)
			if len(g.Targets.List) != 0 || len(g.Targets.Problems) != 1 {
				t.Errorf("a Gateway's %s %s: got %v, %v", kind, written, g.Targets.List, g.Targets.Problems)
			}
		}
	}
}

// D34: property addresses names the networks of addresses because of a status, and of no others. One that is left out costs
// itself alone, and is said once and counted.
func TestAddresses(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("127.0.0.0/8")}
	b := newAttachedBench(t, config.Options{Addresses: networks})
	b.services().Update(testService("shop/web", 1, "w.ex.org"))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
	at := func(id, host string, entries ...networkingv1.IngressLoadBalancerIngress) {
		i := testIngress(id, host)
		i.Status.LoadBalancer.Ingress = entries
		b.watcher.Ingresses("").Update(i)
	}
	ip := func(written string) networkingv1.IngressLoadBalancerIngress {
		return networkingv1.IngressLoadBalancerIngress{IP: written}
	}
	at("shop/some", "some.ex.org", ip("192.168.1.7"), ip("10.96.0.1"), ip("fd00:2::7"))
	at("shop/none", "none.ex.org", ip("10.96.0.1"))
	at("shop/pods", "pods.ex.org", networkingv1.IngressLoadBalancerIngress{Hostname: "web.shop.minilb"})
	gateway := strings.Split(gatewayWith(open), "---")[1] // at 10.0.0.5
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, gateway)
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, "r.ex.org", toGateway))
	lines := strings.Join(b.publish(), "\n")
	for name, want := range map[string]string{
		"some.ex.org.": "192.168.1.7", "none.ex.org.": "-", "pods.ex.org.": "10.0.0.1", "w.ex.org.": "10.0.0.1", "web.shop.minilb.": "10.0.0.1", "r.ex.org.": "-",
	} {
		b.want(name, want)
	}
	for text, want := range map[string]int{
		`Ingress shop/some: status address "10.96.0.1" is left out: it lies in no network of the Corefile's property addresses`: 1,
		`Ingress shop/some: status address "fd00:2::7" is left out`:                                                             1,
		`Ingress shop/none: status address "10.96.0.1" is left out`:                                                             1,
		`Ingress shop/none: host "none.ex.org" is not served: its status has no address in a network`:                           1,
		`Gateway infra/gw: status address "10.0.0.5" is left out`:                                                               1,
		`HTTPRoute shop/r: host "r.ex.org" is not served: `:                                                                     1,
		"is left out": 4,
	} {
		if got := strings.Count(lines, text); got != want {
			t.Errorf("%q: %d times, want %d, in\n%s", text, got, want, lines)
		}
	}
	if got := b.tr.Stats().Rejected[string(object.ReasonInvalid)]; got != 4 {
		t.Errorf("%d are counted, want 4", got)
	}
	if again := b.publish(); len(again) > 0 {
		t.Errorf("said again: %q", again)
	}
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, strings.Replace(gateway, "10.0.0.5", "192.168.1.5", 1))
	b.publish()
	b.want("r.ex.org.", "192.168.1.5")
}
