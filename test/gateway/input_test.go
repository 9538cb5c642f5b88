package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayBadInput gives the server objects that are no longer, or not yet, what it knows: the
// API server's schemas are relaxed to let anything through, as those of a release to come may.
// Each item costs itself alone.
func TestGatewayBadInput(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	kinds := []string{"gateways", "gatewayclasses", "listenersets", "httproutes", "grpcroutes", "tlsroutes"}
	harness.Parallel(t, len(kinds), func(i int) error { return relax(t.Context(), c, kinds[i]+"."+harness.Group) })
	servers := applyBetween(t, c, inputCases)
	expectCases(t, inputCases, servers)
	for server, s := range servers {
		cluster.Eventually(t, 10*time.Second, func() error { // what is counted is said only then
			if lines := s.Log.Lines("is left out"); len(lines) != len(unreadable) {
				return fmt.Errorf("the server that was %s left out %d objects, want %d:\n%s", server, len(lines), len(unreadable), strings.Join(lines, "\n"))
			}
			// All warnings are of this reason here, but for that of a start that takes long.
			rejected := len(s.Log.Lines("[WARNING]")) - len(s.Log.Lines("Starting without the cluster's state"))
			want := fmt.Sprintf(`coredns_minilb_claims_rejected{reason="invalid"} %d`, rejected)
			if _, metrics := harness.Get(s.Prom); !strings.Contains(metrics, want+"\n") {
				return fmt.Errorf("the server that was %s has no %s:\n%s", server, want, harness.Grep(metrics, "rejected"))
			}
			return nil
		})
	}

	t.Run("an object that breaks, and is mended", func(t *testing.T) {
		const namespace = "mended"
		in := strings.NewReplacer("NS", namespace)
		harness.Must(t, c.Apply(t.Context(), in.Replace(harness.Object("v1", "Namespace", "NS", "")+harness.Manifest(harness.Gateway{}, harness.Route{}, harness.Route{Name: "other", Hosts: "b.NS.example"}))))
		for _, step := range []struct {
			apply string
			want  []string
		}{
			{"", []string{"a 10.1.0.1", "b 10.1.0.1"}},
			{harness.Manifest(harness.Route{Parents: "{name: gw, port: eighty}"}), []string{"a -", "b 10.1.0.1"}},
			{harness.Manifest(harness.Route{}), []string{"a 10.1.0.1", "b 10.1.0.1"}},
			{raw("Gateway", "gw", "spec: {listeners: 5}"), []string{"a -", "b -"}},
			{harness.Manifest(harness.Gateway{}), []string{"a 10.1.0.1", "b 10.1.0.1"}},
		} {
			harness.Must(t, c.Apply(t.Context(), in.Replace(step.apply)))
			cluster.Eventually(t, 10*time.Second, func() error {
				var errs []error
				for _, line := range step.want {
					errs = append(errs, expectHost(servers["watching"], namespace, line))
				}
				return errors.Join(errs...)
			})
		}
	})
}

// relax lets the API server take anything for the resource, and add nothing to it.
func relax(ctx context.Context, c *cluster.Cluster, name string) error {
	definitions := c.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	definition, err := definitions.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		return err
	}
	for _, version := range versions {
		version.(map[string]any)["schema"] = map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "x-kubernetes-preserve-unknown-fields": true,
		}}
	}
	if err := unstructured.SetNestedSlice(definition.Object, versions, "spec", "versions"); err != nil {
		return err
	}
	if _, err := definitions.Update(ctx, definition, metav1.UpdateOptions{}); err != nil {
		return err
	}
	// The schema is in force when an object that it does not fit is taken.
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	probe := fmt.Sprintf("{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: probe}, spec: 5}", kind)
	if err := cluster.Wait(ctx, 20*time.Second, func() error { return c.Apply(ctx, probe) }); err != nil {
		return err
	}
	return c.Delete(ctx, probe)
}

