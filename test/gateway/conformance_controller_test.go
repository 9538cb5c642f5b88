package gateway_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/harness"
)

// gatewayController writes what a controller of the Gateway API writes into status. It works
// nothing out: it is told what it refuses and accepts the rest.
type gatewayController struct {
	name      gatewayv1.GatewayController
	addresses map[string]string // by the name of a Gateway

	// refused are reasons. The key "ListenerSet a" is about the object, "ListenerSet a b" about
	// its listener b, "HTTPRoute a" about all parents of a route and "HTTPRoute a b" about its
	// parent b.
	refused map[string]string

	// attached are counts: "a" of the ListenerSets of Gateway a, "a b" of the routes of
	// listener b of the Gateway or ListenerSet a.
	attached map[string]int32

	// credulous controllers claim of every listener that it takes every kind of route.
	credulous bool

	// stranger is another controller, which accepts every route for all of its parents.
	stranger gatewayv1.GatewayController

	asked    map[string]bool // the keys that there was an object or listener for
	stubborn string          // the reason for which no route is accepted, if none is
}

// withStatus returns a manifest with the status of those objects that have one of the Gateway API.
func (c *gatewayController) withStatus(t *testing.T, manifest string) string {
	t.Helper()
	return editManifest(t, manifest, func(object *unstructured.Unstructured) {
		if status := c.status(t, object); status != nil {
			object.Object["status"] = toMap(t, status)
		}
	})
}

func (c *gatewayController) status(t *testing.T, object *unstructured.Unstructured) any {
	t.Helper()
	kind, name := object.GetKind(), object.GetName()
	switch kind {
	case "GatewayClass":
		return gatewayv1.GatewayClassStatus{Conditions: gatewayConditions("", "Accepted")}
	case "Gateway":
		spec := specOf[gatewayv1.GatewaySpec](t, object)
		address, ok := c.addresses[name]
		if !ok {
			t.Fatalf("Gateway %s has no address to report", name)
		}
		status := gatewayv1.GatewayStatus{
			Addresses:            []gatewayv1.GatewayStatusAddress{{Type: new(gatewayv1.IPAddressType), Value: address}},
			Conditions:           gatewayConditions(c.refusal(kind+" "+name), "Accepted", "Programmed"),
			AttachedListenerSets: new(c.count(name)),
		}
		for _, listener := range spec.Listeners {
			status.Listeners = append(status.Listeners, c.listener(object, listener))
		}
		return status
	case "ListenerSet":
		spec := specOf[gatewayv1.ListenerSetSpec](t, object)
		reason := c.refusal(kind + " " + name)
		status := gatewayv1.ListenerSetStatus{Conditions: gatewayConditions(reason, "Accepted", "Programmed")}
		for _, listener := range spec.Listeners {
			// Nobody looks at the listeners of a set that the Gateway does not allow.
			if reason != string(gatewayv1.ListenerSetReasonNotAllowed) {
				status.Listeners = append(status.Listeners, gatewayv1.ListenerEntryStatus(c.listener(object, gatewayv1.Listener(listener))))
			}
		}
		return status
	case "HTTPRoute", "GRPCRoute", "TLSRoute":
		spec := specOf[gatewayv1.CommonRouteSpec](t, object)
		status := gatewayv1.RouteStatus{}
		for _, parent := range spec.ParentRefs {
			// Written out in full, whatever the route leaves to the defaults (G20).
			ref := parent
			ref.Group = new(ptr.Deref(parent.Group, gatewayv1.GroupName))
			ref.Kind = new(ptr.Deref(parent.Kind, "Gateway"))
			ref.Namespace = new(ptr.Deref(parent.Namespace, gatewayv1.Namespace(object.GetNamespace())))
			status.Parents = append(status.Parents, gatewayv1.RouteParentStatus{
				ParentRef: ref, ControllerName: c.stranger, Conditions: gatewayConditions("", "Accepted"),
			})
			reason := cmp.Or(c.stubborn, c.refusal(kind+" "+name+" "+string(parent.Name)), c.refusal(kind+" "+name))
			status.Parents = append(status.Parents, gatewayv1.RouteParentStatus{
				ParentRef: ref, ControllerName: c.name, Conditions: append(gatewayConditions(reason, "Accepted"), gatewayConditions("", "ResolvedRefs")...),
			})
		}
		return status
	}
	return nil
}

