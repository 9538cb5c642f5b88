package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writers is how many write to the API server at a time.
const writers = 24

// dataset is a namespace full of Services, each with the same number of endpoints.
type dataset struct {
	namespace           string
	services, endpoints int
	answers             int  // how many addresses are answered with, 0 for all
	headless            bool // as plugin kubernetes needs them to answer with endpoints
}

// The data sets. The sizes are those of the bounds.
var (
	large    = dataset{namespace: "large", services: 10_000, endpoints: 10}
	small    = dataset{namespace: "small", services: 1_000, endpoints: 3}
	homelab  = dataset{namespace: "homelab", services: 100, endpoints: 3}
	largeRef = dataset{namespace: "large-headless", services: 10_000, endpoints: 10, headless: true}
	smallRef = dataset{namespace: "small-headless", services: 1_000, endpoints: 3, headless: true}
)

// seed fills the data set's namespace, once.
func (b *bench) seed(ctx context.Context, d dataset) error {
	return b.once(d.namespace, func() error {
		b.say("creating %d Services of %d endpoints", d.services, d.endpoints)
		if err := b.createNamespace(ctx, d.namespace); err != nil {
			return err
		}
		return parallel(ctx, d.services, func(i int) error { return b.createService(ctx, d, i, nil) })
	})
}

// createService creates one of the Services and its EndpointSlice.
func (b *bench) createService(ctx context.Context, d dataset, i int, annotations map[string]string) error {
	service := d.service(i)
	service.Annotations = annotations
	if _, err := b.client.CoreV1().Services(d.namespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create a Service: %w", err)
	}
	if _, err := b.client.DiscoveryV1().EndpointSlices(d.namespace).Create(ctx, d.slice(i, 0), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create an EndpointSlice: %w", err)
	}
	return nil
}

// once does something unless it has been done.
func (b *bench) once(what string, do func() error) error {
	if b.seeded[what] {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	b.seeded[what] = true
	return nil
}

func (b *bench) createNamespace(ctx context.Context, name string) error {
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := b.client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// parallel calls work for 0 to n-1, so many at a time as there are writers, until one fails.
func parallel(ctx context.Context, n int, work func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for w := range min(writers, n) {
		wg.Go(func() {
			for i := w; i < n && ctx.Err() == nil; i += writers {
				if err := work(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func serviceName(i int) string { return fmt.Sprintf("s%05d", i) }

// labels select the data set, for plugin kubernetes, which else reads all namespaces.
func (d dataset) labels() map[string]string { return map[string]string{"bench": d.namespace} }

func (d dataset) service(i int) *corev1.Service {
	service := newService(serviceName(i))
	service.Labels = d.labels()
	if d.headless {
		service.Spec = corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: service.Spec.Ports}
	}
	return service
}

// newService returns one that is ours. It has no selector: its endpoints are written by hand.
func newService(name string) *corev1.Service {
	class := "minilb"
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, AllocateLoadBalancerNodePorts: new(bool),
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
}

// slice is that of a Service, 0, or after one of the changes, each of which makes its last
// endpoint one that there has not been yet.
func (d dataset) slice(i, change int) *discoveryv1.EndpointSlice {
	name, port, protocol, ready := "http", int32(8080), corev1.ProtocolTCP, true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: serviceName(i), Labels: d.labels()},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}},
	}
	slice.Labels[discoveryv1.LabelServiceName] = serviceName(i)
	for j := range d.endpoints {
		node := fmt.Sprintf("node-%d", j)
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{d.address(i, j, change)},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			NodeName:   &node,
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: d.namespace, Name: fmt.Sprintf("%s-7d4b9c6f5d-%05d", serviceName(i), j)},
		})
	}
	return slice
}

func (d dataset) address(i, j, change int) string {
	first, n := 100, i*d.endpoints+j
	if change > 0 && j == d.endpoints-1 {
		first, n = 160, change
	}
	return fmt.Sprintf("10.%d.%d.%d", first+n>>16, n>>8&255, n&255)
}

// zone is where the data set's Services have their names.
func (d dataset) zone() string {
	if d.headless {
		return d.namespace + ".svc.cluster.local."
	}
	return d.namespace + ".minilb."
}

// hostname is what a status says that names a Service.
func (d dataset) hostname(i int) string { return strings.TrimSuffix(serviceName(i)+"."+d.zone(), ".") }

// questions are for the addresses of all Services.
func (d dataset) questions() []question {
	var questions []question
	for i := range d.services {
		questions = append(questions, d.question(i))
	}
	return questions
}

func (d dataset) question(i int) question {
	return question{name: serviceName(i) + "." + d.zone(), qtype: dns.TypeA, answers: cmp.Or(d.answers, d.endpoints)}
}

// hosts is a file for plugin hosts with the same names and addresses.
func (d dataset) hosts() string {
	var text strings.Builder
	for i := range d.services {
		for j := range d.endpoints {
			fmt.Fprintf(&text, "%s %s.%s\n", d.address(i, j, 0), serviceName(i), d.zone())
		}
	}
	return text.String()
}

// newIngress returns an Ingress for a host.
func newIngress(name string, hosts ...string) *networkingv1.Ingress {
	pathType := networkingv1.PathTypePrefix
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "app", Port: networkingv1.ServiceBackendPort{Number: 80}}}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, host := range hosts {
		ingress.Spec.Rules = append(ingress.Spec.Rules, networkingv1.IngressRule{
			Host:             host,
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &pathType, Backend: backend}}}},
		})
	}
	return ingress
}

// createIngress creates an Ingress and gives it the address of a Service, as its controller does.
func (b *bench) createIngress(ctx context.Context, namespace, hostname string, ingress *networkingv1.Ingress) error {
	ingresses := b.client.NetworkingV1().Ingresses(namespace)
	created, err := ingresses.Create(ctx, ingress, metav1.CreateOptions{})
	if err == nil {
		created.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: hostname}}
		_, err = ingresses.UpdateStatus(ctx, created, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("create an Ingress: %w", err)
	}
	return nil
}
