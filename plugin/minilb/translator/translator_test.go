package translator

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/endpoint"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// A change that says it was triggered in the future, or before there were computers, is observed as
// one that took no time, or not at all.
func TestObserveNonsense(t *testing.T) {
	for _, when := range []string{"9999-12-31T23:59:59Z", "0001-01-02T00:00:00Z", time.Now().Add(time.Hour).Format(time.RFC3339)} {
		s := object.NewEndpointSlice(&discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
				Annotations: map[string]string{"endpoints.kubernetes.io/last-change-trigger-time": when},
			},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}},
		}, &object.Fields{})
		b := newBench(t, config.Options{})
		b.services().Update(testService("shop/web", 1, ""))
		b.sync()
		b.watcher.EndpointSlices("").Update(s)
		for _, took := range b.observed {
			if took < 0 || took > 24*time.Hour {
				t.Errorf("%s: observed %v", when, took)
			}
		}
	}
}

// The life of a Service: names, hosts and addresses come, change and go, each at once and
// none by way of another.
func TestTranslatorService(t *testing.T) {
	b := newBench(t, config.Options{})
	slices := b.watcher.EndpointSlices("")
	slices.Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt")) // D71: before its Service
	b.services().Update(testService("shop/web", 1, "mqtt.sko.ai, mqtt.example.com"))
	b.sync()
	for _, name := range []string{"web.shop.minilb.", "mqtt.sko.ai.", "mqtt.example.com."} {
		b.want(name, "10.0.0.1")
	}
	b.pending()

	serial := b.index.Serial("minilb.")
	slices.Update(serviceSlice("shop/web", "web-2", "10.0.0.2 RSt", "10.0.0.3 rst"))
	b.want("mqtt.sko.ai.", "10.0.0.1 10.0.0.2")
	if b.pending() {
		t.Error("a change of addresses alone wants to be published")
	}
	if got := b.index.Serial("minilb."); got <= serial {
		t.Errorf("D24: new addresses left the serial at %d", got)
	}
	slices.Update(serviceSlice("shop/web", "web-3", "10.0.0.4 rST", "10.0.0.5 rST"))
	if got, want := b.tr.Stats().Endpoints, map[string]int{"ready": 2, "terminating": 2, "not_ready": 1, "suspect": 0, "excluded": 0}; !maps.Equal(got, want) {
		t.Errorf("got endpoints %v, want %v", got, want)
	}
	slices.Delete(serviceSlice("shop/web", "web-3"))
	ignoredSlice := serviceSlice("shop/web", "web-4", "10.0.0.6 RSt")
	ignoredSlice.Ignored = true // M8
	slices.Update(ignoredSlice)
	b.want("mqtt.sko.ai.", "10.0.0.1 10.0.0.2")
	slices.Delete(serviceSlice("shop/web", "web-4"))
	serial = b.index.Serial("minilb.")
	slices.Update(serviceSlice("shop/web", "web-2", "10.0.0.2 RSt"))
	if got := b.index.Serial("minilb."); got != serial {
		t.Error("D24: an endpoint that is not answered moved the serial")
	}
	slices.Update(serviceSlice("shop/other", "web-2", "10.0.0.9 RSt")) // E1: the label changed
	b.want("web.shop.minilb.", "10.0.0.1")
	slices.Delete(serviceSlice("shop/web", "web-1"))
	b.want("web.shop.minilb.", "") // D18: the name stays

	b.services().Update(testService("shop/web", 1, "mqtt.sko.ai"))
	if !b.pending() {
		t.Error("a changed annotation is not to be published")
	}
	b.publish()
	b.want("mqtt.sko.ai.", "")
	b.want("mqtt.example.com.", "-")

	changed := testService("shop/web", 1, "mqtt.sko.ai")
	changed.Annotations["unrelated"] = "x"
	b.services().Update(changed)
	if b.pending() {
		t.Error("an annotation that means nothing wants to be published")
	}

	ignored := testService("shop/web", 1, "mqtt.sko.ai")
	ignored.Labels = map[string]string{lb.IgnoreLabel: "true"} // M8
	b.services().Update(ignored)
	b.publish()
	b.want("web.shop.minilb.", "-")
	b.want("mqtt.sko.ai.", "-")

	b.services().Update(testService("shop/web", 1, ""))
	b.publish()
	b.want("web.shop.minilb.", "")
	foreign := testService("shop/web", 1, "")
	class := "metallb"
	foreign.Spec.LoadBalancerClass = &class // S6
	b.services().Update(foreign)
	b.publish()
	b.want("web.shop.minilb.", "-")

	deleting := testService("shop/web", 1, "")
	now := metav1.Now()
	deleting.DeletionTimestamp = &now // M5
	b.services().Update(deleting)
	b.publish()
	b.want("web.shop.minilb.", "")
	b.services().Delete(cache.DeletedFinalStateUnknown{Key: "shop/web", Obj: deleting})
	b.publish()
	b.want("web.shop.minilb.", "-")
	slices.Delete(serviceSlice("shop/web", "web-2"))
	if len(b.tr.services.state.exposed) != 0 || len(b.tr.services.state.slicesOf) != 0 || b.tr.services.state.states != (endpoint.Counts{}) {
		t.Errorf("what was deleted leaves %v, %v, %+v", b.tr.services.state.exposed, b.tr.services.state.slicesOf, b.tr.services.state.states)
	}
}

