package object

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Gateway is a Gateway with its listeners and the addresses that its status reports.
type Gateway struct {
	Meta
	Targets          Targets            `json:",omitzero"` // where its status or its annotation points
	Class            string             `json:",omitzero"`
	Listeners        []Listener         `json:",omitzero"`
	AllowedListeners NamespaceSelection `json:",omitzero"` // where its ListenerSets may be (G51)
	Malformed        bool               `json:",omitzero"` // it is not as its kind should be
	IsDefault        bool               `json:",omitzero"` // routes that name no Gateway may attach to it (G19)
}

type gatewayObject struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		GatewayClassName string         `json:"gatewayClassName"`
		Listeners        []listenerSpec `json:"listeners"`
		AllowedListeners struct {
			Namespaces namespacesSpec `json:"namespaces"`
		} `json:"allowedListeners"`
		DefaultScope gatewayv1.GatewayDefaultScope `json:"defaultScope"`
	} `json:"spec"`
	Status struct { // G40: never spec.addresses
		Addresses []gatewayAddress `json:"addresses"`
		Listeners []listenerStatus `json:"listeners"`
	} `json:"status"`
}

type gatewayAddress struct {
	Type        gatewayv1.AddressType `json:"type"`
	Value       string                `json:"value"`
	Routability string                `json:"routability"`
}

func NewGateway(obj *unstructured.Unstructured, f *Fields) *Gateway {
	g := &Gateway{Meta: newMeta(obj)}
	g.identify(KindGateway, obj, f, true)
	g.Targets.Ref = g.Ref(KindGateway)
	var written gatewayObject
	if g.Targets.Problems = decode(g.Targets.Ref, obj, &written); g.Targets.Problems != nil {
		g.Malformed = true
		return g
	}
	g.Class = written.Spec.GatewayClassName
	g.Listeners = reduceListeners(written.Spec.Listeners, written.Status.Listeners)
	g.AllowedListeners = written.Spec.AllowedListeners.Namespaces.selection(gatewayv1.NamespacesFromNone)
	g.IsDefault = written.Spec.DefaultScope == gatewayv1.GatewayDefaultScopeAll
	if service, ok := written.Annotations[lb.ServiceAnnotation]; ok {
		g.Targets.SetService(service)
		return g
	}
	g.Targets.Missing = "its status has no address yet: is its controller running, and does it publish its Service's? Annotation " + lb.ServiceAnnotation + " can name a Service instead"
	for _, address := range written.Status.Addresses[:min(MaxTargets, len(written.Status.Addresses))] {
		g.addAddress(address)
	}
	return g
}

func (g *Gateway) KindName() KindName { return KindName{KindGateway, g.Namespace, g.Name} }

// addAddress adds an address of the status, if clients can be sent there (G40–G42).
func (g *Gateway) addAddress(address gatewayAddress) {
	switch kind := value(&address.Type, gatewayv1.IPAddressType); {
	case address.Routability == "Cluster": // G42: not reachable from outside
		g.Targets.Missing = inCluster(address.Value)
	case kind == gatewayv1.IPAddressType:
		g.Targets.AddIP(address.Value)
	case kind == gatewayv1.HostnameAddressType && !strings.HasPrefix(address.Value, "*."):
		g.Targets.AddHost(address.Value)
	default:
		g.Targets.Missing = fmt.Sprintf("its address %q of type %s is no IP address and no hostname", printable.Shorten(address.Value), printable.Shorten(string(kind)))
	}
}

// Limited returns the Gateway without the addresses that are left out, itself if there are none (D34).
func (g *Gateway) Limited(networks []netip.Prefix) *Gateway {
	if g == nil || !slices.ContainsFunc(g.Targets.List, func(t Target) bool { return t.Addr.IsValid() && !In(networks, t.Addr) }) {
		return g
	}
	limited := *g
	limited.Targets.Problems = slices.Clip(g.Targets.Problems)
	limited.Targets.Limit(networks)
	return &limited
}

// GatewayClass names the controller of its Gateways.
type GatewayClass struct {
	Meta
	Controller string    `json:",omitzero"`
	Problems   []Problem `json:",omitzero"`
}

func NewGatewayClass(obj *unstructured.Unstructured, _ *Fields) *GatewayClass {
	c := &GatewayClass{Meta: newMeta(obj)}
	var written struct {
		Spec struct {
			ControllerName string `json:"controllerName"`
		} `json:"spec"`
	}
	c.Problems = decode(c.Ref(KindGatewayClass), obj, &written)
	c.Controller = written.Spec.ControllerName
	return c
}

func (c *GatewayClass) KindName() KindName { return KindName{Kind: KindGatewayClass, Name: c.Name} }

// Namespace is a Namespace: its name, which hosts of others are kept off (C7), and the labels that listeners select
// it by (G16).
type Namespace struct {
	Meta
	Labels labels.Set `json:",omitzero"` // nil if they are too many to be kept (C7c): no listener selects it then
}

func NewNamespace(obj *corev1.Namespace, _ *Fields) *Namespace {
	n := &Namespace{Meta: newMeta(obj)}
	if textOf(obj.Labels) <= maxLabelText {
		n.Labels = labels.Merge(obj.Labels, nil)
	}
	return n
}

func (n *Namespace) KindName() KindName { return KindName{Kind: "Namespace", Name: n.Name} }
