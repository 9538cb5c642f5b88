package harness

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// The kinds of the Gateway API as the cases write them: each states what is special about it,
// and is for the rest the most ordinary one, its status that of a controller which is content.
// All fields are YAML.
type (
	Gateway struct {
		Namespace, Name string // NS, gw
		Metadata        string // further fields of metadata
		Class           string
		Listeners       string // one for HTTP
		Spec            string // further fields of spec
		Addresses       string // of the status: {value: 10.1.0.1}
		ListenerStatus  string // of the status
		Conditions      string // of the status
	}
	Route struct {
		Kind            string // HTTPRoute
		Version         string // v1
		Namespace, Name string // NS, r
		Metadata        string
		Hosts           string // a.NS.example; "none" for none
		Parents         string // {name: gw}
		Spec            string
		Status          string // its parents; "empty" for none, "none" for no status at all
	}
	ListenerSet struct {
		Kind            string // ListenerSet, or XListenerSet with its own group
		Namespace, Name string // NS, ls
		Metadata        string
		Parent          string // name: gw
		Listeners       string
		ListenerStatus  string // "none" for none
		Conditions      string // "none" for what the API server itself writes
	}
)

// Manifest concatenates those of some objects.
func Manifest(objects ...fmt.Stringer) string {
	var all strings.Builder
	for _, object := range objects {
		all.WriteString(object.String())
	}
	return all.String()
}

func (g Gateway) String() string {
	listeners := cmp.Or(g.Listeners, httpListener)
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: %s, %s}
spec: {gatewayClassName: %s, listeners: [%s], %s}
status: {addresses: [%s], listeners: [%s], conditions: [%s]}
---
`, cmp.Or(g.Name, "gw"), cmp.Or(g.Namespace, "NS"), g.Metadata, cmp.Or(g.Class, defaultClass), listeners, g.Spec,
		none(cmp.Or(g.Addresses, "{value: 10.1.0.1}")), none(cmp.Or(g.ListenerStatus, accepted(listeners))),
		none(cmp.Or(g.Conditions, Condition("Accepted", "True")+", "+Condition("Programmed", "True"))))
}

func (r Route) String() string {
	kind := cmp.Or(r.Kind, "HTTPRoute")
	hosts := none(cmp.Or(r.Hosts, "a.NS.example"))
	if hosts != "" {
		hosts = "hostnames: [" + hosts + "],"
	}
	parents := cmp.Or(r.Parents, "{name: gw}")
	status := cmp.Or(r.Status, Attached(parents))
	switch r.Status {
	case "none":
		status = ""
	case "empty":
		status = "status: {parents: []}"
	default:
		status = "status: {parents: [" + status + "]}"
	}
	spec := r.Spec
	if kind == "TLSRoute" {
		spec += ", rules: [{backendRefs: [{name: x, port: 443}]}]"
	}
	return fmt.Sprintf(`
apiVersion: %s/%s
kind: %s
metadata: {name: %s, namespace: %s, %s}
spec: {%s parentRefs: [%s], %s}
%s
---
`, Group, cmp.Or(r.Version, "v1"), kind, cmp.Or(r.Name, "r"), cmp.Or(r.Namespace, "NS"), r.Metadata, hosts, none(parents), strings.TrimPrefix(spec, ", "), status)
}

func (l ListenerSet) String() string {
	kind, version := cmp.Or(l.Kind, "ListenerSet"), Group+"/v1"
	listeners := cmp.Or(l.Listeners, httpListener)
	statuses := none(cmp.Or(l.ListenerStatus, accepted(listeners)))
	if kind == "XListenerSet" {
		version = oldGroup + "/v1alpha1"
		// There the status has the port that the controller has chosen.
		statuses = strings.ReplaceAll(statuses, "attachedRoutes: 1", "attachedRoutes: 1, port: 8000")
	}
	status := ""
	if l.Conditions != "none" {
		status = fmt.Sprintf("status: {listeners: [%s], conditions: [%s]}",
			statuses, cmp.Or(l.Conditions, Condition("Accepted", "True")+", "+Condition("Programmed", "True")))
	}
	return fmt.Sprintf(`
