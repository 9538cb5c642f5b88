package source

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// route is an HTTPRoute, GRPCRoute or TLSRoute: the hosts it is for, the parents it wants to
// attach to, and what their controllers said.
type route struct {
	meta
	lead     *lead // of its annotation, nil without one (M7)
	kind     string
	hosts    []string // in lower case, each once; [""] for all of the listeners' (G30)
	surplus  int      // how many hosts there are beside, which are not kept
	parents  []parentRef
	anywhere bool // it attaches to default Gateways as well (G19)
	verdicts []verdict
	problems []problem // why it cannot be read, if it has no hosts, or what there is to know of it
}

// parentRef is a reference to a route's parent with everything filled in that was left out,
// so that two that mean the same are equal (G20).
type parentRef struct {
	kindName
	section string // "" for all listeners (G11)
	port    int32  // 0 for all
}

// verdict is what one controller says of a route and one of its parents.
type verdict struct {
	parent     parentRef
	controller string
	accepted   string // status of the condition, "" if there is none
	reason     string // with the message, for people; "" of one that is accepted
}

// maxParents bounds the parents and the verdicts of one route; the API server allows 32.
const maxParents = 64

// routeObject is a route as it is written, whatever its kind and version.
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

// redirecting is what there is to know of a wildcard that such a route takes from its listener.
const redirecting = "claimed by a route that only redirects and names no hostnames: each name below it is answered, whether anything else serves it or not; " +
	"give the route the hostnames that are served, or the label " + lb.IgnoreLabel + `: "true"`

// redirects reports whether all that a route does is to redirect. What its rules have beside that is
// nobody's matter here, whatever it looks like.
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

// reduceRoute returns the function that reads routes of the kind, which the objects
// themselves need not tell (G8).
func reduceRoute(kind string) func(*unstructured.Unstructured) *route {
	return func(obj *unstructured.Unstructured) *route {
		r := &route{meta: identity(obj), kind: kind}
		var written routeObject
		if err := decode(obj, &written); err != nil {
			r.problems = unreadable(r.owner(kind), err)
			return r
		}
		var hosts hostList
		for _, host := range written.Spec.Hostnames {
			if host != "" {
				hosts.add(lower(host))
			}
		}
		if r.hosts, r.surplus = hosts.hosts, hosts.surplus; r.hosts == nil {
			r.hosts = []string{""}
			if redirects(obj) {
				o := r.owner(kind)
				r.problems = []problem{{owner: &o, reason: ReasonNotice, text: redirecting}}
			}
		}
		for i := range written.Spec.ParentRefs[:min(maxParents, len(written.Spec.ParentRefs))] {
			if parent := r.parent(&written.Spec.ParentRefs[i]); !slices.Contains(r.parents, parent) {
				r.parents = append(r.parents, parent)
			}
		}
		r.anywhere = written.Spec.UseDefaultGateways == gatewayv1.GatewayDefaultScopeAll
		for i := range written.Status.Parents[:min(maxParents, len(written.Status.Parents))] {
			entry := &written.Status.Parents[i]
			if kind := value(entry.ParentRef.Kind, gatewayKind); kind == gatewayKind || kind == listenerSetKind {
				entry.ParentRef.Group = nonzero(entry.ParentRef.Group) // the core has no such kinds (G20)
			}
			v := verdict{parent: r.parent(&entry.ParentRef), controller: entry.ControllerName}
			// G22: whatever generation it was said of; all else is judged by the present spec.
			v.accepted, v.reason = entry.Conditions.get(string(gatewayv1.RouteConditionAccepted))
			r.verdicts = append(r.verdicts, v)
		}
		if service, ok := written.Annotations[lb.ServiceAnnotation]; ok {
			r.lead = &lead{owner: r.owner(kind)}
			r.lead.aimAtService(service)
		}
		return r
	}
}

// parent fills in what a reference leaves out (G10, G20).
func (r *route) parent(ref *gatewayv1.ParentReference) parentRef {
	group := gatewayv1.Group(gatewayGroup)
	if ref.Group != nil {
		group = *ref.Group // "" is the core's, a Service of a mesh
	}
	return parentRef{
		kindName: kindName{
			kind:      qualified(string(group), string(value(ref.Kind, gatewayKind))),
			namespace: string(value(ref.Namespace, gatewayv1.Namespace(r.namespace))),
			name:      string(ref.Name),
		},
		section: string(value(ref.SectionName, "")),
		port:    int32(value(ref.Port, 0)),
	}
}

func (r *route) kindName() kindName {
	return kindName{kind: r.kind, namespace: r.namespace, name: r.name}
}
