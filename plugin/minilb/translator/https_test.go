package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

func httpsService(annotations map[string]string, ports ...corev1.ServicePort) *corev1.Service {
	s := testService("shop/web", 1, "a.ex.org")
	for name, value := range annotations {
		s.Annotations[name] = value
	}
	s.Spec.Ports = ports
	return s
}

// slicePorts is a slice of one endpoint with a port of that name and number.
func slicePorts(name, endpoint, portName string, number uint16) *object.EndpointSlice {
	s := serviceSlice("shop/web", name, endpoint)
	s.Ports = []object.Port{{Proto: "_tcp", Service: "_" + portName, Number: number}}
	return s
}

// D50: an HTTPS record needs a TCP port 443, endpoints that agree on where it is, and no port 80 if that
// is elsewhere.
func TestHTTPSBinding(t *testing.T) {
	tcp80, tcp443 := corev1.ServicePort{Name: "http", Port: 80}, corev1.ServicePort{Name: "https", Port: 443}
	for _, tc := range []struct {
		what    string
		service *corev1.Service
		slices  []*object.EndpointSlice
		want    string
	}{
		{"agreed", httpsService(nil, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443), slicePorts("b", "10.0.0.2 RSt", "https", 8443)}, "8443 []"},
		{"at 443, and a port 80", httpsService(nil, tcp80, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 443)}, "443 []"},
		{"elsewhere, and a port 80", httpsService(nil, tcp80, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443)}, "-"},
		{"elsewhere, and then a port 80", httpsService(nil, tcp443, tcp80), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443)}, "-"},
		{"elsewhere, and a UDP port 80", httpsService(nil, tcp443, corev1.ServicePort{Name: "http", Port: 80, Protocol: corev1.ProtocolUDP}), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443)}, "8443 []"},
		{"protocols", httpsService(map[string]string{lb.ALPNAnnotation: "h2"}, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 443)}, "443 [h2]"},
		{"unnamed", httpsService(nil, corev1.ServicePort{Port: 443}), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "", 8443)}, "8443 []"},
		{"different", httpsService(nil, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443), slicePorts("b", "10.0.0.2 RSt", "https", 9443)}, "-"},
		{"different, but not answered with", httpsService(nil, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443), slicePorts("b", "10.0.0.2 rst", "https", 9443)}, "8443 []"},
		{"one has no such port", httpsService(nil, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 8443), slicePorts("b", "10.0.0.2 RSt", "other", 8443)}, "-"},
		{"no endpoint", httpsService(nil, tcp443), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 rst", "https", 8443)}, "-"},
		{"port 80 alone", httpsService(nil, tcp80), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "http", 443)}, "-"},
		{"port 8443", httpsService(nil, corev1.ServicePort{Name: "https", Port: 8443}), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 443)}, "-"},
		{"UDP", httpsService(nil, corev1.ServicePort{Name: "https", Port: 443, Protocol: corev1.ProtocolUDP}), []*object.EndpointSlice{slicePorts("a", "10.0.0.1 RSt", "https", 443)}, "-"},
	} {
		for by, asked := range map[string]bool{"us": true, "another server block": false, "nobody": false} {
			b := newBench(t, config.Options{HTTPS: asked})
			if by != "nobody" {
				b.watcher.Require(&config.Options{Class: lb.DefaultClass, HTTPS: true}, false)
			}
			b.services().Update(tc.service)
			for _, s := range tc.slices {
				b.watcher.EndpointSlices("").Update(s)
			}
			b.sync()
			want := tc.want
			if !asked {
				want = "-"
			}
			for _, name := range []string{"web.shop.minilb.", "a.ex.org."} {
				if got := b.https(name); got != want {
					t.Errorf("%s, asked by %s: %s: got %q, want %q", tc.what, by, name, got, want)
				}
			}
		}
	}
}

// https returns what is known of how HTTPS is served at a name.
func (b *bench) https(name string) string {
	_, node := b.index.Lookup(b.index.Zone(name), name)
	binding := node.Addrs.Load().HTTPS
	if binding == nil {
		return "-"
	}
	return fmt.Sprint(binding.Port, binding.ALPN)
}

