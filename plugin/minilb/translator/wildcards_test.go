package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"pgregory.net/rapid"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// C7b: who claims a name below another's wildcard has that name and what is below it, not those above.
func TestTranslatorTransparent(t *testing.T) {
	b := newBench(t, config.Options{})
	at := func(id, host, address string) {
		i := testIngress(id, host)
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: address}}
		b.watcher.Ingresses("").Update(i)
		b.publish()
	}
	wants := func(all map[string]string) {
		t.Helper()
		for name, want := range all {
			b.want(name, want)
		}
	}
	b.sync()
	at("shop/wild", "*.apps.ex.org", "10.0.0.1")
	at("evil/below", "z.a.foo.apps.ex.org", "6.6.6.6")
	wants(map[string]string{
		"z.a.foo.apps.ex.org.": "6.6.6.6", "foo.apps.ex.org.": "10.0.0.1", "a.foo.apps.ex.org.": "10.0.0.1", "y.a.foo.apps.ex.org.": "10.0.0.1", "x.y.foo.apps.ex.org.": "10.0.0.1",
		"q.z.a.foo.apps.ex.org.": "-", "wpad.foo.apps.ex.org.": "-", "apps.ex.org.": "-", "ex.org.": "-",
	})
	at("evil/wild", "*.foo.apps.ex.org", "6.6.6.7") // a closer wildcard covers what is below its parent
	wants(map[string]string{"foo.apps.ex.org.": "10.0.0.1", "y.foo.apps.ex.org.": "6.6.6.7", "a.foo.apps.ex.org.": "-", "y.a.foo.apps.ex.org.": "-", "bar.apps.ex.org.": "10.0.0.1"})
	at("shop/below", "b.foo.apps.ex.org", "10.0.0.2") // and who has the wildcard keeps it off as ever
	wants(map[string]string{"foo.apps.ex.org.": "-", "b.foo.apps.ex.org.": "10.0.0.2", "c.foo.apps.ex.org.": "6.6.6.7", "bar.apps.ex.org.": "10.0.0.1"})
	b.watcher.Ingresses("").Delete(testIngress("shop/below", ""))
	b.watcher.Ingresses("").Delete(testIngress("evil/wild", ""))
	b.publish()
	wants(map[string]string{"foo.apps.ex.org.": "10.0.0.1", "b.foo.apps.ex.org.": "10.0.0.1", "a.foo.apps.ex.org.": "10.0.0.1"})
	b.watcher.Ingresses("").Delete(testIngress("shop/wild", ""))
	b.publish()
	wants(map[string]string{"foo.apps.ex.org.": "-", "a.foo.apps.ex.org.": "-", "z.a.foo.apps.ex.org.": "6.6.6.6"})
}

// C6, C7b: a suffix that a claim line gives to others keeps the nearest wildcard off if that is not theirs, and
// makes no name exist above it.
func TestTranslatorFencesNearest(t *testing.T) {
	b := newBench(t, config.Options{Claims: []config.ClaimRule{
		{Suffix: "ex.org.", Namespaces: []string{"web"}}, {Suffix: "apps.ex.org.", Namespaces: []string{"shop"}},
		{Suffix: "pay.apps.ex.org.", Namespaces: []string{"pay", "shop"}}, {Suffix: "pay.dev.ex.org.", Namespaces: []string{"pay"}},
	}})
	for id, host := range map[string]string{"web/i": "*.ex.org", "shop/i": "*.apps.ex.org"} {
		i := testIngress(id, host)
		i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: map[string]string{"web/i": "10.0.0.1", "shop/i": "10.0.0.2"}[id]}}
		b.watcher.Ingresses("").Update(i)
	}
	b.sync()
	for name, want := range map[string]string{
		"a.ex.org.": "10.0.0.1", "apps.ex.org.": "-", "a.apps.ex.org.": "10.0.0.2", "pay.apps.ex.org.": "10.0.0.2", "a.pay.apps.ex.org.": "10.0.0.2",
		"dev.ex.org.": "10.0.0.1", "a.dev.ex.org.": "10.0.0.1", "pay.dev.ex.org.": "-", "a.pay.dev.ex.org.": "-",
	} {
		b.want(name, want)
	}
}

