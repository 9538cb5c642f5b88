package check

import (
	"fmt"
	"slices"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// annotations returns the labels and annotations that look like ours and have no effect.
func (c *checker) annotations() []Problem {
	var problems []Problem
	hostAnnotations := c.hostAnnotations()
	for _, service := range c.services {
		if lb.Ignored(service.Labels) { // M8
			continue
		}
		_, exposed := c.exposed(service)
		for _, warning := range lb.Lint("Service", service.Labels, service.Annotations, hostAnnotations) {
			if exposed || !warning.Notice { // else it has nothing to do with us
				problems = append(problems, ofService(service, severity(warning.Notice), ignored(warning), warning.Text, warning.Fix))
			}
		}
		if exposed {
			continue
		}
		for _, key := range []string{lb.HostAnnotation, lb.ALPNAnnotation} { // I11
			if _, has := service.Annotations[key]; has && (key != lb.HostAnnotation || slices.Contains(hostAnnotations, key)) {
				problems = append(problems, ofService(service, Warning, "AnnotationIgnored",
					fmt.Sprintf("annotation %s has no effect: it counts only on Services of type LoadBalancer and class %s", key, c.options[0].Class),
					fmt.Sprintf("make it such a Service (type: LoadBalancer, loadBalancerClass: %s), or remove the annotation", c.options[0].Class)))
			}
		}
	}
	for _, i := range c.runs {
		for _, object := range i.Annotated() {
			if object.Ignored {
				continue
			}
			for _, warning := range lb.Lint(object.Kind, object.Labels, object.Annotations, hostAnnotations) {
				problems = append(problems, Problem{severity(warning.Notice), object.Kind, object.Namespace, object.Name, ignored(warning), warning.Text, warning.Fix})
			}
		}
	}
	return problems
}

func severity(notice bool) Severity {
	if notice {
		return Notice
	}
	return Warning
}

func ignored(warning lb.LintWarning) string {
	if warning.Label {
		return "LabelIgnored"
	}
	return "AnnotationIgnored"
}

// hostAnnotations returns those of all servers.
func (c *checker) hostAnnotations() []string {
	var all []string
	for i := range c.options {
		all = append(all, c.options[i].HostAnnotations...)
	}
	return config.Distinct(all)
}
