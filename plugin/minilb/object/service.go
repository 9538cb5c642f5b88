package object

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Service is a Service of type LoadBalancer, or one that is exposed by its label.
type Service struct {
	Meta
	Kind     corev1.ServiceType `json:",omitzero"`
	Class    *string            `json:",omitzero"`
	Labelled bool               `json:",omitzero"` // it is exposed by its label (L1)
	Hosts    map[string]string  `json:",omitzero"` // the host annotations that a Translator reads; of one that nobody exposes none (C7c)
	// Truncated are those annotations of which only the first hosts are kept.
	Truncated []Truncation `json:",omitzero"`
	ServicePorts
	TTL *uint16 `json:",omitzero"` // seconds, of its name and hosts; nil for the server's, and of one that nobody exposes (L2)
	Share
	Rejected []string `json:",omitzero"` // what is wrong with the annotations that these are from
}

// ServicePorts is what a Service says of its ports, and of who is to get to which endpoint.
type ServicePorts struct {
	Named    string `json:",omitzero"` // those with names, as in "_https._tcp _dns._udp", if it is served
	HTTPS    *HTTPS `json:",omitzero"` // nil if it does not serve HTTPS, or nobody asks
	Affinity bool   `json:",omitzero"` // its sessionAffinity is ClientIP (L4), if it is served
}

func (o ServicePorts) Equal(p ServicePorts) bool {
	return o == p || o.Named == p.Named && o.Affinity == p.Affinity && reflect.DeepEqual(o.HTTPS, p.HTTPS)
}

// Exposed reports whether the Service, which may be nil, is one of the class or, where those count, of none, or has the label that
// exposes any, and is not ignored (S6, L1, M8).
func (s *Service) Exposed(class string, withoutClass bool) bool {
	return s != nil && !s.Ignored &&
		(s.Labelled || lb.IsOurs(&corev1.ServiceSpec{Type: s.Kind, LoadBalancerClass: s.Class}, class, withoutClass))
}

// NewService keeps what is answered, and what the fields ask for beyond that.
func NewService(obj *corev1.Service, f *Fields) *Service {
	s := &Service{
		Meta:     newMeta(obj),
		Kind:     corev1.ServiceType(intern(string(obj.Spec.Type))),
		Labelled: lb.IsExposed(obj),
	}
	if class := obj.Spec.LoadBalancerClass; class != nil {
		s.Class = new(intern(*class))
	}
	exposed := slices.ContainsFunc(f.Classes, func(class string) bool { return s.Exposed(class, class == "") })
	if exposed {
		s.Named = namedPortsOf(obj.Spec.Ports[:min(maxPorts, len(obj.Spec.Ports))])
		s.Affinity = obj.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
	}
	if exposed {
		s.TTL, s.Share = ttlOf(obj.Annotations, &s.Rejected), shareOf(obj.Annotations, &s.Rejected)
	}
	if exposed && f.HTTPS {
		s.HTTPS = reduceHTTPS(obj)
	}
	if exposed || f.Unexposed {
		s.keepHosts(obj.Annotations, f.HostAnnotations)
	}
	s.identify("Service", obj, f, exposed)
	return s
}
