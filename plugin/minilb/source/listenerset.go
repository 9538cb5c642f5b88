package source

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// listenerSet is a ListenerSet or an XListenerSet: further listeners of a Gateway (§1.6).
type listenerSet struct {
	meta
	lead      *lead // of its annotation, nil without one (M7)
	kind      string
	parent    kindName // the Gateway, G50
	listeners []listener
	accepted  string // status of the condition, "" if there is none
	problems  []problem
}

// listenerSetObject is one as it is written; an XListenerSet is written alike (G54).
type listenerSetObject struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRef gatewayv1.ParentGatewayReference `json:"parentRef"`
		Listeners []listenerSpec                   `json:"listeners"`
	} `json:"spec"`
	Status struct {
		Conditions statusConditions `json:"conditions"`
		Listeners  []listenerStatus `json:"listeners"`
	} `json:"status"`
}

// reduceListenerSet returns the function that reads those of the kind, which the objects
// themselves need not tell (G8).
func reduceListenerSet(kind string) func(*unstructured.Unstructured) *listenerSet {
	return func(obj *unstructured.Unstructured) *listenerSet {
		s := &listenerSet{meta: identity(obj), kind: kind}
		var written listenerSetObject
		if err := decode(obj, &written); err != nil {
			s.problems = unreadable(s.owner(kind), err)
			return s
		}
		parent := &written.Spec.ParentRef
		group := gatewayv1.Group(gatewayGroup)
		if parent.Group != nil {
			group = *parent.Group
		}
		s.parent = kindName{
			kind:      qualified(string(group), string(value(parent.Kind, gatewayKind))),
			namespace: string(value(parent.Namespace, gatewayv1.Namespace(s.namespace))),
			name:      string(parent.Name),
		}
		s.listeners = reduceListeners(written.Spec.Listeners, written.Status.Listeners)
		s.accepted, _ = written.Status.Conditions.get(string(gatewayv1.ListenerSetConditionAccepted))
		if service, ok := written.Annotations[lb.ServiceAnnotation]; ok {
			s.lead = &lead{owner: s.owner(kind)}
			s.lead.aimAtService(service)
		}
		return s
	}
}

func (s *listenerSet) kindName() kindName {
	return kindName{kind: s.kind, namespace: s.namespace, name: s.name}
}