apiVersion: %s
kind: %s
metadata: {name: %s, namespace: %s, %s}
spec: {parentRef: {%s}, listeners: [%s]}
%s
---
`, version, kind, cmp.Or(l.Name, "ls"), cmp.Or(l.Namespace, "NS"), l.Metadata, cmp.Or(l.Parent, "name: gw"), listeners, status)
}

// What the tests' Gateways have for a class, and the name of the controller behind it.
const (
	defaultClass   = "example"
	ControllerName = "example.org/controller"
)

// GatewayClass is the manifest of a class that a controller has accepted.
func GatewayClass(name, controller string) string {
	return Object("gateway.networking.k8s.io/v1", "GatewayClass", name,
		fmt.Sprintf("spec: {controllerName: %s}, status: {conditions: [%s]}", controller, Condition("Accepted", "True")))
}

// Object is the manifest of an object of a kind without namespaces.
func Object(version, kind, name, fields string) string {
	return fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: %s}, %s}\n---\n", version, kind, name, fields)
}

// Condition is one as controllers write it.
func Condition(kind, status string) string {
	return fmt.Sprintf("{type: %s, status: %q, reason: Test, message: '', lastTransitionTime: '2026-01-01T00:00:00Z'}", kind, status)
}

// Attached are the status.parents of a route that the controller has accepted on each of its parents.
func Attached(parents string) string {
	return strings.Join(each(none(parents), func(parent map[string]any) string {
		return ParentStatus(flow(parent), ControllerName, Condition("Accepted", "True")+", "+Condition("ResolvedRefs", "True"))
	}), ", ")
}

// ParentStatus is an entry of a route's status.parents.
func ParentStatus(parent, controllerName, conditions string) string {
	return fmt.Sprintf("{parentRef: %s, controllerName: %s, conditions: [%s]}", parent, controllerName, conditions)
}

// accepted are the status.listeners of listeners that the controller has accepted, all of them.
func accepted(listeners string) string {
	return strings.Join(each(listeners, func(listener map[string]any) string {
		return ListenerStatus(listener["name"].(string), Condition("Accepted", "True")+", "+Condition("Conflicted", "False"))
	}), ", ")
}

// ListenerStatus is an entry of status.listeners.
func ListenerStatus(name, conditions string) string {
	return fmt.Sprintf("{name: %s, attachedRoutes: 1, supportedKinds: [], conditions: [%s]}", name, conditions)
}

// each returns text for each of some mappings in YAML.
func each(list string, text func(map[string]any) string) []string {
	var items []map[string]any
	if err := yaml.Unmarshal([]byte("["+list+"]"), &items); err != nil {
		panic(fmt.Errorf("%s: %w", list, err))
	}
	var texts []string
	for _, item := range items {
		texts = append(texts, text(item))
	}
	return texts
}

func flow(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func none(text string) string {
	if text == "none" {
		return ""
	}
	return text
}

// Infra is a namespace beside the case's own.
var Infra = Object("v1", "Namespace", "NS-infra", "")

const (
	Group    = "gateway.networking.k8s.io"
	oldGroup = "gateway.networking.x-k8s.io"

	httpListener = "{name: http, port: 80, protocol: HTTP}"
)

// ToSet is the parentRef of the cases' ListenerSet.
const ToSet = "{group: gateway.networking.k8s.io, kind: ListenerSet, name: ls}"

// ListenersFrom are the allowedListeners of a Gateway.
func ListenersFrom(namespaces string) string {
	return "allowedListeners: {namespaces: {" + namespaces + "}}"
}

// Resources of the Gateway API.
var (
	Gateways   = schema.GroupVersionResource{Group: Group, Version: "v1", Resource: "gateways"}
	HttpRoutes = schema.GroupVersionResource{Group: Group, Version: "v1", Resource: "httproutes"}
)
