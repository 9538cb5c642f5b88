package source

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// listener is one of a Gateway's or of a ListenerSet's.
type listener struct {
	name      string
	host      string // in lower case; "" takes any
	port      int32  // 0 for one that the controller chooses (G54)
	protocol  gatewayv1.ProtocolType
	kinds     []string // of routes that it allows; none for those that its protocol does (G14)
	routes    selection
	supported []string // kinds of routes that its status says it can take
	accepted  string   // status of these conditions, "" if there is none
	conflicts string
}

// maxListeners bounds those of one object; the API server allows 64.
const maxListeners = 256

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

// listenerStatus is what the controller made of one.
type listenerStatus struct {
	Name           string                     `json:"name"`
	SupportedKinds []gatewayv1.RouteGroupKind `json:"supportedKinds"`
	Conditions     statusConditions           `json:"conditions"`
}

// reduceListeners joins the listeners with their status.
func reduceListeners(specs []listenerSpec, statuses []listenerStatus) []listener {
	listeners := make([]listener, 0, len(specs))
	for _, spec := range specs[:min(maxListeners, len(specs))] {
		l := listener{
			name:     spec.Name,
			host:     lower(spec.Hostname),
			port:     spec.Port,
			protocol: spec.Protocol,
			kinds:    kindNames(spec.AllowedRoutes.Kinds),
			routes:   spec.AllowedRoutes.Namespaces.selection(gatewayv1.NamespacesFromSame), // G15
		}
		if i := slices.IndexFunc(statuses, func(s listenerStatus) bool { return s.Name == spec.Name }); i >= 0 {
			l.supported = kindNames(statuses[i].SupportedKinds)
			l.accepted, _ = statuses[i].Conditions.get(string(gatewayv1.ListenerConditionAccepted))
			l.conflicts, _ = statuses[i].Conditions.get(string(gatewayv1.ListenerConditionConflicted))
		}
		listeners = append(listeners, l)
	}
	return listeners
}

func kindNames(kinds []gatewayv1.RouteGroupKind) []string {
	var names []string
	for _, k := range kinds {
		group := gatewayv1.Group(gatewayGroup)
		if k.Group != nil {
			group = *k.Group
		}
		names = append(names, qualified(string(group), string(k.Kind)))
	}
	return names
}

// takes reports whether routes of the kind can attach to the listener, by its protocol (G13)
// and by what it allows (G14).
func (l *listener) takes(kind string) bool {
	if len(l.kinds) > 0 && !slices.Contains(l.kinds, kind) {
		return false
	}
	if strings.Contains(string(l.protocol), "/") { // an implementation's own; it alone knows
		return slices.Contains(l.supported, kind)
	}
	return slices.Contains(protocols[kind], l.protocol)
}

// protocols are those of listeners that routes of a kind can attach to (G13).
var protocols = map[string][]gatewayv1.ProtocolType{
	httpRoute: {gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType},
	grpcRoute: {gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType},
	tlsRoute:  {gatewayv1.TLSProtocolType},
}

// namespacesSpec says which namespaces objects may come from, as it is written.
type namespacesSpec struct {
	From     gatewayv1.FromNamespaces `json:"from"`
	Selector *metav1.LabelSelector    `json:"selector"`
}

// selection is a choice of namespaces.
type selection struct {
	from     gatewayv1.FromNamespaces
	selector labels.Selector // for NamespacesFromSelector alone
}

// selection fills in what is meant where nothing is written. A selector that cannot be
// understood selects nothing, nor does one that is not there (G15), or that is too long to be kept (C7c).
func (n *namespacesSpec) selection(otherwise gatewayv1.FromNamespaces) selection {
	s := selection{from: value(&n.From, otherwise)}
	if s.from == gatewayv1.NamespacesFromSelector {
		selector, err := metav1.LabelSelectorAsSelector(n.Selector)
		if err != nil || n.text() > maxSelectorText {
			selector = labels.Nothing()
		}
		s.selector = selector
	}
	return s
}

// text returns how many bytes the selector's keys and values take.
func (n *namespacesSpec) text() int {
	if n.Selector == nil {
		return 0
	}
	total := textOf(n.Selector.MatchLabels)
	for _, expression := range n.Selector.MatchExpressions {
		total += len(expression.Key)
		for _, value := range expression.Values {
			total += len(value)
		}
	}
	return total
}

// has reports whether the namespace is chosen, for an object that stands in own (G15).
func (s *selection) has(namespace, own string, labelled func(string) (labels.Set, bool)) bool {
	switch s.from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == own
	case gatewayv1.NamespacesFromSelector:
		set, known := labelled(namespace)
		return known && s.selector.Matches(set) // G16
	}
	return false
}
