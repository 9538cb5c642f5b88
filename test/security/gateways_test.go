package security_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// A tenant's routes and ListenerSets attach to no Gateway that does not let them, whatever their status
// says, and get none of the victim's names by a Gateway of its own. The status is a controller's that
// accepts everything.
func TestTenantGateways(t *testing.T) {
	t.Parallel()
	n := harness.NewTenants(t, harness.GatewayCluster(t, cluster.NewestGatewayAPI))
	s := n.Serve(t)
	n.Guard(t, s)
	v, e := n.Victim, n.Evil.Namespace
	// The victim's Gateways: for its own routes alone, for those of selected namespaces, and for all.
	harness.Must(t, n.Cluster.Apply(t.Context(), harness.Manifest(
		harness.Gateway{Namespace: v, Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.` + v + `.example"}`},
		harness.Gateway{Namespace: v, Name: "chosen", Listeners: `{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: ` + v + `}}}}}`},
		harness.Gateway{Namespace: v, Name: "open", Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.open.` + v + `.example", allowedRoutes: {namespaces: {from: All}}}`, Addresses: "{value: 10.1.0.3}"},
		harness.Gateway{Namespace: v, Name: "sets", Spec: "allowedListeners: {namespaces: {from: Same}}"},
		harness.Route{Namespace: v, Hosts: "shop.gw." + v + ".example"},
		harness.Route{Namespace: v, Name: "open", Hosts: "first.open." + v + ".example", Parents: "{name: open}"},
	)))
	cluster.Eventually(t, patience, func() error {
		return errors.Join(s.Expect("shop.gw."+v+".example", dns.TypeA, "10.1.0.1"), s.Expect("first.open."+v+".example", dns.TypeA, "10.1.0.3"))
	})
	last, err := n.Cluster.Dynamic.Resource(harness.HttpRoutes).Namespace(v).Get(t.Context(), "open", metav1.GetOptions{})
	harness.Must(t, err)
	harness.NextSecond(t, last)

	// What the tenant writes, and what a controller makes of it.
	for _, objects := range []string{
		harness.Manifest(harness.Gateway{Namespace: e, Listeners: `{name: http, port: 80, protocol: HTTP}, {name: zone, port: 81, protocol: HTTP, hostname: "*.minilb"}`, Addresses: "{value: " + harness.EvilPod + "}"}),
		harness.Manifest(harness.Route{Namespace: e, Name: "own", Hosts: strings.Join([]string{"web." + v + ".minilb", "other." + v + ".minilb", v + ".minilb", "ns1.minilb", "'*." + v + ".minilb'", "www." + v + ".example", "'*.apps." + v + ".example'", "shop.gw." + v + ".example", "own." + e + ".example"}, ", ")}),
		harness.Manifest(harness.Route{Namespace: e, Name: "zone", Hosts: "none", Parents: "{name: gw, sectionName: zone}"}),
		harness.Manifest(harness.Route{Namespace: e, Name: "private", Hosts: "login.gw." + v + ".example", Parents: "{name: gw, namespace: " + v + "}"}),
		harness.Manifest(harness.Route{Namespace: e, Name: "chosen", Hosts: "chosen." + e + ".example", Parents: "{name: chosen, namespace: " + v + "}"}),
		harness.Manifest(harness.Route{Namespace: e, Name: "listener", Hosts: "outside." + e + ".example, first.open." + v + ".example, second.open." + v + ".example", Parents: "{name: open, namespace: " + v + "}"}),
		harness.Manifest(harness.ListenerSet{Namespace: e, Parent: "name: sets, namespace: " + v, Listeners: `{name: set, port: 8000, protocol: HTTP, hostname: "*.set.` + e + `.example"}`}),
		harness.Manifest(harness.Route{Namespace: e, Name: "set", Hosts: "a.set." + e + ".example", Parents: "{kind: ListenerSet, name: ls}"}),
	} {
		harness.Must(t, n.Evil.Apply(objects))
		harness.Must(t, n.Cluster.Apply(t.Context(), objects))
	}
	for name, want := range map[string]string{
		"own." + e + ".example":         harness.EvilPod, // to show that the rest of it counts
		"second.open." + v + ".example": "10.1.0.3",      // which the victim lets anybody have
		"first.open." + v + ".example":  "10.1.0.3",      // C3: on the victim's own Gateway it leads nowhere else
		"shop.gw." + v + ".example":     "10.1.0.1",
	} {
		cluster.Eventually(t, patience, func() error { return s.Expect(name, dns.TypeA, want) })
	}
	for _, line := range [][2]string{
		{"own: host \"other." + v + ".minilb\" is refused", "belong to namespace"},
		{"own: host \"*." + v + ".minilb\" is refused", "belong to namespace"},
		{"own: host \"ns1.minilb\" is refused", "it is the name server of zone minilb"},
		{"own: 3 more of its hosts", ""},
		{"zone: host \"*.minilb\" is refused", "it would cover every namespace of zone minilb"},
		{"private: host \"login.gw." + v + ".example\" is not served", "allows no routes of namespace"},
		{"chosen: host \"chosen." + e + ".example\" is not served", "allows no routes of namespace"},
		{"set: host \"a.set." + e + ".example\" is not served", "does not allow ListenerSet " + e + "/ls by its allowedListeners"},
	} {
		cluster.Eventually(t, patience, func() error {
			told := 0
			for _, logged := range s.Log.Lines("HTTPRoute " + e + "/" + line[0]) {
				if strings.Contains(logged, line[1]) {
					told++
				}
			}
			if told != 1 {
				return fmt.Errorf("%d lines with %q, want one, of\n%s", told, line, harness.Grep(s.Log.String(), e+"/"))
			}
			return nil
		})
	}
	for _, name := range []string{"login.gw." + v + ".example", "chosen." + e + ".example", "outside." + e + ".example", "a.set." + e + ".example"} {
		if err := s.Expect(name, dns.TypeA); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"x.ns1.minilb", "nobodys.minilb", "a.b.minilb"} {
		if err := s.ExpectRcode(name, dns.TypeA, dns.RcodeNameError); err != nil {
			t.Error(err)
		}
	}
	if got := rejected(s); got["reserved"] != 6 || got["conflict"] != 3 || got["dead"] != 4 || got["invalid"] != 0 {
		t.Errorf("claims_rejected: got %v", got)
	}
}
