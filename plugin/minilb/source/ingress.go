package source

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

const classAnnotation = "kubernetes.io/ingress.class"

// ingress is an Ingress with the names it routes and the addresses that its status reports.
type ingress struct {
	meta
	classes   []string         // by its field and by the annotation that is older; either may be missing
	service   *string          // value of the annotation that replaces the status (M7)
	hosts     []string         // as written, each once
	surplus   int              // how many hosts there are beside, which are not kept
	addresses []ingressAddress // as written
}

type ingressAddress struct{ ip, hostname string }

func reduceIngress(obj *networkingv1.Ingress) *ingress {
	i := &ingress{meta: newMeta(&obj.ObjectMeta)}
	for _, class := range []string{value(obj.Spec.IngressClassName, ""), obj.Annotations[classAnnotation]} {
		if class != "" && !slices.Contains(i.classes, class) {
			i.classes = append(i.classes, intern(printable.Cut(class, maxValue)))
		}
	}
	if service, ok := obj.Annotations[lb.ServiceAnnotation]; ok {
		service = printable.Cut(service, maxValue) // and no reference any longer
		i.service = &service
	}
	var hosts hostList
	for _, rule := range obj.Spec.Rules { // I1, I2, I3: not spec.tls, not defaultBackend
		if rule.Host != "" {
			hosts.add(rule.Host)
		}
	}
	i.hosts, i.surplus = hosts.hosts, hosts.surplus
	for _, address := range obj.Status.LoadBalancer.Ingress[:min(maxTargets, len(obj.Status.LoadBalancer.Ingress))] { // I7: all of them
		i.addresses = append(i.addresses, ingressAddress{ip: address.IP, hostname: address.Hostname})
	}
	return i
}

// takes reports whether an Ingress is of a class that counts: controllers differ in which of the two goes
// first (I6).
func takes(o *Options, i *ingress) bool {
	return len(o.IngressClasses) == 0 || slices.ContainsFunc(i.classes, func(class string) bool { return slices.Contains(o.IngressClasses, class) })
}

// ingressClaim returns what an Ingress claims, or nil.
func ingressClaim(o *Options, i *ingress) *claim {
	if i.ignored || len(i.hosts) == 0 || !takes(o, i) {
		return nil
	}
	c := &claim{lead: lead{owner: i.owner("Ingress")}}
	c.addHosts(slices.Values(i.hosts), "") // I5: the API server lets labels of any length through
	c.tooMany(i.surplus, "")
	if i.service != nil {
		c.aimAtService(*i.service)
		return c
	}
	for _, address := range i.addresses {
		if address.ip != "" {
			c.aimAtIP(address.ip)
		}
		if address.hostname != "" {
			c.aimAtHost(address.hostname)
		}
	}
	c.limit(o.Addresses)
	if len(c.targets) == 0 && c.missing == "" {
		c.missing = "its status has no address yet; is its ingress controller running and publishing one?"
	}
	return c
}