func (c *gatewayController) refusal(key string) string {
	c.asked[key] = true
	return c.refused[key]
}

func (c *gatewayController) count(key string) int32 {
	c.asked[key] = true
	return c.attached[key]
}

// unasked returns what it was told of that the manifest does not have.
func (c *gatewayController) unasked() []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(c.refused)), maps.Keys(c.attached))
	return slices.DeleteFunc(keys, func(key string) bool { return c.asked[key] })
}

// listener is what is found about a listener of a Gateway or ListenerSet.
func (c *gatewayController) listener(owner *unstructured.Unstructured, listener gatewayv1.Listener) gatewayv1.ListenerStatus {
	key := owner.GetName() + " " + string(listener.Name)
	return gatewayv1.ListenerStatus{
		Name:           listener.Name,
		SupportedKinds: c.supportedKinds(listener),
		AttachedRoutes: c.count(key),
		Conditions:     gatewayConditions(c.refusal(owner.GetKind()+" "+key), "Accepted", "Conflicted", "Programmed", "ResolvedRefs"),
	}
}

func (c *gatewayController) supportedKinds(listener gatewayv1.Listener) []gatewayv1.RouteGroupKind {
	kinds := []gatewayv1.Kind{}
	switch {
	case c.credulous:
		kinds = []gatewayv1.Kind{"HTTPRoute", "GRPCRoute", "TLSRoute"}
	case listener.Protocol == gatewayv1.HTTPProtocolType, listener.Protocol == gatewayv1.HTTPSProtocolType:
		kinds = []gatewayv1.Kind{"HTTPRoute", "GRPCRoute"}
	case listener.Protocol == gatewayv1.TLSProtocolType:
		kinds = []gatewayv1.Kind{"TLSRoute"}
	}
	supported := []gatewayv1.RouteGroupKind{}
	for _, kind := range kinds {
		allowed := listener.AllowedRoutes
		if c.credulous || allowed == nil || len(allowed.Kinds) == 0 ||
			slices.ContainsFunc(allowed.Kinds, func(k gatewayv1.RouteGroupKind) bool { return k.Kind == kind }) {
			supported = append(supported, gatewayv1.RouteGroupKind{Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: kind})
		}
	}
	return supported
}

// gatewayConditions are the conditions of these types when something is refused for the reason,
// or accepted without one.
func gatewayConditions(reason string, types ...string) []metav1.Condition {
	turned := map[string][]string{ // types whose status the reason turns
		"":                  nil,
		"HostnameConflict":  {"Accepted", "Conflicted", "Programmed"},
		"ProtocolConflict":  {"Accepted", "Conflicted", "Programmed"},
		"InvalidRouteKinds": {"Programmed", "ResolvedRefs"},
		"RefNotPermitted":   {"Programmed", "ResolvedRefs"},
	}
	turns, known := turned[reason]
	if !known {
		turns = []string{"Accepted", "Programmed"}
	}
	var all []metav1.Condition
	for _, typ := range types {
		condition := metav1.Condition{Type: typ, Status: metav1.ConditionTrue, Reason: typ, LastTransitionTime: metav1.Unix(1700000000, 0)}
		turn := slices.Contains(turns, typ)
		if turn {
			condition.Reason = reason
		}
		if turn != (typ == "Conflicted") {
			condition.Status = metav1.ConditionFalse
		}
		all = append(all, condition)
	}
	return all
}

// editManifest returns a manifest with its objects edited.
func editManifest(t *testing.T, manifest string, edit func(*unstructured.Unstructured)) string {
	t.Helper()
	var all []string
	for _, document := range harness.Documents(t, manifest) {
		object := &unstructured.Unstructured{}
		harness.Must(t, yaml.Unmarshal([]byte(document), &object.Object))
		if len(object.Object) == 0 {
			continue // comments alone
		}
		edit(object)
		text, err := object.MarshalJSON()
		harness.Must(t, err)
		all = append(all, string(text))
	}
	return strings.Join(all, "\n---\n")
}

func specOf[T any](t *testing.T, object *unstructured.Unstructured) *T {
	t.Helper()
	spec := new(T)
	fields, _, err := unstructured.NestedMap(object.Object, "spec")
	harness.Must(t, err)
	harness.Must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(fields, spec))
	return spec
}

func toMap(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	harness.Must(t, err)
	var fields map[string]any
	harness.Must(t, json.Unmarshal(text, &fields))
	return fields
}
