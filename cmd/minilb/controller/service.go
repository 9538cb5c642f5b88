package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// service is what is kept of a Service.
type service struct {
	name     cache.ObjectName
	uid      types.UID
	version  string // resourceVersion
	deleting bool
	pending  bool   // its status is not what it should be
	manager  string // the field manager that wrote a pending status last, "" if unknown

	// The rest is for Events.

	notOurs     bool // it is kept only because its owner seems to think it is ours
	labelled    bool // its label has it answered, without a status (L1)
	class       *string
	annotations []string             // ours, of a Service that is not
	selects     bool                 // it has a selector
	ttl         uint32               // the longest of its names, in seconds
	ports       []corev1.ServicePort // whose targetPort is another number
	namedPorts  []corev1.ServicePort // whose targetPort is a name: its number is known from endpoints only
	unsupported []*lb.UnsupportedField
}

// Key implements the informer.Object interface.
func (s *service) Key() cache.ObjectName { return s.name }

// answered reports whether the DNS servers answer a Service, nil for one that does not exist.
func (s *service) answered() bool { return s != nil && !s.notOurs }

// ours reports whether the status of a Service is for us to write.
func (s *service) ours() bool { return s.answered() && !s.labelled }

// unwritten reports whether the status is still to be written.
func (s *service) unwritten() bool { return s.pending && !s.deleting }

// services are the stores of Services: of type LoadBalancer and, if Events are written, of other types with the label (L1).
type services []*informer.Store[*corev1.Service, *service]

// get returns a Service, nil if there is none.
func (all services) get(name cache.ObjectName) *service {
	for _, store := range all {
		if s, there := store.Get(name); there {
			return s
		}
	}
	return nil
}

// known reports whether those are listed whose status is to be written.
func (all services) known() bool { return all[0].Known() }

func (all services) list() (list []*service) {
	for _, store := range all {
		list = append(list, store.List()...)
	}
	return list
}

// transform returns what is kept of a Service, nil for nothing (S6, M8).
func (c *Controller) transform(full *corev1.Service) *service {
	if lb.Ignored(full.Labels) {
		return nil
	}
	s := &service{name: cache.MetaObjectToName(full), uid: full.UID, deleting: full.DeletionTimestamp != nil}
	switch {
	case lb.IsOurs(&full.Spec, c.options.Class, c.options.DefaultClass):
	case c.recorder == nil:
		return nil
	case lb.IsExposed(full):
		s.labelled = true
		c.keepSpec(s, &full.Spec)
		return s
	case s.seemsOurs(full, c.options.Class):
		return s
	default:
		return nil
	}
	s.version = full.ResourceVersion
	s.pending = !apiequality.Semantic.DeepEqual(full.Status.LoadBalancer.Ingress,
		[]corev1.LoadBalancerIngress{{Hostname: lb.Hostname(full, c.options.Domain)}}) // neither IP nor port (S1-S4)
	if s.pending {
		s.manager = lb.StatusWriter(full.ManagedFields)
	}
	if c.recorder != nil {
		c.keepSpec(s, &full.Spec)
		s.ttl = max(c.options.TTL, object.TTLOf(full.Annotations))
	}
	return s
}

// keepSpec keeps what can be a problem.
func (c *Controller) keepSpec(s *service, spec *corev1.ServiceSpec) {
	const maxPorts = 1024 // as many as have names in DNS; a Service can have tens of thousands
	for _, p := range spec.Ports[:min(maxPorts, len(spec.Ports))] {
		kept := corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port, TargetPort: p.TargetPort}
		kept.TargetPort.StrVal = ""
		switch target := p.TargetPort; {
		case target.Type == intstr.String:
			s.namedPorts = append(s.namedPorts, kept)
		case target.IntVal != 0 && target.IntVal != p.Port:
			s.ports = append(s.ports, kept)
		}
	}
	s.selects = len(spec.Selector) > 0
	affinity := slices.ContainsFunc(c.options.Claims, func(o config.Options) bool { return o.Affinity })
	for _, field := range lb.UnsupportedFields {
		if !s.labelled && field.IsSet(spec) && !(affinity && field.Affinity) { // one of another type may need it within the cluster
			s.unsupported = append(s.unsupported, field)
		}
	}
}

// seemsOurs reports whether the owner of a Service that is not ours seems to think that it is, and keeps why. One that
// has a status is served by another controller.
func (s *service) seemsOurs(full *corev1.Service, class string) bool {
	if full.Spec.Type != corev1.ServiceTypeLoadBalancer || len(full.Status.LoadBalancer.Ingress) > 0 {
		return false
	}
	s.notOurs, s.class = true, full.Spec.LoadBalancerClass
	for _, name := range lb.OfOurServices {
		if _, has := full.Annotations[name]; has {
			s.annotations = append(s.annotations, name)
		}
	}
	return s.annotations != nil || s.class != nil && lb.LikelyTypo(*s.class, class)
}
