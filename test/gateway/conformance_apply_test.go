package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// apply has the controller report on a manifest. Of objects that the cluster has it applies what
// differs, which mostly is their status.
func (e *conformance) apply(t *testing.T, controller *gatewayController, manifest string) {
	t.Helper()
	var changed []string
	kinds := map[string]bool{}
	editManifest(t, controller.withStatus(t, manifest), func(object *unstructured.Unstructured) {
		key := objectKey(object)
		before := e.applied[key]
		if before != nil && equality.Semantic.DeepEqual(before.Object, object.Object) {
			return
		}
		e.applied[key] = object.DeepCopy()
		kinds[object.GetKind()] = true
		if before == nil || !sameButStatus(before, object) {
			text, err := object.MarshalJSON()
			harness.Must(t, err)
			changed = append(changed, string(text))
			return
		}
		harness.Must(t, e.applyStatus(t.Context(), object))
	})
	harness.Must(t, e.cluster.Apply(t.Context(), strings.Join(changed, "\n---\n")))
	e.settle(t, kinds)
}

// delete deletes the objects of a manifest.
func (e *conformance) delete(t *testing.T, manifest string) {
	t.Helper()
	kinds := map[string]bool{}
	editManifest(t, manifest, func(object *unstructured.Unstructured) {
		kinds[object.GetKind()] = true
		delete(e.applied, objectKey(object))
	})
	harness.Must(t, e.cluster.Delete(t.Context(), manifest))
	e.settle(t, kinds)
}

// applyStatus applies the status alone of an object of the Gateway API, as the cluster's Apply
// does with the rest.
func (e *conformance) applyStatus(ctx context.Context, object *unstructured.Unstructured) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": object.GetAPIVersion(), "kind": object.GetKind(), "status": object.Object["status"],
		"metadata": map[string]any{"name": object.GetName(), "namespace": object.GetNamespace()},
	})
	if err != nil {
		return err
	}
	resource := object.GroupVersionKind().GroupVersion().WithResource(strings.ToLower(object.GetKind()) + "s")
	_, err = e.cluster.Dynamic.Resource(resource).Namespace(object.GetNamespace()).Patch(ctx, object.GetName(), types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: "test", Force: new(true)}, "status")
	return err
}

// objectKey tells the objects of the manifests apart.
func objectKey(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

// sameButStatus reports whether an object differs from the one before in nothing or in its status.
func sameButStatus(before, object *unstructured.Unstructured) bool {
	a, b := maps.Clone(before.Object), maps.Clone(object.Object)
	delete(a, "status")
	delete(b, "status")
	return equality.Semantic.DeepEqual(a, b)
}

// gatewayMarkers have an object of every kind that the names of the Gateway API depend on. A
// change of ROUND in one of them changes a name of its own; the Namespace's label, odd or even,
// decides which of two names there is.
var gatewayMarkers = map[string]string{
	"Namespace": `{apiVersion: v1, kind: Namespace, metadata: {name: marker, labels: {round: TURN}}}`,
	"Gateway": `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: marker, namespace: marker}
spec:
  gatewayClassName: CLASS
  allowedListeners: {namespaces: {from: Same}}
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: tls, protocol: TLS, port: 443, tls: {mode: Passthrough}}
  - {name: gateway, protocol: HTTP, port: 80, hostname: gateway-ROUND.marker.example}
  - {name: odd, protocol: HTTP, port: 80, hostname: odd.marker.example, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {round: odd}}}}}
  - {name: even, protocol: HTTP, port: 80, hostname: even.marker.example, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {round: even}}}}}
`,
	"ListenerSet": `
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: marker, namespace: marker}
spec:
  parentRef: {name: marker}
  listeners: [{name: http, protocol: HTTP, port: 80, hostname: listenerset-ROUND.marker.example}]
`,
	"GRPCRoute": `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: marker, namespace: marker}
spec: {parentRefs: [{name: marker, sectionName: http}], hostnames: [grpcroute-ROUND.marker.example]}
`,
	"TLSRoute": `
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: marker, namespace: marker}
spec:
  parentRefs: [{name: marker, sectionName: tls}]
  hostnames: [tlsroute-ROUND.marker.example]
  rules: [{backendRefs: [{name: web, port: 443}]}]
`,
	"HTTPRoute": `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: marker, namespace: marker}
spec: {parentRefs: [{name: marker, sectionName: http}], hostnames: [httproute-ROUND.marker.example]}
`,
}

// gatewayMarkerHosts is a route that has the hostnames of the markers' listeners.
const gatewayMarkerHosts = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: hosts, namespace: marker}
spec: {parentRefs: [{name: marker, sectionName: gateway}, {name: marker, sectionName: odd}, {name: marker, sectionName: even}, {kind: ListenerSet, name: marker}]}
`

// settle waits until the server has seen all that was written to objects of these kinds, or makes
// the markers if there are none yet. Each kind of object comes by one watch, in order, so it has
// when it shows a later change to one object of each of the kinds.
func (e *conformance) settle(t *testing.T, kinds map[string]bool) {
	t.Helper()
	const address = "192.0.2.254"
	e.round++
	if e.round == 1 || kinds["Namespace"] {
		e.turns++
	}
	round, turn := strconv.Itoa(e.round), [2]string{"even", "odd"}[e.turns%2]
	replace := strings.NewReplacer("ROUND", round, "TURN", turn, "CLASS", conformanceClass).Replace
	if e.round == 1 {
		controller := e.controller()
		controller.addresses["marker"] = address
		all := []string{replace(gatewayMarkers["Namespace"]), gatewayMarkerHosts}
		for _, marker := range gatewayMarkers {
			all = append(all, replace(marker))
		}
		harness.Must(t, e.cluster.Apply(t.Context(), controller.withStatus(t, strings.Join(all, "\n---\n"))))
		kinds = map[string]bool{"Namespace": true, "Gateway": true, "ListenerSet": true, "GRPCRoute": true, "TLSRoute": true, "HTTPRoute": true}
	}
	var changed, names []string
	for kind := range kinds {
		marker, ok := gatewayMarkers[kind]
		if !ok {
			continue // no name depends on it
		}
		changed = append(changed, replace(marker))
		if kind == "Namespace" {
			names = append(names, turn+".marker.example")
		} else {
			names = append(names, strings.ToLower(kind)+"-"+round+".marker.example")
		}
	}
	harness.Must(t, e.cluster.Apply(t.Context(), strings.Join(changed, "\n---\n")))
	cluster.Eventually(t, 20*time.Second, func() error {
		var missing error
		for _, name := range names {
			missing = errors.Join(missing, e.server.Expect(name, dns.TypeA, address))
		}
		if missing != nil {
			return fmt.Errorf("%w\n%s", missing, e.server.Log)
		}
		return nil
	})
}
