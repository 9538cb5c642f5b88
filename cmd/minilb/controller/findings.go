package controller

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// finding returns one about the Service.
func (s *service) finding(reason, note string) finding {
	return finding{kind: "Service", namespace: s.name.Namespace, name: s.name.Name, uid: s.uid, reason: reason, note: note}
}

// find notes what of a Service that is ours its clients may stumble over.
func (s *service) find(full *corev1.Service) {
	var numbered []corev1.ServicePort
	const maxPorts = 1024 // as many as have names in DNS; a Service can have tens of thousands
	for i := range full.Spec.Ports[:min(maxPorts, len(full.Spec.Ports))] {
		p := &full.Spec.Ports[i]
		if p.TargetPort.Type == intstr.String {
			s.ports = append(s.ports, corev1.ServicePort{Name: p.Name, Protocol: p.Protocol, Port: p.Port, TargetPort: intstr.FromString("")})
		} else {
			numbered = append(numbered, *p)
		}
	}
	s.selects = len(full.Spec.Selector) > 0
	s.findings = append(s.findings, s.mismatched(mismatches(numbered, nil))...)
	for _, field := range unsupported {
		if field.set(&full.Spec) {
			f := s.finding(reasonUnsupported+field.name, field.note)
			f.normal = !field.warns
			s.findings = append(s.findings, f)
		}
	}
}

// mismatches says of each port that is not where clients expect it where it is (S5).
func mismatches(ports []corev1.ServicePort, served []discoveryv1.EndpointPort) (texts []string) {
	for _, m := range lb.PortMismatches(ports, served) {
		texts = append(texts, m.String())
	}
	return texts
}

// mismatched returns a finding for each of such ports.
func (s *service) mismatched(texts []string) []finding {
	return s.finding(reasonTargetPortMismatch, "").each(texts, "make port and targetPort the same, or let clients look up SRV records")
}

// capitalized returns a sentence that begins as one.
func capitalized(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// unsupported are the fields of a Service that cannot be honoured where clients connect to the pods
// themselves (E11).
var unsupported = []struct {
	name  string
	warns bool // its user relies on it
	set   func(*corev1.ServiceSpec) bool
	note  string
}{
	{
		"SessionAffinity", false, func(s *corev1.ServiceSpec) bool { return s.SessionAffinity == corev1.ServiceAffinityClientIP },
		"sessionAffinity has no effect on clients outside of the cluster, which choose a pod by themselves: remove it, or keep sessions where all pods find them",
	},
	{
		"LoadBalancerSourceRanges", true, func(s *corev1.ServiceSpec) bool { return len(s.LoadBalancerSourceRanges) > 0 },
		"loadBalancerSourceRanges has no effect, as clients connect to the pods themselves: admit them by a NetworkPolicy",
	},
	{
		"LoadBalancerIP", false, func(s *corev1.ServiceSpec) bool { return s.LoadBalancerIP != "" },
		"loadBalancerIP has no effect, as the Service has a name and no address of its own: remove it",
	},
	{
		"ExternalIPs", false, func(s *corev1.ServiceSpec) bool { return len(s.ExternalIPs) > 0 },
		"externalIPs are not answered, as the Service's name leads to its pods: remove them, or route them to the nodes yourself",
	},
}

// reduceForeign returns what we need of a Service that is not ours: nil, unless its owner takes it for
// ours. One that has a status has somebody else who cares for it.
func (c *Controller) reduceForeign(full *corev1.Service) *service {
	if c.recorder == nil || full.Spec.Type != corev1.ServiceTypeLoadBalancer || len(full.Status.LoadBalancer.Ingress) > 0 {
		return nil
	}
	class := full.Spec.LoadBalancerClass
	s := &service{name: cache.MetaObjectToName(full), uid: full.UID, foreign: true}
	if class != nil && lb.Similar(*class, c.options.Class) {
		s.findings = []finding{s.finding(reasonWrongClass, fmt.Sprintf(
			"loadBalancerClass %q looks like a slip of %q, so that nobody serves the Service: make it anew with that class, or give it type ClusterIP in between, as a class cannot be changed",
			printable.Cut(*class, 80), c.options.Class))}
		return s
	}
	var names []string
	for _, name := range []string{lb.HostAnnotation, lb.ALPNAnnotation} {
		if _, there := full.Annotations[name]; there {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil
	}
	is := "the Service has no loadBalancerClass"
	if class != nil {
		is = fmt.Sprintf("the Service's loadBalancerClass is %q", printable.Cut(*class, 80))
	}
	s.findings = []finding{s.finding(reasonAnnotationIgnored, fmt.Sprintf(
		"Annotation %s is ignored, as %s: create the Service anew with loadBalancerClass %q, which cannot be changed",
		strings.Join(names, " and "), is, c.options.Class))}
	return s
}

// findIn hands what was found of a Service to the recorder. It is nil if it is gone, or of no interest any more:
// the recorder asks whether it is there.
func (c *Controller) findIn(name cache.ObjectName, s *service) {
	if c.recorder == nil {
		return
	}
	var findings []finding
	if s != nil {
		findings = s.findings
	}
	c.recorder.replace(topic(name), findings)
	if s == nil || s.foreign {
		c.sweeps.gone(name)
		c.recorder.replace(endpointsTopic(name), nil)
	} else {
		c.sweeps.seen(s)
	}
}
