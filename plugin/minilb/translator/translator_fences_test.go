package translator

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// D8
func TestTranslatorUnreachable(t *testing.T) {
	b := newBench(t, config.Options{})
	b.tr.hooks.Covered = func(host string) bool { return host != "b.ex.net." }
	b.services().Update(testService("shop/web", 1, "a.ex.org, b.ex.net"))
	b.services().Set(informer.Listed)
	b.watcher.LabelledServices("").Set(informer.Listed)
	b.watcher.EndpointSlices("").Set(informer.Listed)
	b.watcher.Ingresses("").Set(informer.Listed)
	lines := b.publish()
	if len(lines) != 1 || !strings.Contains(lines[0], `Service shop/web: host "b.ex.net" cannot be asked for`) {
		t.Errorf("got %q, want one line about b.ex.net", lines)
	}
	if got := b.tr.Stats(); got.Unreachable != 1 || got.Names["service"] != 3 {
		t.Errorf("got %+v", got)
	}
}

// C6: a wildcard does not cover what a rule gives to others, whether they use it or not.
func TestTranslatorFences(t *testing.T) {
	b := newBench(t, config.Options{Claims: []config.ClaimRule{
		{Suffix: "shop.example.org.", Namespaces: []string{"shop"}},
		{Suffix: "both.example.org.", Namespaces: []string{"shop", "web"}},
		{Suffix: "example.org.", Namespaces: []string{"web"}},
	}})
	i := testIngress("web/i", "*.example.org")
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}
	b.watcher.Ingresses("").Update(i)
	j := testIngress("shop/j", "j.example.net")
	j.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.2"}}
	b.watcher.Ingresses("").Update(j)
	b.sync()
	for name, want := range map[string]string{"a.example.org.": "10.0.0.1", "x.both.example.org.": "10.0.0.1", "shop.example.org.": "-", "pay.shop.example.org.": "-"} {
		b.want(name, want)
	}
	k := testIngress("shop/k", "pay.shop.example.org")
	k.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.3"}}
	b.watcher.Ingresses("").Update(k)
	b.publish()
	b.want("pay.shop.example.org.", "10.0.0.3")
	b.want("other.shop.example.org.", "-")
}

// D12: a rule makes no name exist in a zone, where no wildcard from outside reaches anyway.
func TestTranslatorFencesInZone(t *testing.T) {
	b := newBench(t, config.Options{Zones: []string{"minilb.example.org."}, Claims: []config.ClaimRule{
		{Suffix: "home.minilb.example.org.", Namespaces: []string{"shop"}}, {Suffix: "example.org.", Namespaces: []string{"web"}},
	}})
	i := testIngress("web/i", "*.example.org")
	i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}
	b.watcher.Ingresses("").Update(i)
	b.sync()
	b.want("a.example.org.", "10.0.0.1")
	if result, _ := b.index.Lookup("minilb.example.org.", "home.minilb.example.org."); result != records.NameError {
		t.Errorf("a name that only a rule has: got %d, want NotFound", result)
	}
}
