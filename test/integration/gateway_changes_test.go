package integration_test

import (
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
	c := gatewayCluster(t, cluster.NewestGatewayAPI)
	s := startCoreDNS(t, resolverFor(shippedAccounts(t, c).dns, startUpstream(t)))
	s.waitReady(t)
	const namespace = "changes"
	labelled := func(labels string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: NS, labels: {" + labels + "}}}\n---\n"
	}
	selecting := func(team string) gateway {
		return gateway{namespace: "NS-infra", listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: " + team + "}}}}}"}
	}
	far := route{parents: "{name: gw, namespace: NS-infra}"}
	ownClass := func(controller string) string { return gatewayClass("NS", controller) }
	service := exposedService("web", "10.244.0.1")
	openSet := listenerSet{listeners: fromAll}
	guest := route{namespace: "NS-infra", name: "guest", hosts: "b.NS.example", parents: "{group: " + group + ", kind: ListenerSet, name: ls, namespace: NS}"}

	for _, step := range []struct {
		name          string
		apply, delete string
		want          []string
	}{
		{name: "nothing yet", apply: infra + labelled("") + manifest(selecting("a"), far), want: []string{"a -"}},
		// G16: a namespace's labels.
		{name: "the namespace gets the label", apply: labelled("team: a"), want: []string{"a 10.1.0.1"}},
		{name: "the namespace gets another", apply: labelled("team: b"), want: []string{"a -"}},
		{name: "the listener asks for that", apply: manifest(selecting("b")), want: []string{"a 10.1.0.1"}},
		{name: "the namespace loses it", apply: labelled(""), want: []string{"a -"}},
		// G15: the listener's namespaces.
		{name: "the listener allows all", apply: manifest(gateway{namespace: "NS-infra", listeners: fromAll}), want: []string{"a 10.1.0.1"}},
		{name: "the listener allows its own", apply: manifest(gateway{namespace: "NS-infra"}), want: []string{"a -"}},
		// G22: an edit counts at once, before the controller has said anything of it.
		{name: "another parent, which the status does not have", apply: manifest(gateway{}, route{status: attached(far.parents)}), want: []string{"a -"}},
		{name: "the controller has seen it", apply: manifest(route{}), want: []string{"a 10.1.0.1"}},
		{name: "another host", apply: manifest(route{hosts: "b.NS.example"}), want: []string{"b 10.1.0.1", "a -"}},
		{name: "a wildcard", apply: manifest(route{hosts: "'*.NS.example'"}), want: []string{"x.a 10.1.0.1", "b 10.1.0.1", "NS.example. -"}},
		{name: "the listener's hostname narrows it", apply: manifest(gateway{listeners: `{name: http, port: 80, protocol: HTTP, hostname: a.NS.example}`}), want: []string{"a 10.1.0.1", "b -", "x.a -"}},
		{name: "the listener is gone", apply: manifest(gateway{listeners: `{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}`}), want: []string{"a -"}},
		{name: "the listener is back", apply: manifest(gateway{}, route{}), want: []string{"a 10.1.0.1", "b -"}},
		// G18, G20: what controllers take back.
		{name: "the route is refused", apply: accepting("False"), want: []string{"a -"}},
		{name: "the route is accepted", apply: accepting("True"), want: []string{"a 10.1.0.1"}},
		{name: "the listener is in conflict", apply: manifest(gateway{listenerStatus: listenerStatus("http", condition("Conflicted", "True"))}), want: []string{"a -"}},
		{name: "the listener is not in conflict any more", apply: manifest(gateway{}), want: []string{"a 10.1.0.1"}},
		// G21: the class.
		{name: "a class that nobody has made", apply: manifest(gateway{class: "NS"}), want: []string{"a 10.1.0.1"}},
		{name: "a class of another controller", apply: ownClass("example.org/other"), want: []string{"a -"}},
		{name: "that class is gone", delete: ownClass("example.org/other"), want: []string{"a 10.1.0.1"}},
		{name: "a class of this controller", apply: ownClass(controllerName), want: []string{"a 10.1.0.1"}},
		// G40, M7: addresses.
		{name: "another address", apply: manifest(gateway{addresses: "{value: 10.1.0.2}"}), want: []string{"a 10.1.0.2"}},
		{name: "no address", apply: manifest(gateway{addresses: "none"}), want: []string{"a -"}},
		{name: "the annotation of a Service that is not there", apply: manifest(gateway{addresses: "none", metadata: serves("web")}), want: []string{"a -"}},
		{name: "the Service is there", apply: service, want: []string{"a 10.244.0.1"}},
		{name: "the route has an annotation of its own", apply: manifest(route{metadata: serves("other")}), want: []string{"a -"}},
		{name: "the route has it no more", apply: manifest(route{}), want: []string{"a 10.244.0.1"}},
		{name: "the Service is gone", delete: service, want: []string{"a -"}},
		{name: "an address again", apply: manifest(gateway{}), want: []string{"a 10.1.0.1"}},
		// M8.
		{name: "the Gateway is to be ignored", apply: manifest(gateway{metadata: ignored}), want: []string{"a -"}},
		{name: "the Gateway is back", apply: manifest(gateway{}), want: []string{"a 10.1.0.1"}},
		{name: "the route is to be ignored", apply: manifest(route{metadata: ignored}), want: []string{"a -"}},
		{name: "the route is back", apply: manifest(route{}), want: []string{"a 10.1.0.1"}},
		// G24.
		{name: "the Gateway is gone", delete: manifest(gateway{}), want: []string{"a -"}},
		{name: "the Gateway is made anew", apply: manifest(gateway{addresses: "{value: 10.1.0.2}"}), want: []string{"a 10.1.0.2"}},
		{name: "the route is gone", delete: manifest(route{}), want: []string{"a -"}},
		// G51: a ListenerSet.
		{name: "a ListenerSet that the Gateway does not allow", apply: manifest(gateway{}, openSet, route{parents: toSet}, guest), want: []string{"a -", "b -"}},
		{name: "the Gateway allows it", apply: manifest(gateway{spec: listenersFrom("from: Same")}), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
		{name: "the Gateway allows those of some namespaces", apply: manifest(gateway{spec: listenersFrom("from: Selector, selector: {matchLabels: {team: a}}")}), want: []string{"a -", "b -"}},
		// G16: it is the ListenerSet's namespace that counts, for routes of others, too.
		{name: "the namespace becomes one of them", apply: labelled("team: a"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
		{name: "the namespace is one of them no more", apply: labelled("team: b"), want: []string{"a -", "b -"}},
		{name: "the namespace is one of them again", apply: labelled("team: a"), want: []string{"a 10.1.0.1", "b 10.1.0.1"}},
		{name: "the ListenerSet is for its own namespace", apply: manifest(listenerSet{}), want: []string{"a 10.1.0.1", "b -"}},
		{name: "the ListenerSet is refused", apply: manifest(listenerSet{conditions: condition("Accepted", "False")}), want: []string{"a -"}},
		{name: "the ListenerSet is accepted", apply: manifest(listenerSet{}), want: []string{"a 10.1.0.1"}},
		{name: "the ListenerSet's listener is refused", apply: manifest(listenerSet{listenerStatus: listenerStatus("http", condition("Accepted", "False"))}), want: []string{"a -"}},
		{name: "the ListenerSet's listener is accepted", apply: manifest(listenerSet{}), want: []string{"a 10.1.0.1"}},
		{name: "the ListenerSet is gone", delete: manifest(listenerSet{}), want: []string{"a -"}},
		{name: "the ListenerSet is made anew, at another Gateway", apply: manifest(gateway{name: "second", spec: listenersFrom("from: All"), addresses: "{value: 10.1.0.3}"}, listenerSet{parent: "name: second"}), want: []string{"a 10.1.0.3"}},
	} {
		inNamespace := strings.NewReplacer("NS", namespace)
		must(t, c.Apply(t.Context(), inNamespace.Replace(step.apply)))
		must(t, c.Delete(t.Context(), inNamespace.Replace(step.delete)))
		cluster.Eventually(t, 5*time.Second, func() error {
			for _, line := range step.want {
				if err := s.expectHost(namespace, line); err != nil {
					return fmt.Errorf("%s: %w\n%s", step.name, err, strings.Join(s.log.lines(namespace+"/"), "\n"))
				}
			}
			return nil
		})
	}
}

// TestGatewayProperties starts the real binary with each property that changes what of the
// Gateway API is served.
func TestGatewayProperties(t *testing.T) {
	c := gatewayCluster(t, cluster.NewestGatewayAPI)
	kubeconfig := shippedAccounts(t, c).dns
	up := startUpstream(t)
	const namespace = "properties"
	must(t, c.Apply(t.Context(), strings.ReplaceAll(object("v1", "Namespace", "NS", "")+object("v1", "Namespace", "NS-other", "")+
		gatewayClass("second", controllerName)+
		manifest(
			gateway{spec: listenersFrom("from: Same"), listeners: fromAll},
			gateway{name: "second", class: "second", addresses: "{value: 10.1.0.2}", spec: listenersFrom("from: Same")},
			listenerSet{parent: "name: second"},
			gateway{name: "flat", addresses: "{type: Hostname, value: web.NS.minilb}"},
			route{hosts: "first.NS.example"},
			route{kind: "GRPCRoute", hosts: "second.NS.example", parents: "{name: second}"},
			route{name: "both", hosts: "both.NS.example", parents: "{name: gw}, {name: second}"},
			route{name: "set", hosts: "set.NS.example", parents: toSet},
			route{name: "flat", hosts: "flat.NS.example", parents: "{name: flat}"},
			route{name: "fresh", hosts: "fresh.NS.example", status: "none"},
			route{name: "refused", hosts: "refused.NS.example", status: parentStatus("{name: gw}", controllerName, condition("Accepted", "False"))},
			route{name: "absent", hosts: "absent.NS.example", parents: "{name: nobody}"},
			route{name: "mesh", hosts: "mesh.NS.example", parents: `{group: "", kind: Service, name: gw}`},
			gateway{name: "select", addresses: "{value: 10.1.0.3}", listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: NS}}}}}"},
			route{name: "select", hosts: "select.NS.example", parents: "{name: select}"},
			// Listeners that nobody has judged: two of them conflict with one that goes before (G53).
			gateway{name: "silent", spec: listenersFrom("from: Same"), listenerStatus: "none"},
			listenerSet{name: "clash", parent: "name: silent", conditions: "none"},
			listenerSet{name: "first", parent: "name: silent", listeners: "{name: http, port: 81, protocol: HTTP}", conditions: "none"},
			listenerSet{name: "late", parent: "name: silent", listeners: "{name: web, port: 81, protocol: HTTP}", conditions: "none"},
			listenerSet{name: "later", parent: "name: silent", listeners: "{name: web, port: 81, protocol: HTTP, hostname: '*.NS.example'}", conditions: "none"},
			route{name: "clash", hosts: "clash.NS.example", parents: refToSet("clash"), status: "none"},
			route{name: "first", hosts: "first-set.NS.example", parents: refToSet("first"), status: "none"},
			route{name: "late", hosts: "late.NS.example", parents: refToSet("late"), status: "none"},
			route{name: "later", hosts: "later.NS.example", parents: refToSet("later"), status: "none"},
			route{name: "section", hosts: "section.NS.example", parents: "{name: gw, sectionName: nobody}"},
			gateway{namespace: "NS-other", addresses: "{value: 10.2.0.1}"},
			route{namespace: "NS-other", hosts: "other.NS.example"},
			route{namespace: "NS-other", name: "cross", hosts: "cross.NS.example", parents: "{name: gw, namespace: NS}"},
			route{namespace: "NS-other", name: "closed", hosts: "closed.NS.example", parents: "{name: flat, namespace: NS}", status: "none"},
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
			s := startCoreDNS(t, resolverFor(kubeconfig, up, tc.properties...))
			s.waitReady(t)
			if err := cluster.Wait(t.Context(), 10*time.Second, func() error {
				return s.expectCase(gatewayCase{want: tc.want, logged: tc.logged, namespace: namespace})
			}); err != nil {
				t.Error(err)
			}
			// Whatever is served beside it, a Service's own name depends on its own property alone.
			rcode := dns.RcodeSuccess
			if len(tc.properties) > 0 && tc.properties[0] == "resources gateway" || strings.HasSuffix(strings.Join(tc.properties, ""), "namespaces "+namespace+"-other") {
				rcode = dns.RcodeNameError
			}
			if reply, err := s.ask("udp", "web."+namespace+".minilb", dns.TypeA); err != nil || reply.Rcode != rcode {
				t.Errorf("the Service's own name: got %v, %v, want %s", reply, err, dns.RcodeToString[rcode])
			}
		})
	}
}

// refToSet is the parentRef of a ListenerSet.
func refToSet(name string) string {
	return "{group: " + group + ", kind: ListenerSet, name: " + name + "}"
}
