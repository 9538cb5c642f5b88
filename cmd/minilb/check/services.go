package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

func ofService(service *corev1.Service, severity Severity, reason, text, fix string) Problem {
	return Problem{severity, "Service", service.Namespace, service.Name, reason, text, fix}
}

// statuses returns the exposed Services that have another address in their status than their name
// (S1, S12).
func (c *checker) statuses() []Problem {
	var problems []Problem
	for _, service := range c.services {
		domain, exposed := c.exposed(service)
		if !exposed || service.DeletionTimestamp != nil { // M5
			continue
		}
		want := lb.Hostname(service, domain)
		var got []string
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			got = append(got, ingress.Hostname+ingress.IP)
		}
		switch writer := cmp.Or(lb.StatusWriter(service.ManagedFields), "somebody unknown"); {
		case slices.Equal(got, []string{want}):
		case len(got) == 0:
			problems = append(problems, ofService(service, Error, "NoHostname",
				fmt.Sprintf("its status has no hostname, want %s: no controller has written it", want),
				fmt.Sprintf("see that \"minilb controller\" runs, with class %s and domain %s, and what it logs", classOf(service), domain)))
		case writer == "minilb":
			problems = append(problems, ofService(service, Error, "StatusConflict",
				fmt.Sprintf("its status is %s, want %s: \"minilb controller\" has written it for another domain", strings.Join(got, ", "), want),
				fmt.Sprintf("let all controllers of class %s have -domain %s", classOf(service), domain)))
		default:
			problems = append(problems, ofService(service, Error, "StatusConflict",
				fmt.Sprintf("its status is %s, want %s: %s has written it, and may write it again each time", strings.Join(got, ", "), want, writer),
				fmt.Sprintf("have that controller ignore class %s, and see that \"minilb controller\" runs", classOf(service))))
		}
	}
	return problems
}

// classOf returns the class by which a Service is ours.
func classOf(service *corev1.Service) string {
	return ptr.Deref(service.Spec.LoadBalancerClass, "none (-default-class)")
}

// classes returns the LoadBalancer Services that no controller serves: our class may be what was meant.
func (c *checker) classes() []Problem {
	var problems []Problem
	for _, service := range c.services {
		_, exposed := c.exposed(service)
		if exposed || lb.Ignored(service.Labels) || service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Status.LoadBalancer.Ingress) > 0 {
			continue
		}
		ours := c.options[0].Class
		again := fmt.Sprintf("make it anew with spec.loadBalancerClass: %s, or give it type ClusterIP in between, as a class cannot be changed", ours)
		class := service.Spec.LoadBalancerClass
		switch {
		case class == nil:
			problems = append(problems, ofService(service, Warning, "NoClass",
				fmt.Sprintf("it has no spec.loadBalancerClass, so that it is not of class %s, and nobody has given it an address", ours),
				again+"; or take Services without a class: default_class in the Corefile and \"minilb controller -default-class\""))
		case slices.ContainsFunc(c.options, func(o config.Options) bool { return lb.LikelyTypo(*class, o.Class) }):
			problems = append(problems, ofService(service, Warning, "WrongClass",
				fmt.Sprintf("its spec.loadBalancerClass %q looks like a typo of %q", *class, ours), again))
		default:
			problems = append(problems, ofService(service, Warning, "WrongClass",
				fmt.Sprintf("nobody has given it an address: its spec.loadBalancerClass is %q, and not %q", *class, ours),
				"see that the controller of that class runs; or, if it is meant to be ours, "+again))
		}
	}
	return problems
}

// unsupported returns the fields of exposed Services that have no effect (E11). Users rely on only one of them,
// loadBalancerSourceRanges.
func (c *checker) unsupported() []Problem {
	var problems []Problem
	for _, service := range c.services {
		if _, exposed := c.exposed(service); !exposed {
			continue
		}
		for _, field := range lb.UnsupportedFields {
			if field.IsSet(&service.Spec) {
				problems = append(problems, ofService(service, severity(!field.Warning), field.Reason, field.Text, field.Fix))
			}
		}
	}
	return problems
}
