package explain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// hidden returns why a Service has no name.
func (e *explainer) hidden(ctx context.Context, namespace, name string) string {
	o := &e.block.Options
	s, err := e.client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	what := fmt.Sprintf("Service %s/%s", namespace, name)
	switch {
	case apierrors.IsNotFound(err):
		return what + " does not exist" + e.alike(namespace, name)
	case err != nil:
		return fmt.Sprintf("%s is not one of class %q; it cannot be read to say more: %v", what, o.Class, err)
	case len(o.Namespaces) > 0 && !slices.Contains(o.Namespaces, namespace):
		return fmt.Sprintf("%s is not read: namespace %q is not among those of the property namespaces", what, namespace)
	case lb.Ignored(s.Labels):
		return fmt.Sprintf("%s has label %s, which makes it absent", what, lb.IgnoredBy(s.Labels))
	case s.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return fmt.Sprintf("%s is of type %s: set spec.type to LoadBalancer and spec.loadBalancerClass to %q, or the label %s to \"true\"", what, s.Spec.Type, o.Class, lb.ExposeLabel)
	case s.Spec.LoadBalancerClass == nil:
		return fmt.Sprintf("%s has no spec.loadBalancerClass, want %q: the class of a Service is set when it becomes a LoadBalancer and cannot be changed after that", what, o.Class)
	case *s.Spec.LoadBalancerClass != o.Class:
		return fmt.Sprintf("%s is of class %q, want %q: the class of a Service cannot be changed while it is a LoadBalancer, so make it anew, or give it type ClusterIP in between", what, *s.Spec.LoadBalancerClass, o.Class)
	}
	return what + " has just appeared: try again"
}

// alike names a Service of the same name in other namespaces, or of the same namespace.
func (e *explainer) alike(namespace, name string) string {
	var names []string
	for _, s := range e.seen.Services() {
		if s.Namespace == namespace || s.Name == name {
			names = append(names, s.Namespace+"/"+s.Name)
		}
	}
	if names == nil {
		return ""
	}
	const most = 5
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return "; there are " + strings.Join(names, ", ")
}

// ports returns a note for each port of a Service that its pods do not listen on (S5).
func (e *explainer) ports(ctx context.Context, namespace, name string) []string {
	list, err := e.client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: metav1.ObjectNameField + "=" + name,
	})
	if err != nil {
		return nil
	}
	all, err := e.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return nil
	}
	var served []discoveryv1.EndpointPort
	for i := range all.Items {
		if !lb.Ignored(all.Items[i].Labels) { // M8
			served = append(served, all.Items[i].Ports...)
		}
	}
	var notes []string
	for i := range list.Items {
		if list.Items[i].Name != name {
			continue
		}
		for _, m := range lb.PortMismatches(list.Items[i].Spec.Ports, served) {
			port := fmt.Sprint(m.Port)
			if m.Protocol != corev1.ProtocolTCP {
				port += "/" + string(m.Protocol)
			}
			targets := strings.ReplaceAll(strings.Trim(fmt.Sprint(m.Targets), "[]"), " ", " or ")
			notes = append(notes, fmt.Sprintf("Service %s/%s: port %s → pods listen on %s, and nothing translates it: clients must use %s", namespace, name, port, targets, targets))
		}
	}
	return notes
}

// maxMisplaced is how many objects are named that have the name where it has no effect.
const maxMisplaced = 5

// misplaced names the Services and Ingresses that have the name in an annotation that has no effect.
func (e *explainer) misplaced(ctx context.Context) {
	o := &e.block.Options
	var notes []string
	look := func(kind string, object *metav1.ObjectMeta, listed bool) {
		if lb.Ignored(object.Labels) {
			return
		}
		has := func(annotation string) bool { return inspect.Lists(object.Annotations[annotation], e.name, o.Zones[0]) }
		note := func(text string) {
			notes = append(notes, fmt.Sprintf("%s %s/%s: %s", kind, object.Namespace, object.Name, text))
		}
		for _, warning := range lb.Lint(kind, object.Labels, object.Annotations, o.HostAnnotations) {
			if !warning.Label && has(warning.Key) {
				note(warning.Text + ": " + warning.Fix)
			}
		}
		for _, annotation := range config.Distinct(o.HostAnnotations) {
			if !listed && has(annotation) {
				note(fmt.Sprintf("annotation %s has no effect: it counts only on Services of type LoadBalancer and class %s", annotation, o.Class))
			}
		}
	}
	for _, namespace := range cluster.NamespacesOf(o) {
		if list, err := e.client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{}); err == nil {
			for i := range list.Items {
				look("Service", &list.Items[i].ObjectMeta, list.Items[i].Spec.Type == corev1.ServiceTypeLoadBalancer)
			}
		}
		if list, err := e.client.NetworkingV1().Ingresses(namespace).List(ctx, metav1.ListOptions{}); err == nil {
			for i := range list.Items {
				look("Ingress", &list.Items[i].ObjectMeta, true)
			}
		}
	}
	if more := len(notes) - maxMisplaced; more > 0 {
		notes = append(notes[:maxMisplaced], fmt.Sprintf("%d more objects have the name in an annotation that has no effect: \"minilb check\" lists them", more))
	}
	e.Notes = append(e.Notes, notes...)
}

// unreachable adds which addresses only the cluster reaches, of those that claims lead to: some
// controllers publish their Service's ClusterIP. All Services are read for that, of which the server
// reads only those of type LoadBalancer; without that permission nothing is added.
func (e *explainer) unreachable(ctx context.Context) {
	if !slices.ContainsFunc(e.Claims, func(c inspect.ClaimStatus) bool { return len(c.Addresses) > 0 }) {
		return
	}
	list, err := e.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	var services []*corev1.Service
	for i := range list.Items {
		services = append(services, &list.Items[i])
	}
	known := lb.NewInCluster(services)
	for i := range e.Claims {
		c := &e.Claims[i]
		for _, address := range c.Addresses {
			what := known.Describe(address)
			if what == "" {
				continue
			}
			text := fmt.Sprintf("%s is %s, which clients outside of the cluster do not reach", address, what)
			if !strings.Contains(e.Summary, text) {
				e.Summary += " Address " + text + "."
			}
			if c.Message != "" {
				c.Message += "; "
			}
			c.Message += fmt.Sprintf("its address %s: annotation %s can name a Service of class %s instead", text, lb.ServiceAnnotation, e.block.Options.Class)
		}
	}
}
