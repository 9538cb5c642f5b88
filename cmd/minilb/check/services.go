package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/cmd/minilb/reasons"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

func (c *checker) addService(service *corev1.Service, severity Severity, reason, text, fix string) {
	c.add(Problem{severity, "Service", service.Namespace, service.Name, reason, text, fix})
}

func (c *checker) checkService(service *corev1.Service) {
	if lb.Ignored(service.Labels) { // M8
		return
	}
	ours := slices.IndexFunc(c.options, func(o config.Options) bool {
		return lb.IsOurs(&service.Spec, o.Class, o.DefaultClass)
	})
	exposed := ours >= 0 || lb.IsExposed(service) // L1
	c.lint("Service", service.Namespace, service.Name, service.Labels, service.Annotations, exposed)
	if !exposed {
		c.annotations(service)
		c.class(service)
		return
	}
	if ours >= 0 {
		c.status(service, strings.TrimSuffix(c.options[ours].Zones[0], "."))
		c.unsupported(service, c.options[ours].Affinity)
	}
	byCilium := c.byCilium(service)
	if byCilium {
		c.addService(service, Error, "CiliumService",
			"it belongs to a Gateway or Ingress of Cilium, whose proxies are on the nodes: there are no pods that its name could lead to",
			"let Cilium's own load balancer (LB IPAM with L2 announcements or BGP) serve it, by its class; hosts then lead to the IP address in the status")
	} else {
		c.ports(service)
	}
	for _, i := range c.runs {
		if of, is := i.Service(service.Namespace, service.Name); is {
			c.endpoints(service, of, byCilium)
		}
	}
}

// unsupported finds fields that have no effect (E11).
func (c *checker) unsupported(service *corev1.Service, affinity bool) {
	for _, field := range lb.UnsupportedFields {
		severity := Notice
		if field.Warning {
			severity = Warning
		}
		if field.IsSet(&service.Spec) && !(affinity && field.Affinity) {
			c.addService(service, severity, field.Reason, field.Text, field.Fix)
		}
	}
}

// annotations finds annotations, and the label that exposes, of a Service that is not answered and would have to be.
func (c *checker) annotations(service *corev1.Service) {
	if service.Labels[lb.ExposeLabel] == "true" {
		c.addService(service, Warning, "LabelIgnored", fmt.Sprintf("label %s has no effect on a Service of type ExternalName: it has no endpoints", lb.ExposeLabel),
			"let the resolver have a CNAME record for it, or remove the label")
	}
	for _, key := range lb.OfOurServices { // I11
		if _, has := service.Annotations[key]; has && (key != lb.HostAnnotation || slices.Contains(c.hostAnnotations(), key)) {
			c.addService(service, Warning, "AnnotationIgnored",
				fmt.Sprintf("annotation %s has no effect: it counts only on Services of type LoadBalancer and class %s, and on those with the label %s", key, c.options[0].Class, lb.ExposeLabel),
				fmt.Sprintf("make it such a Service (type: LoadBalancer, loadBalancerClass: %s), give it the label %s: \"true\", or remove the annotation", c.options[0].Class, lb.ExposeLabel))
		}
	}
}

// lint finds the labels and annotations of an object that look like ours and have no effect, notices only of one that is
// ours.
func (c *checker) lint(kind, namespace, name string, labels, annotations map[string]string, ours bool) {
	for _, warning := range lb.Lint(kind, labels, annotations, c.hostAnnotations()) {
		p := Problem{Warning, kind, namespace, name, "AnnotationIgnored", warning.Text, warning.Fix}
		if warning.Label {
			p.Reason = "LabelIgnored"
		}
		if warning.Notice {
			p.Severity = Notice
		}
		if ours || !warning.Notice {
			c.add(p)
		}
	}
}

func (c *checker) hostAnnotations() []string {
	return c.distinct(func(o *config.Options) []string { return o.HostAnnotations })
}

