package source

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// service is a Service of type LoadBalancer.
type service struct {
	meta
	kind  corev1.ServiceType
	class *string
	hosts map[string]string // the host annotations that a Translator reads; of one that nobody exposes none (C7c)
	// shortened are those annotations of which only the first hosts are kept.
	shortened []shortening
	offered
}

// offered is what a Service says of its ports.
type offered struct {
	ports string // those with names, as in "_https._tcp _dns._udp", if it is served
	https *https // nil if it does not serve HTTPS, or nobody asks
}

func (o offered) equal(p offered) bool { return o.ports == p.ports && o.https.equal(p.https) }

// exposed reports whether the Service, which may be nil, is one of the class or, where those count, of none, and not ignored (S6, M8).
func (s *service) exposed(class string, withoutClass bool) bool {
	return s != nil && !s.ignored &&
		lb.Exposed(&corev1.ServiceSpec{Type: s.kind, LoadBalancerClass: s.class}, class, withoutClass)
}

// newService keeps what is answered, and what the fields ask for beyond that.
func newService(obj *corev1.Service, f *Fields) *service {
	s := &service{
		meta: newMeta(&obj.ObjectMeta),
		kind: corev1.ServiceType(intern(string(obj.Spec.Type))),
	}
	if class := obj.Spec.LoadBalancerClass; class != nil {
		shared := intern(*class)
		s.class = &shared
	}
	exposed := slices.ContainsFunc(f.Classes, func(class string) bool { return s.exposed(class, class == "") })
	if exposed {
		s.ports = namedPortsOf(obj.Spec.Ports[:min(maxPorts, len(obj.Spec.Ports))])
	}
	if exposed && f.HTTPS {
		s.https = reduceHTTPS(obj)
	}
	if exposed || f.Unexposed {
		s.keepHosts(obj.Annotations, f.HostAnnotations)
	}
	return s
}

// serviceClaim returns what an exposed Service claims by its annotations, or nil (I10, I11, M9).
func serviceClaim(o *Options, s *service) *claim {
	c := &claim{lead: lead{
		owner:   s.owner("Service"),
		targets: []target{{service: cache.NewObjectName(s.namespace, s.name)}},
	}}
	zone := ""
	if len(o.Zones) > 0 {
		zone = o.Zones[0]
	}
	for _, annotation := range o.HostAnnotations {
		dropped := 0
		if i := slices.IndexFunc(s.shortened, func(s shortening) bool { return s.annotation == annotation }); i >= 0 {
			dropped = s.shortened[i].hosts
		}
		c.addRelative(splitHosts(s.hosts[annotation]), zone, " in annotation "+annotation, dropped)
	}
	if s.https != nil && o.HTTPS {
		for _, text := range s.https.refused {
			c.problem(ReasonALPN, "in annotation %s, %s", lb.ALPNAnnotation, text)
		}
	}
	if c.hosts == nil && c.problems == nil {
		return nil
	}
	return c
}
