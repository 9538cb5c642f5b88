package object

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Entries returns the status entries, of the controllers that count, for a parentRef: those with an equal one or, without
// any, those that agree with it and no other parentRef. Many controllers leave out or fill in port and section (G20).
func (r *Route) Entries(ref ParentRef, counts func(*RouteStatus) bool) (entries []*RouteStatus) {
	exact := false
	for i := range r.Statuses {
		v := &r.Statuses[i]
		equal := v.Parent == ref
		switch {
		case !counts(v):
		case equal && !exact:
			entries, exact = []*RouteStatus{v}, true
		case equal, !exact && v.Parent.agrees(&ref) && !slices.Contains(r.Parents, v.Parent):
			entries = append(entries, v)
		}
	}
	return entries
}

func (ref *ParentRef) agrees(other *ParentRef) bool {
	return ref.KindName == other.KindName &&
		(ref.Section == other.Section || ref.Section == "" || other.Section == "") &&
		(ref.Port == other.Port || ref.Port == 0 || other.Port == 0)
}

// Matches reports whether the reference is to the listener, among others (G11).
func (ref *ParentRef) Matches(l *Listener) bool {
	return (ref.Section == "" || l.Name == ref.Section) && (ref.Port == 0 || l.Port == ref.Port)
}

// String returns the reference with its section and port.
func (ref *ParentRef) String() string {
	s := ref.KindName.String()
	if ref.Section != "" {
		s += fmt.Sprintf(" section %q", printable.Shorten(ref.Section))
	}
	if ref.Port != 0 {
		s += fmt.Sprintf(" port %d", ref.Port)
	}
	return s
}

// Route is an HTTPRoute, GRPCRoute or TLSRoute: its hosts, its parents and what their controllers report.
type Route struct {
	Meta
	Targets            *Targets      `json:",omitzero"` // of its annotation, nil without one (M7)
	Kind               string        `json:",omitzero"`
	Hosts              []string      `json:",omitzero"` // in lower case, each once; [""] for all of the listeners' (G30)
	Surplus            int           `json:",omitzero"` // how many hosts there are beside, which are not kept
	Parents            []ParentRef   `json:",omitzero"`
	UseDefaultGateways bool          `json:",omitzero"` // it attaches to default Gateways as well (G19)
	Statuses           []RouteStatus `json:",omitzero"`
	Problems           []Problem     `json:",omitzero"` // why it cannot be read, if it has no hosts, or what there is to know of it
	TTL                *uint16       `json:",omitzero"` // seconds, nil for the server's (L2)
	Rejected           []string      `json:",omitzero"` // what is wrong with the annotation that it is from
}

// ParentRef is a reference to a route's parent, with all defaults filled in to be comparable (G20).
type ParentRef struct {
	KindName
	Section string `json:",omitzero"` // "" for all listeners (G11)
	Port    int32  `json:",omitzero"` // 0 for all
}

// RouteStatus is one controller's status of a route at one of its parents.
type RouteStatus struct {
	Parent     ParentRef `json:",omitzero"`
	Controller string    `json:",omitzero"`
	Accepted   string    `json:",omitzero"` // status of the condition, "" if there is none
	Reason     string    `json:",omitzero"` // with the message, for people; "" of one that is accepted
}

type routeObject struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRefs         []gatewayv1.ParentReference   `json:"parentRefs"`
		UseDefaultGateways gatewayv1.GatewayDefaultScope `json:"useDefaultGateways"`
		Hostnames          []string                      `json:"hostnames"`
	} `json:"spec"`
	Status struct {
		Parents []struct {
			ParentRef      gatewayv1.ParentReference `json:"parentRef"`
			ControllerName string                    `json:"controllerName"`
			Conditions     statusConditions          `json:"conditions"`
		} `json:"parents"`
	} `json:"status"`
}

const redirecting = "claimed by a route that only redirects and names no hostnames: each name below it is answered, whether anything else serves it or not; " +
	"give the route the hostnames that are served, or the label " + lb.IgnoreLabel + `: "true"`

// redirects reports whether every rule of a route redirects. The rest of its rules is not decoded and may be malformed.
func redirects(obj *unstructured.Unstructured) bool {
	field, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", "rules")
	rules, _ := field.([]any)
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		filters, _ := fields["filters"].([]any)
		if !slices.ContainsFunc(filters, func(filter any) bool {
			fields, _ := filter.(map[string]any)
			return fields["type"] == string(gatewayv1.HTTPRouteFilterRequestRedirect)
		}) {
			return false
		}
	}
	return len(rules) > 0
}

// NewRoute returns the function that reads routes of the kind, which those of a list may leave out (G8).
func NewRoute(kind string) func(*unstructured.Unstructured, *Fields) *Route {
	return func(obj *unstructured.Unstructured, f *Fields) *Route {
		r := &Route{Meta: newMeta(obj), Kind: kind}
		r.identify(kind, obj, f, true)
		var written routeObject
		if r.Problems = decode(r.Ref(kind), obj, &written); r.Problems != nil {
			return r
		}
		r.Hosts, r.Surplus = distinctHosts(written.Spec.Hostnames, hostname.Lower)
		if r.Hosts == nil {
			r.Hosts = []string{""}
			if redirects(obj) {
				r.Problems = []Problem{{Ref: new(r.Ref(kind)), Reason: ReasonNotice, Text: redirecting}}
			}
		}
		for i := range written.Spec.ParentRefs[:min(MaxParents, len(written.Spec.ParentRefs))] {
			if parent := parentRef(&written.Spec.ParentRefs[i], r.Namespace); !slices.Contains(r.Parents, parent) {
				r.Parents = append(r.Parents, parent)
			}
		}
		r.UseDefaultGateways = written.Spec.UseDefaultGateways == gatewayv1.GatewayDefaultScopeAll
		for i := range written.Status.Parents[:min(MaxParents, len(written.Status.Parents))] {
			entry := &written.Status.Parents[i]
			if kind := value(entry.ParentRef.Kind, KindGateway); kind == KindGateway || kind == KindListenerSet {
				entry.ParentRef.Group = new(value(entry.ParentRef.Group, GatewayGroup)) // the core has no such kinds (G20)
			}
			v := RouteStatus{Parent: parentRef(&entry.ParentRef, r.Namespace), Controller: entry.ControllerName}
			// G22: whatever generation it was said of; all else is judged by the present spec.
			v.Accepted, v.Reason = entry.Conditions.get(string(gatewayv1.RouteConditionAccepted))
			r.Statuses = append(r.Statuses, v)
		}
		r.TTL = ttlOf(written.Annotations, &r.Rejected)
		if service, ok := written.Annotations[lb.ServiceAnnotation]; ok {
			r.Targets = &Targets{Ref: r.Ref(kind)}
			r.Targets.SetService(service)
		}
		return r
	}
}

func (r *Route) KindName() KindName { return KindName{r.Kind, r.Namespace, r.Name} }