// A change of ports or protocols is answered at once, and what is wrong is logged once and counted.
func TestHTTPSChanges(t *testing.T) {
	b := newBench(t, config.Options{HTTPS: true})
	b.services().Update(httpsService(nil, corev1.ServicePort{Name: "https", Port: 443}))
	b.watcher.EndpointSlices("").Update(slicePorts("a", "10.0.0.1 RSt", "https", 8443))
	b.sync()
	serial := b.index.Serial("minilb.")
	b.services().Update(httpsService(map[string]string{lb.ALPNAnnotation: "h2,h 3"}, corev1.ServicePort{Name: "https", Port: 443}))
	if got := b.https("web.shop.minilb."); got != "8443 [h2]" {
		t.Errorf("another annotation: got %q", got)
	}
	if got := b.index.Serial("minilb."); got == serial {
		t.Error("D24: the serial stays")
	}
	if got, want := b.publish(), []string{`W Service shop/web: in annotation minilb/alpn, protocol "h 3" is refused: want one such as h2 or http/1.1`}; !slices.Equal(got, want) {
		t.Errorf("got log %q, want %q", got, want)
	}
	if got := b.tr.Stats().Rejected["invalid"]; got != 1 {
		t.Errorf("%d are counted", got)
	}
	b.watcher.EndpointSlices("").Update(slicePorts("a", "10.0.0.1 RSt", "https", 443))
	if got := b.https("a.ex.org."); got != "443 [h2]" {
		t.Errorf("another port: got %q", got)
	}
	b.watcher.EndpointSlices("").Update(slicePorts("a", "10.0.0.1 RSt", "https", 8443))
	b.services().Update(httpsService(nil, corev1.ServicePort{Name: "https", Port: 443}, corev1.ServicePort{Name: "http", Port: 80}))
	if got := b.https("a.ex.org."); got != "-" {
		t.Errorf("a port 80: got %q", got)
	}
	b.services().Update(httpsService(nil, corev1.ServicePort{Name: "https", Port: 8443}))
	if got := b.https("a.ex.org."); got != "-" {
		t.Errorf("no port 443: got %q", got)
	}
}

// D20b: a family that is left out is as if no address of it existed; the name is there.
func TestFamilies(t *testing.T) {
	for _, tc := range []struct {
		options config.Options
		want    string
	}{{config.Options{}, "10.0.0.1 10.0.0.7 fd00::1"}, {config.Options{NoIPv4: true}, "fd00::1"}, {config.Options{NoIPv6: true}, "10.0.0.1 10.0.0.7"}} {
		b := newBench(t, tc.options)
		b.services().Update(testService("shop/web", 1, ""))
		b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-4", "10.0.0.1 RSt"))
		six := func(endpoint string) {
			s := testSlice("web-6", "IPv6", endpoint)
			s.Service = "web"
			b.watcher.EndpointSlices("").Update(s)
		}
		six("fd00::1 RSt")
		i := testIngress("shop/i", "a.ex.org")
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.7"}, {Hostname: "web.shop.minilb"}}
		b.watcher.Ingresses("").Update(i)
		b.sync()
		b.want("a.ex.org.", tc.want)
		b.want("web.shop.minilb.", strings.ReplaceAll(tc.want, "10.0.0.1 10.0.0.7", "10.0.0.1"))
		serial := b.index.Serial("minilb.")
		six("fd00::2 RSt")
		if got := b.index.Serial("minilb.") != serial; got == tc.options.NoIPv6 {
			t.Errorf("without IPv4 %v, without IPv6 %v: a change of IPv6 moves the serial: %v", tc.options.NoIPv4, tc.options.NoIPv6, got)
		}
	}
}

// D60: the endpoints of exposed Services that have names have them in the reverse zones, too, and
// nothing can be claimed there.
func TestReverseZones(t *testing.T) {
	const zone, name = "10.in-addr.arpa.", "1.0.0.10.in-addr.arpa."
	b := newBench(t, config.Options{Zones: []string{"minilb."}, ReverseZones: []string{zone}})
	at := func(name string) string {
		result, node := b.index.Lookup(zone, name)
		if result == records.Found {
			return strings.Join(node.Pointers, " ")
		}
		return fmt.Sprint(result)
	}
	if got := at(name); got != fmt.Sprint(records.NotSynced) {
		t.Errorf("D72: before the first sync: %s", got)
	}
	b.services().Update(testService("shop/web", 1, "x.10.in-addr.arpa"))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt", "10.0.0.2 rst"))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/internal", "i-1", "10.0.0.1 RSt"))
	b.sync()
	for name, want := range map[string]string{name: "10-0-0-1.web.shop.minilb.", "2.0.0.10.in-addr.arpa.": fmt.Sprint(records.NameError), "x.10.in-addr.arpa.": fmt.Sprint(records.NameError)} {
		if got := at(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := b.tr.Stats().Rejected["reserved"]; got != 1 {
		t.Errorf("%d hosts are refused", got)
	}
	b.services().Update(testService("shop/other", 1, ""))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/other", "o-1", "10.0.0.1 RSt"))
	if got := at(name); got != "10-0-0-1.other.shop.minilb. 10-0-0-1.web.shop.minilb." {
		t.Errorf("got %q", got)
	}
	b.services().Delete(testService("shop/other", 1, ""))
	if got := at(name); got != "10-0-0-1.web.shop.minilb." {
		t.Errorf("a Service that is gone: got %q", got)
	}

	b = newBench(t, config.Options{Zones: []string{"minilb."}, ReverseZones: []string{zone}})
	b.tr.options.Services = false
	b.services().Update(testService("shop/web", 1, ""))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
	b.sync()
	if got := at(name); got != fmt.Sprint(records.NameError) {
		t.Errorf("Services without names: got %q", got)
	}
}

// D50, RFC 9460 §9.5: a host that listeners without TLS alone serve has no HTTPS record, though the
// Service behind the Gateway has a port 443 for others.
func TestHTTPSOfRoutes(t *testing.T) {
	b := newAttachedBench(t, config.Options{HTTPS: true})
	b.services().Update(httpsService(nil, corev1.ServicePort{Name: "https", Port: 443}))
	b.watcher.EndpointSlices("").Update(slicePorts("a", "10.0.0.1 RSt", "https", 8443))
	parts := strings.Split(gatewayWith(`listeners: [
		{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}},
		{name: https, port: 443, protocol: HTTPS, hostname: "*.tls.org", allowedRoutes: {namespaces: {from: All}}}]`), "---")
	b.set(object.KindName{Kind: object.KindGatewayClass, Namespace: "", Name: "gc"}, parts[0])
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, strings.Replace(parts[1], "metadata: {", `metadata: {annotations: {minilb/service: shop/web}, `, 1))
	b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, "plain.org, a.tls.org", toGateway))
	b.publish()
	for name, want := range map[string]string{"plain.org.": "true", "a.tls.org.": "false", "web.shop.minilb.": "false"} {
		_, node := b.index.Lookup(b.index.Zone(name), name)
		if got := fmt.Sprint(node.NoHTTPS); got != want {
			t.Errorf("%s: plain is %s, want %s", name, got, want)
		}
		if got := b.https(name); got != "8443 []" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	// An Ingress beside the route may be served with TLS.
	i := testIngress("shop/i", "plain.org")
	i.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
	b.watcher.Ingresses("").Update(i)
	b.publish()
	if _, node := b.index.Lookup("", "plain.org."); node.NoHTTPS {
		t.Error("plain.org. is plain beside an Ingress")
	}
}

