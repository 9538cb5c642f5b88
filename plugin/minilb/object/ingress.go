package object

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// Ingress is an Ingress with the names it routes and the addresses that its status reports.
type Ingress struct {
	Meta
	Classes   []string         `json:",omitzero"` // by its field and by the annotation that is older; either may be missing
	Service   *string          `json:",omitzero"` // value of the annotation that replaces the status (M7)
	Hosts     []string         `json:",omitzero"` // as written, each once
	Surplus   int              `json:",omitzero"` // how many hosts there are beside, which are not kept
	Addresses []IngressAddress `json:",omitzero"` // as written
	TTL       *uint16          `json:",omitzero"` // seconds, nil for the server's (L2)
	Rejected  []string         `json:",omitzero"` // what is wrong with the annotation that it is from
}

type IngressAddress struct {
	IP, Hostname string `json:",omitzero"`
}

func NewIngress(obj *networkingv1.Ingress, f *Fields) *Ingress {
	i := &Ingress{Meta: newMeta(obj)}
	i.identify("Ingress", obj, f, true)
	i.TTL = ttlOf(obj.Annotations, &i.Rejected)
	for _, class := range []string{ptr.Deref(obj.Spec.IngressClassName, ""), obj.Annotations["kubernetes.io/ingress.class"]} {
		if class != "" && !slices.Contains(i.Classes, class) {
			i.Classes = append(i.Classes, intern(printable.Cut(class, maxValue)))
		}
	}
	if service, ok := obj.Annotations[lb.ServiceAnnotation]; ok {
		i.Service = new(printable.Cut(service, maxValue)) // and no reference any longer
	}
	// I1, I2, I3: not spec.tls, not defaultBackend
	i.Hosts, i.Surplus = distinctHosts(obj.Spec.Rules, func(rule networkingv1.IngressRule) string { return rule.Host })
	for _, address := range obj.Status.LoadBalancer.Ingress[:min(MaxTargets, len(obj.Status.LoadBalancer.Ingress))] { // I7: all of them
		i.Addresses = append(i.Addresses, IngressAddress{IP: address.IP, Hostname: address.Hostname})
	}
	return i
}