// status finds another address in the status of a Service than its name (S1, S12).
func (c *checker) status(service *corev1.Service, domain string) {
	if service.DeletionTimestamp != nil { // M5
		return
	}
	want := lb.Hostname(service, domain)
	var got []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		got = append(got, ingress.Hostname+ingress.IP)
	}
	class := ptr.Deref(service.Spec.LoadBalancerClass, "none (-default-class)") // by which it is ours
	switch writer := cmp.Or(lb.StatusWriter(service.ManagedFields), "somebody unknown"); {
	case slices.Equal(got, []string{want}):
	case len(got) == 0:
		c.addService(service, Error, "NoHostname",
			fmt.Sprintf("its status has no hostname, want %s: no controller has written it", want),
			fmt.Sprintf("see that \"minilb controller\" runs, with class %s and domain %s, and what it logs", class, domain))
	case writer == "minilb":
		c.addService(service, Error, "StatusConflict",
			fmt.Sprintf("its status is %s, want %s: \"minilb controller\" has written it for another domain", strings.Join(got, ", "), want),
			fmt.Sprintf("let all controllers of class %s have -domain %s", class, domain))
	default:
		c.addService(service, Error, "StatusConflict",
			fmt.Sprintf("its status is %s, want %s: %s has written it, and may write it again each time", strings.Join(got, ", "), want, writer),
			fmt.Sprintf("have that controller ignore class %s, and see that \"minilb controller\" runs", class))
	}
}

// class finds a LoadBalancer Service that no controller serves: our class may be what was meant.
func (c *checker) class(service *corev1.Service) {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || len(service.Status.LoadBalancer.Ingress) > 0 {
		return
	}
	ours := c.options[0].Class
	again := fmt.Sprintf("make it anew with spec.loadBalancerClass: %s, or give it type ClusterIP in between, as a class cannot be changed", ours)
	class := service.Spec.LoadBalancerClass
	switch {
	case class == nil:
		c.addService(service, Warning, "NoClass",
			fmt.Sprintf("it has no spec.loadBalancerClass, so that it is not of class %s, and nobody has given it an address", ours),
			again+"; or take Services without a class: default_class in the Corefile and \"minilb controller -default-class\"")
	case slices.ContainsFunc(c.options, func(o config.Options) bool { return lb.LikelyTypo(*class, o.Class) }):
		c.addService(service, Warning, "WrongClass",
			fmt.Sprintf("its spec.loadBalancerClass %q looks like a typo of %q", *class, ours), again)
	default:
		c.addService(service, Warning, "WrongClass",
			fmt.Sprintf("nobody has given it an address: its spec.loadBalancerClass is %q, and not %q", *class, ours),
			"see that the controller of that class runs; or, if it is meant to be ours, "+again)
	}
}

// endpoints finds what keeps a Service from being answered with an address, and what of its slices is ignored.
func (c *checker) endpoints(service *corev1.Service, of translator.ServiceStatus, byCilium bool) {
	states, answered := map[string]int{}, false
	for _, endpoint := range of.Endpoints {
		states[endpoint.State]++
		answered = answered || endpoint.Answered
	}
	if !answered && !byCilium {
		text, fix := c.unanswered(service, of, states)
		c.addService(service, Error, "NoEndpoints", "no address is answered: "+text, fix)
		if len(of.Endpoints) == 0 {
			return // the text has its problems
		}
	}
	for _, text := range of.Problems {
		c.addService(service, Warning, "EndpointIgnored", text, reasons.OfClaims[object.ReasonEndpoint].Fix)
	}
}

// unanswered returns why a Service is answered with no address, by how many endpoints are in which state.
func (c *checker) unanswered(
	service *corev1.Service, of translator.ServiceStatus, states map[string]int,
) (text, fix string) {
	if len(of.Endpoints) > 0 {
		var parts []string
		for _, state := range []string{object.StateReady, object.StateNotReady, object.StateServing, object.StateTerminating} {
			if n := states[state]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, state))
			}
		}
		fix = "see why its pods are not ready: kubectl describe pods"
		if states[object.StateReady] > 0 {
			fix = "answer with the family of its endpoints, too, by the property families, or let the Service have both (ipFamilyPolicy: PreferDualStack)"
		}
		return "of its endpoints " + strings.Join(parts, ", "), fix
	}
	own := c.slices[cache.MetaObjectToName(service)]
	slice := slices.IndexFunc(own, func(s *discoveryv1.EndpointSlice) bool { return !lb.Ignored(s.Labels) })
	switch {
	case len(of.Problems) > 0:
		return strings.Join(of.Problems, "; "), "let its EndpointSlices have addressType IPv4 or IPv6, and addresses that clients can reach"
	case len(service.Spec.Selector) > 0:
		return "its selector matches no pod that has an address", "compare spec.selector with the labels of the pods, and see that they run"
	case slice >= 0:
		return fmt.Sprintf("it has no selector, and its EndpointSlice %s has no endpoint", own[slice].Name), "add endpoints to it, or give the Service a selector"
	}
	return "it has no selector, and no EndpointSlice", "give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"
}
