package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// ttl returns the TTL of a name, "-" for the server's.
func (b *bench) ttl(name string) string {
	_, node := b.index.Lookup(b.index.Zone(name), name)
	if node == nil || node.TTL == nil {
		return "-"
	}
	return fmt.Sprint(*node.TTL)
}

// annotatedIngress is an Ingress that leads to an address, with a TTL unless that is "".
func annotatedIngress(id string, created int64, ttl, host, address string) *networkingv1.Ingress {
	i := testIngress(id, host)
	i.CreationTimestamp = metav1.Unix(created, 0)
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: address}}
	if ttl != "" {
		i.Annotations = map[string]string{lb.TTLAnnotation: ttl}
	}
	return i
}

// L2: an object's hosts have the TTL that it asks for, a Service's own name as well; of several that count on one host the smallest.
func TestAnnotatedTTL(t *testing.T) {
	b := newBench(t, config.Options{})
	web, plain := testService("shop/web", 9, "web.ex.org, two.ex.org"), testService("shop/plain", 9, "plain.ex.org, plainer.ex.org")
	web.Annotations[lb.TTLAnnotation] = "30"
	b.services().Add(web)
	b.services().Add(plain)
	for _, i := range []*networkingv1.Ingress{
		annotatedIngress("shop/a", 9, "60", "a.ex.org", "10.9.9.9"),
		annotatedIngress("shop/two", 9, "20", "two.ex.org", "10.9.9.9"),
		annotatedIngress("shop/none", 1, "", "web.ex.org", "10.9.9.9"),
		annotatedIngress("shop/zero", 9, "0", "zero.ex.org", "10.9.9.9"),
		annotatedIngress("shop/most", 9, "3600", "zero.ex.org", "10.9.9.9"),
		annotatedIngress("evil/plain", 99, "1", "a.ex.org", "10.9.9.9"), // it leads to nothing else, and so counts (C3)
		annotatedIngress("evil/other", 99, "1", "plain.ex.org", "10.6.6.6"),
	} {
		b.watcher.Ingresses("").Add(i)
	}
	leads := testIngress("shop/leads", "leads.ex.org") // to a Service with a TTL for its own name
	leads.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
	b.watcher.Ingresses("").Add(leads)
	b.sync()
	for name, want := range map[string]string{
		"web.shop.minilb.": "30", "web.ex.org.": "30", "two.ex.org.": "20", "a.ex.org.": "60", "zero.ex.org.": "0", "leads.ex.org.": "-",
		"plain.shop.minilb.": "-", "plain.ex.org.": "-", "plainer.ex.org.": "-",
	} {
		if got := b.ttl(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// L2: a route's hosts have its TTL, those that lead to the Gateways' addresses like any.
func TestRouteTTL(t *testing.T) {
	b := newAttachedBench(t, config.Options{})
	parts := strings.Split(gatewayWith(open), "---")
	b.set(object.KindName{Kind: object.KindGatewayClass, Name: "gc"}, parts[0])
	b.set(object.KindName{Kind: object.KindGateway, Namespace: "infra", Name: "gw"}, parts[1])
	route := func(value string) {
		b.set(object.KindName{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "r"},
			strings.Replace(routeOf(object.KindHTTPRoute, "a.ex.org", toGateway), "name: r,", "name: r, annotations: {minilb/ttl: "+value+"},", 1))
	}
	route(`"7"`)
	b.publish()
	b.want("a.ex.org.", "10.0.0.5")
	if got := b.ttl("a.ex.org."); got != "7" {
		t.Errorf("got %s", got)
	}
	route("7m")
	want := []string{`W HTTPRoute shop/r: annotation minilb/ttl is "7m" and has no effect: want a number from 0 to 3600`}
	if got := b.publish(); !slices.Equal(got, want) || b.ttl("a.ex.org.") != "-" {
		t.Errorf("got log %q, TTL %s", got, b.ttl("a.ex.org."))
	}
	b.want("a.ex.org.", "10.0.0.5")
}

// What is malformed is logged once, counted and costs nothing else. A change is published, and is one of content (D24): not in the
// reverse zones, whose records keep the server's TTL.
func TestTTLChanges(t *testing.T) {
	b := newBench(t, config.Options{ReverseZones: []string{"10.in-addr.arpa."}})
	web := func(annotations ...string) {
		s := testService("shop/web", 1, "web.ex.org")
		for _, a := range annotations {
			key, value, _ := strings.Cut(a, "=")
			s.Annotations["minilb/"+key] = value
		}
		b.services().Update(s)
	}
	web()
	b.watcher.EndpointSlices("").Update(serviceSlice("shop/web", "web-1", "10.0.0.1 RSt"))
	b.sync()
	zone, overlay, reverse := b.index.Serial("minilb."), b.index.Serial(""), b.index.Serial("10.in-addr.arpa.")
	for _, tc := range []struct {
		annotations []string
		want        string
		log         []string
		changed     bool
	}{
		{[]string{"ttl=30"}, "30", nil, true},
		{[]string{"ttl= 30"}, "30", nil, false},
		{[]string{"ttl=0"}, "0", nil, true},
		{[]string{"ttl=3601", "weight=-1", "priority=low"}, "-", []string{
			`W Service shop/web: annotation minilb/priority is "low" and has no effect: want a number from 0 to 255`,
			`W Service shop/web: annotation minilb/ttl is "3601" and has no effect: want a number from 0 to 3600`,
			`W Service shop/web: annotation minilb/weight is "-1" and has no effect: want a number from 0 to 255`,
		}, true},
		{[]string{"ttl=3601", "weight=-1", "priority=low"}, "-", nil, false},
		{nil, "-", nil, false},
	} {
		web(tc.annotations...)
		if got := b.publish(); !slices.Equal(got, tc.log) {
			t.Errorf("%q: got log\n%s", tc.annotations, strings.Join(got, "\n"))
		}
		if got := b.tr.Stats().Rejected["invalid"]; got != len(tc.annotations)*min(1, strings.Count(fmt.Sprint(tc.annotations), "low")) {
			t.Errorf("%q: %d are counted", tc.annotations, got)
		}
		b.want("web.ex.org.", "10.0.0.1")
		b.want("web.shop.minilb.", "10.0.0.1")
		if host, own := b.ttl("web.ex.org."), b.ttl("web.shop.minilb."); host != tc.want || own != tc.want {
			t.Errorf("%q: got %s and %s, want %s", tc.annotations, host, own, tc.want)
		}
		for name, before := range map[string]*uint32{"minilb.": &zone, "": &overlay} {
			if now := b.index.Serial(name); (now != *before) != tc.changed {
				t.Errorf("%q: zone %q has serial %d, before %d", tc.annotations, name, now, *before)
			} else {
				*before = now
			}
		}
	}
	if now := b.index.Serial("10.in-addr.arpa."); now != reverse {
		t.Errorf("the reverse zone has serial %d, before %d", now, reverse)
	}
	if _, node := b.index.Lookup("10.in-addr.arpa.", "1.0.0.10.in-addr.arpa."); node == nil || len(node.Pointers) != 1 || node.TTL != nil {
		t.Errorf("got pointer %+v", node)
	}
	b.services().Delete(testService("shop/web", 1, ""))
	b.publish()
	if _, node := b.index.Lookup("10.in-addr.arpa.", "1.0.0.10.in-addr.arpa."); node != nil {
		t.Errorf("got pointer %+v of a Service that is gone", node)
	}
}
