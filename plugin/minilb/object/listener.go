package object

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Listener is one of a Gateway's or of a ListenerSet's.
type Listener struct {
	Name          string                 `json:",omitzero"`
	Host          string                 `json:",omitzero"` // in lower case; "" takes any
	Port          int32                  `json:",omitzero"` // 0 for one that the controller chooses (G54)
	Protocol      gatewayv1.ProtocolType `json:",omitzero"`
	Kinds         []string               `json:",omitzero"` // of routes that it allows; none for those that its protocol does (G14)
	AllowedRoutes NamespaceSelection     `json:",omitzero"`
	Supported     []string               `json:",omitzero"` // kinds of routes that its status says it can take
	Accepted      string                 `json:",omitzero"` // status of these conditions, "" if there is none
	Conflicts     string                 `json:",omitzero"`
}

// listenerSpec is a listener as it is written, in a Gateway or a ListenerSet.
type listenerSpec struct {
	Name          string                 `json:"name"`
	Hostname      string                 `json:"hostname"`
	Port          int32                  `json:"port"`
	Protocol      gatewayv1.ProtocolType `json:"protocol"`
	AllowedRoutes struct {
		Namespaces namespacesSpec             `json:"namespaces"`
		Kinds      []gatewayv1.RouteGroupKind `json:"kinds"`
	} `json:"allowedRoutes"`
}

type listenerStatus struct {
	Name           string                     `json:"name"`
	SupportedKinds []gatewayv1.RouteGroupKind `json:"supportedKinds"`
	Conditions     statusConditions           `json:"conditions"`
}

func reduceListeners(specs []listenerSpec, statuses []listenerStatus) []Listener {
	listeners := make([]Listener, 0, len(specs))
	for _, spec := range specs[:min(MaxListeners, len(specs))] {
		l := Listener{
			Name:          spec.Name,
			Host:          hostname.Lower(spec.Hostname),
			Port:          spec.Port,
			Protocol:      spec.Protocol,
			Kinds:         kindNames(spec.AllowedRoutes.Kinds),
			AllowedRoutes: spec.AllowedRoutes.Namespaces.selection(gatewayv1.NamespacesFromSame), // G15
		}
		if i := slices.IndexFunc(statuses, func(s listenerStatus) bool { return s.Name == spec.Name }); i >= 0 {
			l.Supported = kindNames(statuses[i].SupportedKinds)
			l.Accepted, _ = statuses[i].Conditions.get(string(gatewayv1.ListenerConditionAccepted))
			l.Conflicts, _ = statuses[i].Conditions.get(string(gatewayv1.ListenerConditionConflicted))
		}
		listeners = append(listeners, l)
	}
	return listeners
}

func kindNames(kinds []gatewayv1.RouteGroupKind) []string {
	var names []string
	for _, k := range kinds {
		names = append(names, qualified(k.Group, k.Kind))
	}
	return names
}

// AllowsKind reports whether routes of the kind can attach, by the listener's protocol (G13) and what it allows (G14).
func (l *Listener) AllowsKind(kind string) bool {
	if len(l.Kinds) > 0 && !slices.Contains(l.Kinds, kind) {
		return false
	}
	if strings.Contains(string(l.Protocol), "/") { // an implementation's own; it alone knows
		return slices.Contains(l.Supported, kind)
	}
	return slices.Contains(protocols[kind], l.Protocol)
}

// protocols are, by kind of route, those of listeners that it can attach to (G13).
var protocols = map[string][]gatewayv1.ProtocolType{
	KindHTTPRoute: {gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType},
	KindGRPCRoute: {gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType},
	KindTLSRoute:  {gatewayv1.TLSProtocolType},
}

type namespacesSpec struct {
	From     gatewayv1.FromNamespaces `json:"from"`
	Selector *metav1.LabelSelector    `json:"selector"`
}

// NamespaceSelection is a choice of namespaces.
type NamespaceSelection struct {
	From     gatewayv1.FromNamespaces
	Selector labels.Selector // for NamespacesFromSelector alone
}

// selection fills in the default. A selector that is invalid, missing (G15) or too long (C7c) selects nothing.
func (n *namespacesSpec) selection(otherwise gatewayv1.FromNamespaces) NamespaceSelection {
	s := NamespaceSelection{From: value(&n.From, otherwise)}
	if s.From == gatewayv1.NamespacesFromSelector {
		selector, err := metav1.LabelSelectorAsSelector(n.Selector)
		if err != nil || n.Selector != nil && selectorText(n.Selector) > maxSelectorText {
			selector = labels.Nothing()
		}
		s.Selector = selector
	}
	return s
}

// selectorText returns how many bytes the selector's keys and values take.
func selectorText(s *metav1.LabelSelector) int {
	total := textOf(s.MatchLabels)
	for _, expression := range s.MatchExpressions {
		total += len(expression.Key) + len(strings.Join(expression.Values, ""))
	}
	return total
}

// Selects reports whether the namespace is chosen, for an object that stands in own (G15).
func (s *NamespaceSelection) Selects(namespace, own string, labelled func(string) (labels.Set, bool)) bool {
	switch s.From {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == own
	case gatewayv1.NamespacesFromSelector:
		set, known := labelled(namespace)
		return known && s.Selector.Matches(set) // G16
	}
	return false
}