// A relist in which objects are missing deletes them.
func TestTranslatorRelist(t *testing.T) {
	b := newBench(t, config.Options{})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.services().Replace([]any{testService("shop/a", 1, ""), testService("shop/b", 1, "")}, "1"))
	b.sync()
	b.want("a.shop.minilb.", "")
	must(b.services().Replace([]any{object.NewService(testService("shop/b", 1, ""), testFields), testService("shop/c", 1, "")}, "2"))
	b.publish()
	b.want("a.shop.minilb.", "-")
	b.want("b.shop.minilb.", "")
	b.want("c.shop.minilb.", "")
}

// G43, I7: a host that leads to several Services and addresses has the union, kept up to date.
func TestTranslatorUnion(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Update(testService("infra/gw", 1, ""))
	b.services().Update(testService("shop/web", 1, "a.ex.org"))
	i := testIngress("shop/i", "a.ex.org")
	i.CreationTimestamp = metav1.Unix(5, 0)
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.9.9"}, {Hostname: "gw.infra.minilb"}}
	b.watcher.Ingresses("").Update(i)
	slices := b.watcher.EndpointSlices("")
	slices.Update(serviceSlice("infra/gw", "gw-1", "10.0.0.1 RSt"))
	b.sync()
	b.want("a.ex.org.", "10.0.0.1 10.9.9.9")
	slices.Update(serviceSlice("shop/web", "web-1", "10.0.1.1 RSt", "10.0.0.1 RSt"))
	b.want("a.ex.org.", "10.0.0.1 10.0.1.1 10.9.9.9")
	slices.Update(serviceSlice("infra/gw", "gw-1", "10.0.0.2 RSt"))
	b.want("a.ex.org.", "10.0.0.1 10.0.0.2 10.0.1.1 10.9.9.9")
	b.services().Delete(testService("infra/gw", 1, ""))
	b.publish()
	b.want("a.ex.org.", "10.0.0.1 10.0.1.1 10.9.9.9")
}

// D16: a Service has its name in each zone.
func TestTranslatorZones(t *testing.T) {
	b := newBench(t, config.Options{Zones: []string{"minilb.", "lan.", "sub.minilb."}})
	b.services().Update(testService("shop/web", 1, ""))
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
	b.sync()
	for _, name := range []string{"web.shop.minilb.", "web.shop.lan.", "web.shop.sub.minilb."} {
		b.want(name, "10.0.0.1")
	}
}

// S6: without a class only if asked for, and never of another.
func TestTranslatorClass(t *testing.T) {
	for _, defaultClass := range []bool{false, true} {
		b := newBench(t, config.Options{DefaultClass: defaultClass})
		without, other := testService("shop/without", 1, ""), testService("shop/other", 1, "")
		without.Spec.LoadBalancerClass, *other.Spec.LoadBalancerClass = nil, "metallb"
		for _, service := range []*corev1.Service{without, other, testService("shop/web", 1, "")} {
			b.services().Update(service)
		}
		b.sync()
		b.want("web.shop.minilb.", "")
		b.want("other.shop.minilb.", "-")
		b.want("without.shop.minilb.", map[bool]string{false: "-", true: ""}[defaultClass])
	}
}

// M9: the hosts of all annotations that are named, and of no other.
func TestTranslatorHostAnnotations(t *testing.T) {
	b := newBench(t, config.Options{HostAnnotations: []string{lb.HostAnnotation, "coredns.io/hostname"}})
	service := testService("shop/web", 1, "a.ex.org")
	service.Annotations["coredns.io/hostname"] = "b.ex.org, c.ex.org, A.ex.org."
	service.Annotations["external-dns.alpha.kubernetes.io/hostname"] = "d.ex.org"
	b.services().Update(service)
	b.sync()
	for name, want := range map[string]string{"a.ex.org.": "", "b.ex.org.": "", "c.ex.org.": "", "d.ex.org.": "-"} {
		b.want(name, want)
	}
	kept, _ := b.services().Get(cache.NewObjectName("shop", "web"))
	claim := claim.FromService(b.tr.options, kept)
	if want := []string{"a.ex.org.", "b.ex.org.", "c.ex.org."}; !slices.Equal(claim.Hosts, want) {
		t.Errorf("got hosts %q, want %q", claim.Hosts, want)
	}
}

