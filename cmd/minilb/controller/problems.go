package controller

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/controller/events"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

func (s *service) problem(reason, note string) events.Problem {
	return events.Problem{Kind: "Service", Namespace: s.name.Namespace, Name: s.name.Name, UID: s.uid, Reason: reason, Note: note}
}

// problems returns those of a Service's own fields, none of one that does not exist. class is ours.
func (s *service) problems(class string) []events.Problem {
	switch {
	case s == nil:
		return nil
	case s.notOurs:
		return []events.Problem{s.wrongClass(class)}
	}
	all := s.mismatched(mismatches(s.ports, nil))
	for _, field := range s.unsupported {
		p := s.problem(field.Reason, field.Text+"; "+field.Fix)
		p.Normal = !field.Warning
		all = append(all, p)
	}
	return all
}

// mismatches returns a clause for each port that clients must replace by another (S5).
func mismatches(ports []corev1.ServicePort, served []discoveryv1.EndpointPort) (texts []string) {
	for _, m := range lb.PortMismatches(ports, served) {
		texts = append(texts, m.String())
	}
	return texts
}

func (s *service) mismatched(texts []string) []events.Problem {
	return s.problem(events.TargetPortMismatch, "").Each(texts, "make port and targetPort the same, or let clients look up SRV records")
}

// wrongClass returns the problem of a Service that is not ours though its owner seems to think it is.
func (s *service) wrongClass(class string) events.Problem {
	theirs := "the Service has no loadBalancerClass"
	if s.class != nil {
		quoted := fmt.Sprintf("%q", printable.Cut(*s.class, 80))
		if lb.LikelyTypo(*s.class, class) {
			return s.problem(events.WrongClass, fmt.Sprintf("loadBalancerClass %s looks like a typo of %q, so that nobody serves the Service: "+
				"create it anew with that class, or give it type ClusterIP in between, as a class cannot be changed", quoted, class))
		}
		theirs = "the Service's loadBalancerClass is " + quoted
	}
	return s.problem(events.AnnotationIgnored, fmt.Sprintf("Annotation %s is ignored, as %s: create the Service anew with loadBalancerClass %q, which cannot be changed",
		strings.Join(s.annotations, " and "), theirs, class))
}

// recordProblems records the problems of a Service, nil for one that is gone.
func (c *Controller) recordProblems(name cache.ObjectName, s *service) {
	c.recorder.Replace(topic(name), s.problems(c.options.Class))
	if !s.answered() {
		c.recorder.Replace(endpointsSource(name), nil)
	}
}
