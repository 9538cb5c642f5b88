package object

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// ListenerSet is a ListenerSet or an XListenerSet: further listeners of a Gateway (§1.6).
type ListenerSet struct {
	Meta
	Targets   *Targets   `json:",omitzero"` // of its annotation, nil without one (M7)
	Kind      string     `json:",omitzero"`
	Parent    KindName   `json:",omitzero"` // the Gateway, G50
	Listeners []Listener `json:",omitzero"`
	Accepted  string     `json:",omitzero"` // status of the condition, "" if there is none
	Problems  []Problem  `json:",omitzero"`
}

// listenerSetObject is one as it is written; an XListenerSet is written alike (G54).
type listenerSetObject struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ParentRef gatewayv1.ParentReference `json:"parentRef"`
		Listeners []listenerSpec            `json:"listeners"`
	} `json:"spec"`
	Status struct {
		Conditions statusConditions `json:"conditions"`
		Listeners  []listenerStatus `json:"listeners"`
	} `json:"status"`
}

// NewListenerSet returns the function that reads objects of the kind, which those of a list may leave out (G8).
func NewListenerSet(kind string) func(*unstructured.Unstructured, *Fields) *ListenerSet {
	return func(obj *unstructured.Unstructured, f *Fields) *ListenerSet {
		s := &ListenerSet{Meta: newMeta(obj), Kind: kind}
		s.identify(kind, obj, f, true)
		var written listenerSetObject
		if s.Problems = decode(s.Ref(kind), obj, &written); s.Problems != nil {
			return s
		}
		s.Parent = parentRef(&written.Spec.ParentRef, s.Namespace).KindName
		s.Listeners = reduceListeners(written.Spec.Listeners, written.Status.Listeners)
		s.Accepted, _ = written.Status.Conditions.get(string(gatewayv1.ListenerSetConditionAccepted))
		if service, ok := written.Annotations[lb.ServiceAnnotation]; ok {
			s.Targets = &Targets{Ref: s.Ref(kind)}
			s.Targets.SetService(service)
		}
		return s
	}
}

func (s *ListenerSet) KindName() KindName { return KindName{s.Kind, s.Namespace, s.Name} }
