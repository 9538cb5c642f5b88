package integration_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// A tenant's routes and ListenerSets attach to no Gateway that does not let them, whatever their status
// says, and get none of the victim's names by a Gateway of its own. The status is a controller's that
// accepts everything.
func TestTenantGateways(t *testing.T) {
	n := newTenants(t, gatewayCluster(t, cluster.NewestGatewayAPI))
	s := n.serve(t)
	n.guard(t, s)
	v, e := n.victim, n.evil.namespace
	// The victim's Gateways: for its own routes alone, for those of selected namespaces, and for all.
	must(t, n.cluster.Apply(t.Context(), manifest(
		gateway{namespace: v, listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.gw.` + v + `.example"}`},
		gateway{namespace: v, name: "chosen", listeners: `{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: ` + v + `}}}}}`},
		gateway{namespace: v, name: "open", listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.open.` + v + `.example", allowedRoutes: {namespaces: {from: All}}}`, addresses: "{value: 10.1.0.3}"},
		gateway{namespace: v, name: "sets", spec: "allowedListeners: {namespaces: {from: Same}}"},
		route{namespace: v, hosts: "shop.gw." + v + ".example"},
		route{namespace: v, name: "open", hosts: "first.open." + v + ".example", parents: "{name: open}"},
	)))
	cluster.Eventually(t, 5*time.Second, func() error {
		return errors.Join(s.expect("shop.gw."+v+".example", dns.TypeA, "10.1.0.1"), s.expect("first.open."+v+".example", dns.TypeA, "10.1.0.3"))
	})
	time.Sleep(1100 * time.Millisecond)

	// What the tenant writes, and what a controller makes of it.
	for _, objects := range []string{
		manifest(gateway{namespace: e, listeners: `{name: http, port: 80, protocol: HTTP}, {name: zone, port: 81, protocol: HTTP, hostname: "*.minilb"}`, addresses: "{value: " + evilPod + "}"}),
		manifest(route{namespace: e, name: "own", hosts: strings.Join([]string{"web." + v + ".minilb", "other." + v + ".minilb", v + ".minilb", "ns1.minilb", "'*." + v + ".minilb'", "www." + v + ".example", "'*.apps." + v + ".example'", "shop.gw." + v + ".example", "own." + e + ".example"}, ", ")}),
		manifest(route{namespace: e, name: "zone", hosts: "none", parents: "{name: gw, sectionName: zone}"}),
		manifest(route{namespace: e, name: "private", hosts: "login.gw." + v + ".example", parents: "{name: gw, namespace: " + v + "}"}),
		manifest(route{namespace: e, name: "chosen", hosts: "chosen." + e + ".example", parents: "{name: chosen, namespace: " + v + "}"}),
		manifest(route{namespace: e, name: "listener", hosts: "outside." + e + ".example, first.open." + v + ".example, second.open." + v + ".example", parents: "{name: open, namespace: " + v + "}"}),
		manifest(listenerSet{namespace: e, parent: "name: sets, namespace: " + v, listeners: `{name: set, port: 8000, protocol: HTTP, hostname: "*.set.` + e + `.example"}`}),
		manifest(route{namespace: e, name: "set", hosts: "a.set." + e + ".example", parents: "{kind: ListenerSet, name: ls}"}),
	} {
		must(t, n.evil.apply(objects))
		must(t, n.cluster.Apply(t.Context(), objects))
	}
	for name, want := range map[string]string{
		"own." + e + ".example":         evilPod,    // to show that the rest of it counts
		"second.open." + v + ".example": "10.1.0.3", // which the victim lets anybody have
		"first.open." + v + ".example":  "10.1.0.3",
		"shop.gw." + v + ".example":     "10.1.0.1",
	} {
		cluster.Eventually(t, 5*time.Second, func() error { return s.expect(name, dns.TypeA, want) })
	}
	for _, line := range [][2]string{
		{"own: host \"other." + v + ".minilb.\" is refused", "belong to namespace"},
		{"own: host \"*." + v + ".minilb.\" is refused", "belong to namespace"},
		{"own: host \"ns1.minilb.\" is refused", "it is the name server of zone minilb."},
		{"own: 3 more of its hosts", ""},
		{"zone: host \"*.minilb.\" is refused", "it would cover every namespace of zone minilb."},
		{"private: host \"login.gw." + v + ".example.\" is not served", "allows no routes of namespace"},
		{"chosen: host \"chosen." + e + ".example.\" is not served", "allows no routes of namespace"},
		{"listener: host \"first.open." + v + ".example.\" is refused", "another namespace claimed it earlier"},
		{"set: host \"a.set." + e + ".example.\" is not served", "does not allow ListenerSet " + e + "/ls by its allowedListeners"},
	} {
		cluster.Eventually(t, 5*time.Second, func() error {
			told := 0
			for _, logged := range s.log.lines("HTTPRoute " + e + "/" + line[0]) {
				if strings.Contains(logged, line[1]) {
					told++
				}
			}
			if told != 1 {
				return fmt.Errorf("%d lines with %q, want one, of\n%s", told, line, grep(s.log.String(), e+"/"))
			}
			return nil
		})
	}
	for _, name := range []string{"login.gw." + v + ".example", "chosen." + e + ".example", "outside." + e + ".example", "a.set." + e + ".example"} {
		if err := s.expect(name, dns.TypeA); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"x.ns1.minilb", "nobodys.minilb", "a.b.minilb"} {
		if err := s.expectRcode(name, dns.TypeA, dns.RcodeNameError); err != nil {
			t.Error(err)
		}
	}
	if got := s.rejected(); got["reserved"] != 6 || got["conflict"] != 4 || got["dead"] != 3 || got["invalid"] != 0 {
		t.Errorf("claims_rejected: got %v", got)
	}
}
