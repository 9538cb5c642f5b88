package source

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

// gateway is a Gateway with its listeners and the addresses that its status reports.
type gateway struct {
	meta
	lead       lead // where its status or its annotation points
	class      string
	listeners  []listener
	sets       selection // where its ListenerSets may be (G51)
	unreadable bool      // it is not as its kind should be
	standard   bool      // routes that name no Gateway may attach to it (G19)
}

// gatewayObject is a Gateway as it is written.
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

func reduceGateway(obj *unstructured.Unstructured) *gateway {
	g := &gateway{meta: identity(obj)}
	g.lead.owner = g.owner(gatewayKind)
	var written gatewayObject
	if err := decode(obj, &written); err != nil {
		g.unreadable, g.lead.problems = true, unreadable(g.lead.owner, err)
		return g
	}
	g.class = written.Spec.GatewayClassName
	g.listeners = reduceListeners(written.Spec.Listeners, written.Status.Listeners)
	g.sets = written.Spec.AllowedListeners.Namespaces.selection(gatewayv1.NamespacesFromNone)
	g.standard = written.Spec.DefaultScope == gatewayv1.GatewayDefaultScopeAll
	if service, ok := written.Annotations[lb.ServiceAnnotation]; ok {
		g.lead.aimAtService(service)
		return g
	}
	g.lead.missing = "its status has no address yet: is its controller running, and does it publish its Service's? Annotation " + lb.ServiceAnnotation + " can name a Service instead"
	for _, address := range written.Status.Addresses[:min(maxTargets, len(written.Status.Addresses))] {
		g.aimAt(address)
	}
	return g
}

func (g *gateway) kindName() kindName {
	return kindName{kind: gatewayKind, namespace: g.namespace, name: g.name}
}

// routableInCluster is the routability of an address that cannot be reached from outside (G42).
const routableInCluster = "Cluster"

// aimAt adds an address of the status, if clients can be sent there (G40–G42).
func (g *gateway) aimAt(address gatewayAddress) {
	switch kind := value(&address.Type, gatewayv1.IPAddressType); {
	case address.Routability == routableInCluster:
		g.lead.missing = inCluster(address.Value)
	case kind == gatewayv1.IPAddressType:
		g.lead.aimAtIP(address.Value)
	case kind == gatewayv1.HostnameAddressType && !strings.HasPrefix(address.Value, "*."):
		g.lead.aimAtHost(address.Value)
	default:
		g.lead.missing = fmt.Sprintf("its address %q of type %s is no IP address and no hostname", printable.Shorten(address.Value), printable.Shorten(string(kind)))
	}
}

// limited returns the Gateway without the addresses that are left out, itself if there are none (D34).
func (g *gateway) limited(networks []netip.Prefix) *gateway {
	if g == nil || !slices.ContainsFunc(g.lead.targets, func(t target) bool { return t.addr.IsValid() && !In(networks, t.addr) }) {
		return g
	}
	limited := *g
	limited.lead.problems = slices.Clip(g.lead.problems)
	limited.lead.limit(networks)
	return &limited
}

// gatewayClass is a GatewayClass: which controller its Gateways are left to.
type gatewayClass struct {
	meta
	controller string
	problems   []problem
}

func reduceGatewayClass(obj *unstructured.Unstructured) *gatewayClass {
	c := &gatewayClass{meta: identity(obj)}
	var written struct {
		Spec struct {
			ControllerName string `json:"controllerName"`
		} `json:"spec"`
	}
	if err := decode(obj, &written); err != nil {
		c.problems = unreadable(c.owner(gatewayClassKind), err)
	}
	c.controller = written.Spec.ControllerName
	return c
}

func (c *gatewayClass) kindName() kindName { return kindName{kind: gatewayClassKind, name: c.name} }

// namespace is a Namespace: its name, which hosts of others are kept off (C7), and the labels that listeners select
// it by (G16).
type namespace struct {
	meta
	labels labels.Set // nil if they are too many to be kept (C7c): no listener selects it then
}

func reduceNamespace(obj *corev1.Namespace) *namespace {
	n := &namespace{meta: newMeta(&obj.ObjectMeta)}
	if textOf(obj.Labels) <= maxLabelText {
		n.labels = labels.Merge(obj.Labels, nil)
	}
	return n
}

func (n *namespace) kindName() kindName { return kindName{kind: "Namespace", name: n.name} }