// C3, D50: whether a host has TLS is said by the namespace that has it, and by routes of others on the
// same Gateway, wherever these are; not by whoever else leads it there.
func TestHTTPSOfNamespaces(t *testing.T) {
	const metadata = "metadata: {name: gw, namespace: infra"
	toListener := func(name string) string { return "{name: gw, namespace: infra, sectionName: " + name + "}" }
	in := func(namespace, manifest string) string {
		return strings.Replace(manifest, "namespace: shop", "namespace: "+namespace+", creationTimestamp: \"2026-05-01T00:00:00Z\"", 1)
	}
	for _, tc := range []struct {
		name   string
		change func(b *attachedBench)
		plain  bool
	}{
		{"one without TLS", func(*attachedBench) {}, true},
		{"another on the same Gateway, with TLS", func(b *attachedBench) {
			b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "store", Name: "r"}, in("store", routeOf(object.KindHTTPRoute, "a.tls.org", toListener("https"))))
		}, false},
		{"another on the same Gateway, without", func(b *attachedBench) {
			b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "store", Name: "r"}, in("store", routeOf(object.KindHTTPRoute, "a.tls.org", toListener("http"))))
		}, true},
		{"another with an annotation", func(b *attachedBench) {
			b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "evil", Name: "r"}, in("evil", strings.Replace(routeOf(object.KindHTTPRoute, "a.tls.org", toListener("https")), "metadata: {", "metadata: {annotations: {minilb/service: shop/web}, ", 1)))
		}, true},
		{"another Gateway that leads there", func(b *attachedBench) {
			gateway := strings.Replace(strings.Split(gatewayWith(strings.ReplaceAll(open, "HTTP", "HTTPS")), "---")[1], metadata, "metadata: {name: gw, namespace: evil, annotations: {minilb/service: shop/web}", 1)
			b.set(object.KindName{Kind: object.KindGateway, Namespace: "evil", Name: "gw"}, gateway)
			b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "evil", Name: "r"}, in("evil", routeOf(object.KindHTTPRoute, "a.tls.org", "{name: gw, namespace: evil}")))
		}, true},
		{"an Ingress that leads there", func(b *attachedBench) {
			i := testIngress("evil/i", "a.tls.org")
			i.CreationTimestamp.Time = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
			i.Annotations = map[string]string{lb.ServiceAnnotation: "shop/web"}
			b.watcher.Ingresses("").Update(i)
		}, true},
	} {
		b := newAttachedBench(t, config.Options{HTTPS: true})
		b.services().Update(httpsService(nil, corev1.ServicePort{Name: "https", Port: 443}))
		b.watcher.EndpointSlices("").Update(slicePorts("a", "10.0.0.1 RSt", "https", 443))
		parts := strings.Split(gatewayWith(`listeners: [
			{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}},
			{name: https, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {from: All}}}]`), "---")
		b.set(object.KindName{Kind: object.KindGatewayClass, Namespace: "", Name: "gc"}, parts[0])
		b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, strings.Replace(parts[1], metadata, metadata+", annotations: {minilb/service: shop/web}", 1))
		b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"}, routeOf(object.KindHTTPRoute, "a.tls.org", toListener("http")))
		tc.change(b)
		if log := b.publish(); len(log) > 0 {
			t.Errorf("%s: got log %q", tc.name, log)
		}
		b.want("a.tls.org.", "10.0.0.1")
		if _, node := b.index.Lookup("", "a.tls.org."); node.NoHTTPS != tc.plain {
			t.Errorf("%s: plain is %v", tc.name, node.NoHTTPS)
		}
	}
}