// What the metadata say of a host: whose it is, and the one Service behind it.
func TestTranslatorNode(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Update(testService("infra/gw", 1, "gw.ex.org"))
	b.services().Update(testService("shop/web", 1, ""))
	for name, targets := range map[string]string{
		"shop/one": "gw.infra.minilb", "shop/same": "gw.infra.minilb gw.infra.minilb", "shop/two": "gw.infra.minilb web.shop.minilb",
		"shop/both": "gw.infra.minilb 10.0.0.1", "shop/address": "10.0.0.1", "shop/alias": "lb.example.com",
	} {
		i := testIngress(name, strings.TrimPrefix(name, "shop/")+".ex.org")
		for _, target := range strings.Fields(targets) {
			if _, err := netip.ParseAddr(target); err == nil {
				i.Status.LoadBalancer.Ingress = append(i.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{IP: target})
			} else {
				i.Status.LoadBalancer.Ingress = append(i.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{Hostname: target})
			}
		}
		b.watcher.Ingresses("").Update(i)
	}
	b.sync()
	for name, want := range map[string]string{
		"gw.infra.minilb.": "service infra/gw", "gw.ex.org.": "service infra/gw", "one.ex.org.": "ingress infra/gw", "same.ex.org.": "ingress infra/gw",
		"two.ex.org.": "ingress shop/", "both.ex.org.": "ingress infra/gw", "address.ex.org.": "ingress shop/", "alias.ex.org.": "ingress shop/",
	} {
		_, node := b.index.Lookup(b.index.Zone(name), name)
		if got := node.Source + " " + node.Namespace + "/" + node.Service; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got, want := b.tr.Stats().Names, map[string]int{"service": 3, "ingress": 6, "httproute": 0, "grpcroute": 0, "tlsroute": 0}; !maps.Equal(got, want) {
		t.Errorf("got names %v, want %v", got, want)
	}
	b.publish()
	if got := len(b.tr.services.state.unions[cache.NewObjectName("infra", "gw")]); got != 3 {
		t.Errorf("after it was published twice %d unions are kept, want 3", got)
	}
}

// Without the resource service its names and hosts are not there, but what leads to one is.
func TestTranslatorResources(t *testing.T) {
	b := newBench(t, config.Options{})
	b.tr.options.Services = false
	b.services().Update(testService("shop/web", 1, "web.ex.org"))
	i := testIngress("shop/i", "a.ex.org")
	i.Annotations = map[string]string{lb.ServiceAnnotation: "web"} // M7
	b.watcher.Ingresses("").Update(i)
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
	b.sync()
	b.want("web.shop.minilb.", "-")
	b.want("web.ex.org.", "-")
	b.want("a.ex.org.", "10.0.0.1")
}

// What becomes of a damaged slice, and when nothing that names depend on has changed.
func TestTranslatorQuiet(t *testing.T) {
	b := newBench(t, config.Options{})
	b.services().Update(testService("shop/web", 1, ""))
	b.sync()
	b.pending()
	slices := b.watcher.EndpointSlices("")
	ignore := func(s *object.EndpointSlice) *object.EndpointSlice { // M8
		s.Ignored = true
		return s
	}
	steps := []struct {
		what    string
		do      func()
		pending bool
		invalid int
	}{
		{"damaged", func() { slices.Update(serviceSlice("shop/web", "web-1", "127.0.0.1 RSt")) }, true, 1},
		{"still damaged", func() { slices.Update(serviceSlice("shop/web", "web-1", "127.0.0.1 RSt", "10.0.0.1 RSt")) }, false, 1},
		{"repaired", func() { slices.Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt")) }, true, 0},
		{"damaged again", func() { slices.Update(serviceSlice("shop/web", "web-1", "127.0.0.1 RSt")) }, true, 1},
		{"deleted", func() { slices.Delete(serviceSlice("shop/web", "web-1")) }, true, 0},
		{"nobody's", func() { slices.Update(serviceSlice("shop/gone", "gone-1", "127.0.0.1 RSt")) }, true, 0},
		{"now ours", func() { slices.Update(serviceSlice("shop/web", "gone-1", "127.0.0.1 RSt")) }, true, 1},
		{"nobody's again", func() { slices.Update(serviceSlice("shop/gone", "gone-1", "127.0.0.1 RSt")) }, true, 0},
		{"ignored", func() { slices.Update(ignore(serviceSlice("shop/web", "gone-1", "127.0.0.1 RSt"))) }, true, 0},
		{"not ignored", func() { slices.Update(serviceSlice("shop/web", "gone-1", "127.0.0.1 RSt")) }, true, 1},
		{"gone", func() { slices.Delete(serviceSlice("shop/web", "gone-1")) }, true, 0},
		{"ingress", func() { b.watcher.Ingresses("").Update(testIngress("shop/i", "a.ex.org")) }, true, 0},
		{"the same ingress", func() { b.watcher.Ingresses("").Update(testIngress("shop/i", "a.ex.org")) }, false, 0},
	}
	for _, step := range steps {
		step.do()
		if got := b.pending(); got != step.pending {
			t.Errorf("%s: to be published: %v, want %v", step.what, got, step.pending)
		}
		b.publish()
		if got := b.tr.Stats().Rejected["invalid"]; got != step.invalid {
			t.Errorf("%s: %d invalid, want %d", step.what, got, step.invalid)
		}
	}
	// M8
	ignored := serviceSlice("shop/web", "web-2", "10.0.0.2 RSt")
	ignored.Ignored = true
	slices.Update(ignored)
	b.want("web.shop.minilb.", "")
}