// inputCases are those that the relaxed API server lets through, and the published one does not.
var inputCases = inNamespaces(append([]gatewayCase{
	// What is left out of an object has its default, without the API server's help.
	{name: "G10: a parent without group and kind", objects: harness.Manifest(harness.Gateway{}, harness.Route{}), want: []string{"a 10.1.0.1"}},
	{name: "G10: a parent with empty fields", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{name: gw, kind: '', namespace: '', sectionName: '', port: 0}"}), want: []string{"a 10.1.0.1"}},
	{name: "G10: a parent of the empty group", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{name: gw, group: ''}"}), want: []string{"a -"}},
	{name: "G15: a listener without allowedRoutes", objects: harness.Infra + harness.Manifest(harness.Gateway{}, harness.Route{}, harness.Route{Namespace: "NS-infra", Hosts: "b.NS.example", Parents: "{name: gw, namespace: NS}"}), want: []string{"a 10.1.0.1", "b -"}},
	{name: "G15: a listener that allows nothing in particular", objects: harness.Manifest(harness.Gateway{Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {}}"}, harness.Route{}), want: []string{"a 10.1.0.1"}},
	{name: "G15: None", objects: harness.Manifest(harness.Gateway{Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}"}, harness.Route{}), want: []string{"a -"}},
	{name: "G15: a choice of namespaces that nobody knows", objects: harness.Manifest(harness.Gateway{Listeners: "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Sometimes}}}"}, harness.Route{}), want: []string{"a -"}},
	{name: "G20: equal after defaulting, the status filled in", objects: harness.Manifest(harness.Gateway{}, harness.Route{Status: harness.Attached("{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw, sectionName: '', port: 0}")}), want: []string{"a 10.1.0.1"}},
	{name: "G20: equal after defaulting, the spec filled in", objects: harness.Manifest(harness.Gateway{}, harness.Route{Parents: "{group: gateway.networking.k8s.io, kind: Gateway, namespace: NS, name: gw}", Status: harness.Attached("{name: gw}")}), want: []string{"a 10.1.0.1"}},
	{name: "G31: a TLSRoute without hosts",
		objects: harness.Manifest(harness.Gateway{Listeners: "{name: tls, port: 443, protocol: TLS, hostname: a.NS.example}"}, harness.Route{Kind: "TLSRoute", Hosts: "none"}),
		want:    []string{"a 10.1.0.1"}},
	{name: "G40: an address without a type", objects: address("{value: 10.1.0.5}"), want: []string{"a 10.1.0.5"}},
	{name: "G50: a ListenerSet's parent without group and kind", objects: setOfSame(harness.ListenerSet{}), want: []string{"a 10.1.0.1"}},
	{name: "G51: a Gateway without allowedListeners", objects: harness.Manifest(harness.Gateway{}, harness.ListenerSet{}, harness.Route{Parents: harness.ToSet}), want: []string{"a -"}},
	{name: "G51: allowedListeners that say nothing", objects: harness.Manifest(harness.Gateway{Spec: "allowedListeners: {}"}, harness.ListenerSet{}, harness.Route{Parents: harness.ToSet}), want: []string{"a -"}},

	// Objects with next to nothing, or with nulls, beside one that is complete.
	{name: "G2: nothing at all", objects: neighbours + raw("Gateway", "bare", "") + raw("ListenerSet", "bare", "") + raw("HTTPRoute", "bare", "") + raw("GRPCRoute", "bare", "") + raw("TLSRoute", "bare", "") +
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: NS}}\n---\n" +
		harness.Manifest(harness.Route{Name: "at-bare", Hosts: "b.NS.example", Parents: "{name: bare}"}, harness.Route{Name: "at-bare-set", Hosts: "c.NS.example", Parents: "{kind: ListenerSet, name: bare}"}, harness.Gateway{Name: "classless", Class: "NS"}, harness.Route{Name: "classless", Hosts: "d.NS.example", Parents: "{name: classless}"}),
		want: []string{"a 10.1.0.1", "b -", "c -", "d 10.1.0.1"}},
	{name: "G2: empty objects", objects: neighbours + raw("Gateway", "bare", "spec: {}, status: {}") + raw("ListenerSet", "bare", "spec: {}, status: {}") + raw("HTTPRoute", "bare", "spec: {}, status: {}") + raw("GRPCRoute", "bare", "spec: {}, status: {}") + raw("TLSRoute", "bare", "spec: {}, status: {}"),
		want: []string{"a 10.1.0.1"}},
	{name: "G2: lists of empty objects", objects: neighbours +
		raw("Gateway", "bare", "spec: {listeners: [{}], addresses: [{}], allowedListeners: {namespaces: {}}}, status: {addresses: [{}], listeners: [{}], conditions: [{}]}") +
		raw("ListenerSet", "bare", "spec: {parentRef: {}, listeners: [{}]}, status: {listeners: [{}], conditions: [{}]}") +
		raw("HTTPRoute", "bare", "spec: {parentRefs: [{}], hostnames: ['']}, status: {parents: [{}]}") +
		raw("GRPCRoute", "bare", "spec: {parentRefs: [{}], hostnames: ['']}, status: {parents: [{parentRef: {}, conditions: [{}]}]}") +
		raw("TLSRoute", "bare", "spec: {parentRefs: [{}], hostnames: []}, status: {parents: [{}]}") +
		harness.Manifest(harness.Route{Name: "at-bare", Hosts: "b.NS.example", Parents: "{name: bare}"}),
		want:   []string{"a 10.1.0.1", "b -"},
		logged: []string{`Gateway NS/bare: status address "" is not an IP address that can be answered with`}},
	{name: "G2: nulls", objects: neighbours +
		raw("Gateway", "bare", "spec: {listeners: null, gatewayClassName: null, allowedListeners: null}, status: {addresses: null, listeners: null, conditions: null}") +
		raw("Gateway", "barer", "spec: {listeners: [null, {name: null, port: null, allowedRoutes: null}, {name: x, allowedRoutes: {namespaces: null, kinds: [null]}}, {name: z, allowedRoutes: {namespaces: {from: Selector, selector: null}}}]}, status: {addresses: [{value: null}], listeners: [null]}") +
		raw("ListenerSet", "bare", "spec: {parentRef: null, listeners: null}, status: {listeners: null, conditions: [null]}") +
		raw("HTTPRoute", "bare", "spec: {parentRefs: null, hostnames: null}, status: {parents: null}") +
		raw("GRPCRoute", "bare", "spec: {parentRefs: [null, {name: gw, port: null}], hostnames: [null]}, status: {parents: [null, {parentRef: null, conditions: null}]}") +
		harness.Manifest(harness.Route{Name: "at-bare", Hosts: "b.NS.example", Parents: "{name: bare}, {name: barer}"}),
		want: []string{"a 10.1.0.1", "b -"}},

	// What a newer release has added, or says in words of its own.
	{name: "G2: fields of a release to come",
		objects: harness.Manifest(
			harness.Gateway{Spec: "future: {of: [many, {things: 5}]}, tls: 5", Listeners: "{name: http, port: 80, protocol: HTTP, future: true, tls: [x], allowedRoutes: {future: 1, namespaces: {from: Same, future: [1]}}}",
				Addresses: "{value: 10.1.0.1, type: IPAddress, future: x}, {value: x, type: future}", ListenerStatus: "{name: http, future: 1, attachedRoutes: many, conditions: [{type: Accepted, status: 'True', observedGeneration: x, future: 5}]}"},
			harness.Route{Spec: "rules: 5, future: {}", Parents: "{name: gw, future: 5}", Status: "{parentRef: {name: gw, future: 5}, controllerName: " + harness.ControllerName + ", future: [], conditions: [{type: Future, status: Perhaps}, {type: Accepted, status: 'True', lastTransitionTime: 5}]}"}),
		want: []string{"a 10.1.0.1"}},
	{name: "G2: a status of a condition that nobody knows", objects: accepting("Perhaps"), want: []string{"a -"}},
	{name: "G42: an address that is the cluster's own", objects: address("{value: 10.96.0.1, routability: Cluster}"), want: []string{"a -"},
		logged: []string{`HTTPRoute NS/r: host "a.NS.example" is not served: Gateway NS/gw: its address "10.96.0.1" can be reached in the cluster alone`}},
	{name: "G42: an address that is the cluster's own, and others", objects: address("{value: 10.96.0.1, routability: Cluster}, {value: 10.1.0.5, routability: Private}, {value: 10.1.0.6, routability: Public}, {value: 10.1.0.7, routability: Future}"), want: []string{"a 10.1.0.5 10.1.0.6 10.1.0.7"}},
	{name: "G30: hostnames in upper case", objects: harness.Manifest(harness.Gateway{Listeners: `{name: http, port: 80, protocol: HTTP, hostname: "*.IN.NS.Example"}`}, harness.Route{Hosts: "A.in.NS.EXAMPLE, B.Out.NS.example"}), want: []string{"a.in 10.1.0.1", "b.out -"}},
	{name: "G40: a Service's name in upper case and with a final dot", objects: exposedService("web", "10.244.0.1") + address("{type: Hostname, value: WEB.NS.Minilb.}"), want: []string{"a 10.244.0.1"}}, // M3
}, unreadable...))

// unreadable are objects of which each is left out, with a line that names it, and counted.
var unreadable = func() []gatewayCase {
	const (
		good = "parentRefs: [{name: gw}], hostnames: [b.NS.example]"
		seen = "parents: [{parentRef: {name: gw}, controllerName: " + harness.ControllerName + ", conditions: [{type: Accepted, status: 'True'}]}]"
	)
	var cases []gatewayCase
	for _, bad := range []struct{ kind, fields string }{
		{"HTTPRoute", "spec: 5"},
		{"HTTPRoute", "spec: [{" + good + "}], status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [{name: gw}], hostnames: b.NS.example}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [{name: gw}], hostnames: [b.NS.example, 5]}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [{name: gw}], hostnames: {b.NS.example: true}}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: gw, hostnames: [b.NS.example]}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [gw], hostnames: [b.NS.example]}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [{name: gw}, {name: gw, port: x}], hostnames: [b.NS.example]}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [{name: gw}, {name: gw, port: 8.5}], hostnames: [b.NS.example]}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {parentRefs: [{name: gw}, {name: 5}], hostnames: [b.NS.example]}, status: {" + seen + "}"},
		{"HTTPRoute", "spec: {" + good + "}, status: {parents: 5}"},
		{"HTTPRoute", "spec: {" + good + "}, status: {parents: [{parentRef: gw}]}"},
		{"HTTPRoute", "spec: {" + good + "}, status: {parents: [{parentRef: {name: gw}, controllerName: " + harness.ControllerName + ", conditions: {Accepted: 'True'}}]}"},
		{"HTTPRoute", "spec: {" + good + "}, status: {parents: [{parentRef: {name: gw}, controllerName: " + harness.ControllerName + ", conditions: [{type: Accepted, status: true}]}]}"},
		{"GRPCRoute", "spec: {parentRefs: [{name: gw}], hostnames: b.NS.example}, status: {" + seen + "}"},
		{"TLSRoute", "spec: {parentRefs: [{name: gw}], hostnames: b.NS.example}, status: {" + seen + "}"},
		{"Gateway", "spec: 5"},
		{"Gateway", "spec: {listeners: 5}"},
		{"Gateway", "spec: {listeners: [http]}"},
		{"Gateway", "spec: {listeners: [{name: http, port: x}]}"},
		{"Gateway", "spec: {listeners: [{name: http, port: 80, hostname: [b.NS.example]}]}"},
		{"Gateway", "spec: {listeners: [{name: http, port: 80, allowedRoutes: {namespaces: All}}]}"},
		{"Gateway", "spec: {listeners: [{name: http, port: 80, allowedRoutes: {kinds: HTTPRoute}}]}"},
		{"Gateway", "spec: {listeners: [{name: http, port: 80, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: 5}}}}}]}"},
		{"Gateway", "spec: {gatewayClassName: 5}"},
		{"Gateway", "spec: {}, status: {addresses: 10.1.0.9}"},
		{"Gateway", "spec: {}, status: {addresses: [10.1.0.9]}"},
		{"Gateway", "spec: {}, status: {addresses: [{value: 10}]}"},
		{"Gateway", "spec: {}, status: {listeners: {http: {}}}"},
		{"ListenerSet", "spec: {parentRef: gw, listeners: []}"},
		{"ListenerSet", "spec: {parentRef: {name: gw}, listeners: http}"},
		{"ListenerSet", "spec: {parentRef: {name: gw}, listeners: []}, status: {conditions: Accepted}"},
		{"GatewayClass", "spec: 5"},
		{"GatewayClass", "spec: {controllerName: [x]}"},
	} {
		object, name := raw(bad.kind, "bad", bad.fields), "NS/bad"
		if bad.kind == "GatewayClass" {
			object, name = strings.Replace(object, "name: bad, namespace: NS", "name: NS", 1), "NS"
		}
		cases = append(cases, gatewayCase{
			name:    "G2: " + bad.kind + " with " + bad.fields,
			objects: neighbours + object,
			want:    []string{"a 10.1.0.1", "b -"},
			logged:  []string{"[WARNING] plugin/minilb: " + bad.kind + " " + name + ": it is not as its kind should be and is left out: "},
		})
	}
	return cases
}()

// neighbours are a Gateway and a route that are as they should be.
var neighbours = harness.Manifest(harness.Gateway{}, harness.Route{})

// raw is an object of the Gateway API with any fields whatsoever.
func raw(kind, name, fields string) string {
	return fmt.Sprintf("{apiVersion: gateway.networking.k8s.io/v1, kind: %s, metadata: {name: %s, namespace: NS}, %s}\n---\n", kind, name, fields)
}