// asOwner finds by the text of C6 and C7b and no code of ours what answers for a name outside the zones: a host that is
// claimed, "" for none. For the nearest wildcard there are the hosts that are claimed, the names above those of its own
// namespace, and the suffixes that claim lines give to others.
func asOwner(hosts map[string]string, rules []config.ClaimRule, name string) string {
	if hosts[name] != "" {
		return name
	}
	wildcard := ""
	for up := name; up != "" && wildcard == ""; {
		_, up, _ = strings.Cut(up, ".")
		if hosts["*."+up] != "" {
			wildcard = "*." + up
		}
	}
	owner := hosts[wildcard]
	exists := func(n string) bool {
		for host, namespace := range hosts {
			if host == n || namespace == owner && strings.HasSuffix(host, "."+n) {
				return true
			}
		}
		return slices.ContainsFunc(rules, func(rule config.ClaimRule) bool {
			return rule.Suffix == n && !slices.Contains(rule.Namespaces, owner)
		})
	}
	for n := name; wildcard != "" && n != wildcard[2:]; _, n, _ = strings.Cut(n, ".") {
		if exists(n) {
			return ""
		}
	}
	return wildcard
}

// C6, C7b, D10–D14, M3: what is answered for a name, and what a status that has it as its hostname leads to, are what its
// owner would expect, however the claims are spread over namespaces.
func TestWildcardsModel(t *testing.T) {
	labels := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(least, most int) string {
			return strings.Join(append(rapid.SliceOfN(rapid.SampledFrom(labels), least, most).Draw(rt, "labels"), "org."), ".")
		}
		var rules []config.ClaimRule
		if rapid.Bool().Draw(rt, "rules") {
			rules = []config.ClaimRule{{Suffix: "org.", Namespaces: []string{"n", "m", "o"}}}
			for range rapid.IntRange(1, 3).Draw(rt, "how many rules") {
				rule := config.ClaimRule{Suffix: draw(1, 3), Namespaces: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"n", "m", "o"}), 1, 2, rapid.ID).Draw(rt, "from")}
				if !slices.ContainsFunc(rules, func(r config.ClaimRule) bool { return r.Suffix == rule.Suffix }) {
					rules = append(rules, rule)
				}
			}
		}
		b := newBench(t, config.Options{Claims: rules})
		hosts, addrs := map[string]string{}, map[string]string{}
		for n := range rapid.IntRange(1, 8).Draw(rt, "hosts") {
			host, namespace := draw(1, 4), rapid.SampledFrom([]string{"n", "m", "o"}).Draw(rt, "namespace")
			if rapid.Bool().Draw(rt, "wildcard") {
				host = "*." + host
			}
			if hosts[host] != "" || !b.tr.options.MayClaim(host, namespace) {
				continue
			}
			hosts[host], addrs[host] = namespace, fmt.Sprintf("10.0.0.%d", n)
			i := testIngress(fmt.Sprintf("%s/i%d", namespace, n), strings.TrimSuffix(host, "."))
			i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: addrs[host]}}
			b.watcher.Ingresses("").Update(i)
		}
		names := map[string]bool{}
		for host := range hosts {
			for name := strings.TrimPrefix(host, "*."); name != ""; _, name, _ = strings.Cut(name, ".") {
				names[name], names["q."+name], names["a.q."+name] = true, true, true
			}
		}
		leads := map[string]string{} // by what they lead to: hosts of a namespace that claims nothing else
		for name := range names {
			i := testIngress(fmt.Sprintf("z/i%d", len(leads)), fmt.Sprintf("i%d.z.minilb", len(leads)))
			i.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: name}}
			b.watcher.Ingresses("").Update(i)
			leads[name] = i.Spec.Rules[0].Host + "."
		}
		b.sync()
		for name := range names {
			by := asOwner(hosts, rules, name)
			want := "-"
			if by != "" {
				want = addrs[by]
			}
			if got := b.addrs(name); got != want {
				rt.Errorf("%s: got %s, want %s of %q, of hosts %v with rules %v", name, got, want, by, hosts, rules)
			}
			if by == "" {
				want = name
			}
			if got := b.addrs(leads[name]); got != want {
				rt.Errorf("what leads to %s: got %s, want %s of %q, of hosts %v with rules %v", name, got, want, by, hosts, rules)
			}
			if result, node := b.index.Lookup("", name); node == records.Transparent {
				rt.Errorf("%s: %v with the node of a transparent name", name, result)
			}
		}
	})
}
