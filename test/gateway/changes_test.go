package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayChanges changes one object after the other, and what is answered follows: each
// step but the deletions applies the objects that differ from those before it.
func TestGatewayChanges(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, harness.StartUpstream(t)))
	s.WaitReady(t)
	namespace := harness.NewNamespace(t, c)
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
		cluster.Eventually(t, 10*time.Second, func() error {
			for _, line := range step.want {
				if err := expectHost(s, namespace, line); err != nil {
					return fmt.Errorf("%s: %w\n%s", step.name, err, strings.Join(s.Log.Lines(namespace+"/"), "\n"))
				}
			}
			return nil
		})
	}
}
