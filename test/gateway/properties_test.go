package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayProperties starts the real binary with a server block for each property that changes
// what of the Gateway API is served.
func TestGatewayProperties(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	up := harness.StartUpstream(t)
	namespace := harness.NewNamespace(t, c)
	harness.Must(t, c.Apply(t.Context(), strings.ReplaceAll(harness.Object("v1", "Namespace", "NS-other", "")+
		harness.GatewayClass("second", harness.ControllerName)+
		harness.Manifest(
			harness.Gateway{Spec: harness.ListenersFrom("from: Same"), Listeners: fromAll},
			harness.Gateway{Name: "second", Class: "second", Addresses: "{value: 10.1.0.2}", Spec: harness.ListenersFrom("from: Same")},
			harness.ListenerSet{Parent: "name: second"},
			harness.Gateway{Name: "flat", Addresses: "{type: Hostname, value: web.NS.minilb}"},
			harness.Route{Hosts: "first.NS.example"},
			harness.Route{Kind: "GRPCRoute", Hosts: "second.NS.example", Parents: "{name: second}"},
			harness.Route{Name: "both", Hosts: "both.NS.example", Parents: "{name: gw}, {name: second}"},
			harness.Route{Name: "set", Hosts: "set.NS.example", Parents: harness.ToSet},
			harness.Route{Name: "flat", Hosts: "flat.NS.example", Parents: "{name: flat}"},
			harness.Route{Name: "fresh", Hosts: "fresh.NS.example", Status: "none"},
			harness.Route{Name: "refused", Hosts: "refused.NS.example", Status: harness.ParentStatus("{name: gw}", harness.ControllerName, harness.Condition("Accepted", "False"))},
			harness.Route{Name: "absent", Hosts: "absent.NS.example", Parents: "{name: nobody}"},
			harness.Route{Name: "mesh", Hosts: "mesh.NS.example", Parents: `{group: "", kind: Service, name: gw}`},
			harness.Gateway{Name: "select", Addresses: "{value: 10.1.0.3}", Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: NS}}}}}"},
			harness.Route{Name: "select", Hosts: "select.NS.example", Parents: "{name: select}"},
			// Listeners that nobody has judged: two of them conflict with one that goes before (G53).
			harness.Gateway{Name: "silent", Spec: harness.ListenersFrom("from: Same"), ListenerStatus: "none"},
			harness.ListenerSet{Name: "clash", Parent: "name: silent", Conditions: "none"},
			harness.ListenerSet{Name: "first", Parent: "name: silent", Listeners: "{name: http, port: 81, protocol: HTTP}", Conditions: "none"},
			harness.ListenerSet{Name: "late", Parent: "name: silent", Listeners: "{name: web, port: 81, protocol: HTTP}", Conditions: "none"},
			harness.ListenerSet{Name: "later", Parent: "name: silent", Listeners: "{name: web, port: 81, protocol: HTTP, hostname: '*.NS.example'}", Conditions: "none"},
			harness.Route{Name: "clash", Hosts: "clash.NS.example", Parents: refToSet("clash"), Status: "none"},
			harness.Route{Name: "first", Hosts: "first-set.NS.example", Parents: refToSet("first"), Status: "none"},
			harness.Route{Name: "late", Hosts: "late.NS.example", Parents: refToSet("late"), Status: "none"},
			harness.Route{Name: "later", Hosts: "later.NS.example", Parents: refToSet("later"), Status: "none"},
			harness.Route{Name: "section", Hosts: "section.NS.example", Parents: "{name: gw, sectionName: nobody}"},
			harness.Gateway{Namespace: "NS-other", Addresses: "{value: 10.2.0.1}"},
			harness.Route{Namespace: "NS-other", Hosts: "other.NS.example"},
			harness.Route{Namespace: "NS-other", Name: "cross", Hosts: "cross.NS.example", Parents: "{name: gw, namespace: NS}"},
			harness.Route{Namespace: "NS-other", Name: "closed", Hosts: "closed.NS.example", Parents: "{name: flat, namespace: NS}", Status: "none"},
		)+exposedService("web", "10.244.0.1", "annotations: {minilb/host: service.NS.example}")+ingress("NS", "ingress.NS.example", "{ip: 10.9.0.1}"),
		"NS", namespace)))
	all := []string{
		"first 10.1.0.1", "second 10.1.0.2", "both 10.1.0.1 10.1.0.2", "set 10.1.0.2", "flat 10.244.0.1", "other 10.2.0.1", "cross 10.1.0.1",
		"select 10.1.0.3", "ingress 10.9.0.1", "service 10.244.0.1", "fresh -", "first-set -", "later -", "refused -", "absent -", "mesh -", "section -", "closed -",
	}
	cases := []struct {
		properties []string
		want       []string
		logged     []string // in one line, of all blocks
	}{
		{nil, all, nil},
		{[]string{"resources service ingress gateway"}, all, nil},
		{[]string{"resources service ingress"}, []string{"first -", "second -", "set -", "flat -", "ingress 10.9.0.1", "service 10.244.0.1"}, nil},
		{[]string{"resources gateway"}, []string{"first 10.1.0.1", "set 10.1.0.2", "flat 10.244.0.1", "ingress -", "service -"}, nil},
		{[]string{"gateway_classes example"}, []string{"first 10.1.0.1", "second -", "both 10.1.0.1", "set -", "flat 10.244.0.1", "other 10.2.0.1", "ingress 10.9.0.1"}, nil},
		{[]string{"gateway_classes second"}, []string{"first -", "second 10.1.0.2", "both 10.1.0.2", "set 10.1.0.2", "flat -", "other -", "service 10.244.0.1"}, nil},
		{[]string{"gateway_classes second example"}, all, nil},
		{[]string{"gateway_classes nobody"}, []string{"first -", "second -", "both -", "set -", "ingress 10.9.0.1", "service 10.244.0.1"}, nil},
		{[]string{"ingress_classes nobody"}, []string{"first 10.1.0.1", "set 10.1.0.2", "ingress -"}, nil},
		// G23: the rules of attachment hold all the same.
		{[]string{"require_accepted off"}, []string{
			"first 10.1.0.1", "set 10.1.0.2", "fresh 10.1.0.1", "refused 10.1.0.1", "absent -", "mesh -", "section -", "closed -",
			"clash -", "first-set 10.1.0.1", "late -", "later 10.1.0.1",
		}, []string{`HTTPRoute NS/late: host "late.NS.example" is not served: listener "web" of ListenerSet NS/late conflicts with an older one`}},
		{[]string{"namespaces " + namespace}, []string{"first 10.1.0.1", "both 10.1.0.1 10.1.0.2", "set 10.1.0.2", "flat 10.244.0.1", "select 10.1.0.3", "other -", "cross -", "refused -"}, nil},
		// The Gateway of the route cross is in a namespace that is not read.
		{[]string{"namespaces " + namespace + "-other"}, []string{"first -", "set -", "other 10.2.0.1", "cross -", "ingress -"}, nil},
		{[]string{"namespaces " + namespace + " " + namespace + "-other"}, all, nil},
		// C6: the namespace of the route is the one that claims.
		{[]string{"claim " + namespace + ".example from " + namespace + "-other"}, []string{"other 10.2.0.1", "cross 10.1.0.1", "first -", "set -", "ingress -", "service -"},
			[]string{`HTTPRoute NS/r: host "first.NS.example" is refused: `, `GRPCRoute NS/r: host "second.NS.example" is refused: `}},
		{[]string{"claim " + namespace + ".example from " + namespace}, []string{"other -", "cross -", "first 10.1.0.1", "set 10.1.0.2", "ingress 10.9.0.1"},
			[]string{`HTTPRoute NS-other/r: host "other.NS.example" is refused: `}},
	}
	addrs := harness.FreePorts(t, len(cases))
	var corefile strings.Builder
	for i, tc := range cases {
		port := "PORT" // of the block that the harness waits for
		if i > 0 {
			_, port, _ = net.SplitHostPort(addrs[i])
		}
		fmt.Fprintf(&corefile, ".:%s {\nbind 127.0.0.1\nREADY\nerrors\nminilb minilb {\nkubeconfig %s\n%s\n}\nforward . %s\n}\n",
			port, kubeconfig, strings.Join(tc.properties, "\n"), up)
	}
	server := harness.StartCoreDNS(t, corefile.String())
	server.WaitReady(t)
	addrs[0] = server.Addr
	for i, tc := range cases {
		t.Run(strings.Join(tc.properties, ","), func(t *testing.T) {
			s := &harness.CoreDNS{Addr: addrs[i], Log: server.Log}
			if err := cluster.Wait(t.Context(), 10*time.Second, func() error {
				return expectCase(s, gatewayCase{want: tc.want, logged: tc.logged, namespace: namespace})
			}); err != nil {
				t.Error(err)
			}
			// Whatever is served beside it, a Service's own name depends on its own property alone.
			rcode := dns.RcodeSuccess
			if len(tc.properties) > 0 && tc.properties[0] == "resources gateway" || strings.HasSuffix(strings.Join(tc.properties, ""), "namespaces "+namespace+"-other") {
				rcode = dns.RcodeNameError
			}
			if reply, err := s.Ask("udp", "web."+namespace+".minilb", dns.TypeA); err != nil || reply.Rcode != rcode {
				t.Errorf("the Service's own name: got %v, %v, want %s", reply, err, dns.RcodeToString[rcode])
			}
		})
	}
}

// refToSet is the parentRef of a ListenerSet.
func refToSet(name string) string {
	return "{group: " + harness.Group + ", kind: ListenerSet, name: " + name + "}"
}
