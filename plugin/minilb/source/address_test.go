package source

import (
	"net/netip"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

func TestUsable(t *testing.T) {
	for _, written := range unusable {
		addr := netip.MustParseAddr(written)
		if Usable(addr) {
			t.Errorf("%s is usable", written)
		}
	}
	for _, written := range []string{
		"10.0.0.1", "100.64.0.1", "192.168.1.255", "1.0.0.1", "126.255.255.255", "128.0.0.1", "169.253.255.255", "223.255.255.255", "240.0.0.1",
		"fd00::1", "2001:db8::1", "fec0::1", "64:ff9b::192.0.2.1", "64:ff9b:1::192.0.2.1", "64:ff9b:1:c000:2:100::", "2002:c000:201::1", "::ffff:0:10.0.0.1",
	} {
		if !Usable(netip.MustParseAddr(written)) {
			t.Errorf("%s is not usable", written)
		}
	}
	if Usable(netip.Addr{}) || Usable(netip.MustParseAddr("fd00::1%eth0")) {
		t.Error("no address, or one of a link, is usable")
	}
}

// Whichever way an address comes in, an unusable one is left out and counted.
func TestUnusableEverywhere(t *testing.T) {
	for _, written := range unusable {
		b := newBench(t, Options{Gateways: true})
		b.services().Update(testService("shop/web", 1, ""))
		family := discoveryv1.AddressTypeIPv6
		if netip.MustParseAddr(written).Is4() {
			family = discoveryv1.AddressTypeIPv4
		}
		b.watcher.slices[""].Update(&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
			AddressType: family,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{written}}},
		})
		obj := testIngress("shop/i", "i.ex.org")
		obj.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: written}}
		b.watcher.ingresses[""].Update(obj)
		b.sync()
		for _, name := range []string{"web.shop.minilb.", "i.ex.org."} {
			if got := b.addrs(name); got != "" && got != "-" {
				t.Errorf("%s leads to %s", name, got)
			}
		}
		if got := b.tr.Stats().Rejected[string(invalid)]; got != 2 {
			t.Errorf("%s: %d refusals, want one of the slice and one of the Ingress", written, got)
		}
		for _, kind := range []string{"IPAddress", "Hostname"} {
			g := reduceGateway(customObject(t, `{metadata: {name: g, namespace: shop}, status: {addresses: [{type: `+kind+`, value: "`+written+`"}]}}`))
			if len(g.lead.targets) != 0 || len(g.lead.problems) != 1 {
				t.Errorf("a Gateway's %s %s: got %v, %v", kind, written, g.lead.targets, g.lead.problems)
			}
		}
	}
}

// A change that says it was triggered in the future, or before there were computers, is observed as
// one that took no time, or not at all.
func TestObserveNonsense(t *testing.T) {
	for _, when := range []string{"9999-12-31T23:59:59Z", "0001-01-02T00:00:00Z", time.Now().Add(time.Hour).Format(time.RFC3339)} {
		s := new(Watcher).reduceSlice(&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
				Annotations: map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": when},
			},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}},
		})
		b := newBench(t, Options{})
		b.services().Update(testService("shop/web", 1, ""))
		b.sync()
		b.watcher.slices[""].set(s)
		for _, took := range b.observed {
			if took < 0 || took > 24*time.Hour {
				t.Errorf("%s: observed %v", when, took)
			}
		}
	}
}
