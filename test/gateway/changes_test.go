package gateway_test

import (
	"github.com/minilb/minilb/test/harness"

	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// TestGatewayChanges changes one object after the other, and what is answered follows: each
// step but the deletions applies the objects that differ from those before it.
func TestGatewayChanges(t *testing.T) {
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t)))
	s.WaitReady(t)
	const namespace = "changes"
	labelled := func(labels string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {" + labels + "}}}\n---\n"
	}
	selecting := func(team string) harness.Gateway {
		return harness.Gateway{Namespace: "NS-infra", Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: " + team + "}}}}}"}
	}
	far := harness.Route{Parents: "{name: gw, namespace: NS-infra}"}
	ownClass := func(controller string) string { return harness.GatewayClass("NS", controller) }
	service := exposedService("web", "10.244.0.1")
	openSet := harness.ListenerSet{Listeners: fromAll}
	guest := harness.Route{Namespace: "NS-infra", Name: "guest", Hosts: "b.NS.example", Parents: "{group: " + harness.Group + ", kind: ListenerSet, name: ls, namespace: NS}"}

	for _, step := range []struct {
		name          string
		apply, delete string
		want          []string
	}{
		{name: "nothing yet", apply: harness.Infra + labelled("") + harness.Manifest(selecting("a"), far), want: []string{"a -"}},
		// G16: a namespace's labels.
		{name: "the namespace gets the label", apply: labelled("team: a"), want: []string{"a 10.1.0.1"}},
		{name: "the namespace gets another", apply: labelled("team: b"), want: []string{"a -"}},
		{name: "the listener asks for that", apply: harness.Manifest(selecting("b")), want: []string{"a 10.1.0.1"}},
		{name: "the namespace loses it", apply: labelled(""), want: []string{"a -"}},
		// G15: the listener's namespaces.
		{name: "the listener allows all", apply: harness.Manifest(harness.Gateway{Namespace: "NS-infra", Listeners: fromAll}), want: []string{"a 10.1.0.1"}},
		{name: "the listener allows its own", apply: harness.Manifest(harness.Gateway{Namespace: "NS-infra"}), want: []string{"a -"}},
		// G22: an edit counts at once, before the controller has said anything of it.
		{name: "another parent, which the status does not have", apply: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached(far.Parents)}), want: []string{"a -"}},
		{name: "the controller has seen it", apply: harness.Manifest(harness.Route{}), want: []string{"a 10.1.0.1"}},
		{name: "another host", apply: harness.Manifest(harness.Route{Hosts: "b.NS.example"}), want: []string{"b 10.1.0.1", "a -"}},
		{name: "a wildcard", apply: harness.Manifest(harness.Route{Hosts: "'*.NS.example'"}), want: []string{"x.a 10.1.0.1", "b 10.1.0.1", "NS.example. -"}},
		{name: "the listener's hostname narrows it", apply: harness.Manifest(harness.Gateway{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: a.NS.example}`}), want: []string{"a 10.1.0.1", "b -", "x.a -"}},
		{name: "the listener is gone", apply: harness.Manifest(harness.Gateway{Listeners: `{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}`}), want: []string{"a -"}},
		{name: "the listener is back", apply: harness.Manifest(harness.Gateway{}, harness.Route{}), want: []string{"a 10.1.0.1", "b -"}},
		// G18, G20: what controllers take back.
		{name: "the route is refused", apply: accepting("False"), want: []string{"a -"}},
		{name: "the route is accepted", apply: accepting("True"), want: []string{"a 10.1.0.1"}},
		{name: "the listener is in conflict", apply: harness.Manifest(harness.Gateway{ListenerStatus: harness.ListenerStatus("http", harness.Condition("Conflicted", "True"))}), want: []string{"a -"}},
		{name: "the listener is not in conflict any more", apply: harness.Manifest(harness.Gateway{}), want: []string{"a 10.1.0.1"}},
		// G21: the class.
		{name: "a class that nobody has made", apply: harness.Manifest(harness.Gateway{Class: "NS"}), want: []string{"a 10.1.0.1"}},
		{name: "a class of another controller", apply: ownClass("example.org/other"), want: []string{"a -"}},
		{name: "that class is gone", delete: ownClass("example.org/other"), want: []string{"a 10.1.0.1"}},
		{name: "a class of this controller", apply: ownClass(harness.ControllerName), want: []string{"a 10.1.0.1"}},
		// G40, M7: addresses.
		{name: "another address", apply: harness.Manifest(harness.Gateway{Addresses: "{value: 10.1.0.2}"}), want: []string{"a 10.1.0.2"}},
		{name: "no address", apply: harness.Manifest(harness.Gateway{Addresses: "none"}), want: []string{"a -"}},
		{name: "the annotation of a Service that is not there", apply: harness.Manifest(harness.Gateway{Addresses: "none", Metadata: serves("web")}), want: []string{"a -"}},
		{name: "the Service is there", apply: service, want: []string{"a 10.244.0.1"}},
		{name: "the route has an annotation of its own", apply: harness.Manifest(harness.Route{Metadata: serves("other")}), want: []string{"a -"}},
		{name: "the route has it no more", apply: harness.Manifest(harness.Route{}), want: []string{"a 10.244.0.1"}},
		{name: "the Service is gone", delete: service, want: []string{"a -"}},
		{name: "an address again", apply: harness.Manifest(harness.Gateway{}), want: []string{"a 10.1.0.1"}},
		// M8.
		{name: "the Gateway is to be ignored", apply: harness.Manifest(harness.Gateway{Metadata: ignored}), want: []string{"a -"}},
		{name: "the Gateway is back", apply: harness.Manifest(harness.Gateway{}), want: []string{"a 10.1.0.1"}},
		{name: "the route is to be ignored", apply: harness.Manifest(harness.Route{Metadata: ignored}), want: []string{"a -"}},
		{name: "the route is back", apply: harness.Manifest(harness.Route{}), want: []string{"a 10.1.0.1"}},
		// G24.
		{name: "the Gateway is gone", delete: harness.Manifest(harness.Gateway{}), want: []string{"a -"}},
		{name: "the Gateway is made anew", apply: harness.Manifest(harness.Gateway{Addresses: "{value: 10.1.0.2}"}), want: []string{"a 10.1.0.2"}},
		{name: "the route is gone", delete: harness.Manifest(harness.Route{}), want: []string{"a -"}},
		// G51: a ListenerSet.
		{name: "a ListenerSet that the Gateway does not allow", apply: harness.Manifest(harness.Gateway{}, openSet, harness.Route{Parents: harness.ToSet}, guest), want: []string{"a -", "b -"}},
		{name: "the Gateway allows it", apply: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Same")}), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
		{name: "the Gateway allows those of some namespaces", apply: harness.Manifest(harness.Gateway{Spec: harness.ListenersFrom("from: Selector, selector: {matchLabels: {team: a}}")}), want: []string{"a -", "b -"}},
		// G16: it is the ListenerSet's namespace that counts, for routes of others, too.
		{name: "the namespace becomes one of them", apply: labelled("team: a"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
		{name: "the namespace is one of them no more", apply: labelled("team: b"), want: []string{"a -", "b -"}},
		{name: "the namespace is one of them again", apply: labelled("team: a"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
		{name: "the ListenerSet is for its own namespace", apply: harness.Manifest(harness.ListenerSet{}), want: []string{"a 10.1.0.1", "b -"}},
		{name: "the ListenerSet is refused", apply: harness.Manifest(harness.ListenerSet{Conditions: harness.Condition("Accepted", "False")}), want: []string{"a -"}},
		{name: "the ListenerSet is accepted", apply: harness.Manifest(harness.ListenerSet{}), want: []string{"a 10.1.0.1"}},
		{name: "the ListenerSet's listener is refused", apply: harness.Manifest(harness.ListenerSet{ListenerStatus: harness.ListenerStatus("http", harness.Condition("Accepted", "False"))}), want: []string{"a -"}},
		{name: "the ListenerSet's listener is accepted", apply: harness.Manifest(harness.ListenerSet{}), want: []string{"a 10.1.0.1"}},
		{name: "the ListenerSet is gone", delete: harness.Manifest(harness.ListenerSet{}), want: []string{"a -"}},
		{name: "the ListenerSet is made anew, at another Gateway", apply: harness.Manifest(harness.Gateway{Name: "second", Spec: harness.ListenersFrom("from: All"), Addresses: "{value: 10.1.0.3}"}, harness.ListenerSet{Parent: "name: second"}), want: []string{"a 10.1.0.3"}},
	} {
		inNamespace := strings.NewReplacer("NS", namespace)
		harness.Must(t, c.Apply(t.Context(), inNamespace.Replace(step.apply)))
		harness.Must(t, c.Delete(t.Context(), inNamespace.Replace(step.delete)))
		cluster.Eventually(t, 5*time.Second, func() error {
			for _, line := range step.want {
				if err := expectHost(s, namespace, line); err != nil {
					return fmt.Errorf("%s: %w\n%s", step.name, err, strings.Join(s.Log.Lines(namespace+"/"), "\n"))
				}
			}
			return nil
		})
	}
}

// TestGatewayProperties starts the real binary with each property that changes what of the
// Gateway API is served.
func TestGatewayProperties(t *testing.T) {
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	up := harness.StartUpstream(t)
	const namespace = "properties"
	harness.Must(t, c.Apply(t.Context(), strings.ReplaceAll(harness.Object("v1", "Namespace", "NS", "")+harness.Object("v1", "Namespace", "NS-other", "")+
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
	for _, tc := range []struct {
		properties []string
		want       []string
		logged     []string
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
		}, []string{`HTTPRoute properties/late: host "late.properties.example." is not served: listener "web" of ListenerSet properties/late conflicts with an older one`}},
		{[]string{"namespaces " + namespace}, []string{"first 10.1.0.1", "both 10.1.0.1 10.1.0.2", "set 10.1.0.2", "flat 10.244.0.1", "select 10.1.0.3", "other -", "cross -", "refused -"}, nil},
		// The Gateway of the route cross is in a namespace that is not read.
		{[]string{"namespaces " + namespace + "-other"}, []string{"first -", "set -", "other 10.2.0.1", "cross -", "ingress -"}, nil},
		{[]string{"namespaces " + namespace + " " + namespace + "-other"}, all, nil},
		// C6: the namespace of the route is the one that claims.
		{[]string{"claim " + namespace + ".example from " + namespace + "-other"}, []string{"other 10.2.0.1", "cross 10.1.0.1", "first -", "set -", "ingress -", "service -"},
			[]string{`HTTPRoute properties/r: host "first.properties.example." is refused: `, `GRPCRoute properties/r: host "second.properties.example." is refused: `}},
		{[]string{"claim " + namespace + ".example from " + namespace}, []string{"other -", "cross -", "first 10.1.0.1", "set 10.1.0.2", "ingress 10.9.0.1"},
			[]string{`HTTPRoute properties-other/r: host "other.properties.example." is refused: `}},
	} {
		t.Run(strings.Join(tc.properties, ","), func(t *testing.T) {
			s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up, tc.properties...))
			s.WaitReady(t)
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
