package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

func options(gateways bool) config.Options {
	o := config.Defaults()
	o.Zones, o.Gateways = []string{"minilb."}, gateways
	return o
}

// objectsOf returns the DryRun of one of the options.
func objectsOf(t *testing.T, o config.Options, objects ...runtime.Object) *DryRun {
	t.Helper()
	all, err := Objects(objects, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func testService(id string, created int64, hosts string) *corev1.Service {
	namespace, name, _ := strings.Cut(id, "/")
	obj := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Unix(created, 0)}}
	obj.Spec.Type, obj.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, new(lb.DefaultClass)
	if hosts != "" {
		obj.Annotations = map[string]string{lb.HostAnnotation: hosts, "other": "ignored"}
	}
	return obj
}

func testIngress(name string, hosts ...string) *networkingv1.Ingress {
	namespace, name, _ := strings.Cut(name, "/")
	obj := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, host := range hosts {
		obj.Spec.Rules = append(obj.Spec.Rules, networkingv1.IngressRule{Host: host})
	}
	return obj
}

// sliceObject returns an EndpointSlice of a Service, with ready endpoints.
func sliceObject(service, name string, addrs ...string) *discoveryv1.EndpointSlice {
	namespace, service, _ := strings.Cut(service, "/")
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	s.Namespace, s.Name, s.Labels = namespace, name, map[string]string{discoveryv1.LabelServiceName: service}
	for _, addr := range addrs {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{addr}})
	}
	return s
}

// customObject parses one object of the Gateway API.
func customObject(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(manifest), "---")), &obj.Object); err != nil {
		t.Fatal(err)
	}
	if obj.GetAPIVersion() == "" {
		obj.SetAPIVersion(object.GatewayGroup + "/v1")
	}
	return obj
}

const class = `
kind: GatewayClass
metadata: {name: gc}
spec: {controllerName: example.org/ctl}
---
`

// gatewayWith returns the Gateway infra/gw.
func gatewayWith(spec string) string {
	return class + fmt.Sprintf("\nkind: Gateway\nmetadata: {name: gw, namespace: infra}\nspec: {gatewayClassName: gc, %s}\nstatus: {addresses: [{value: 10.0.0.5}]}\n---\n", spec)
}

const (
	open      = `listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]`
	accepted  = `conditions: [{type: Accepted, status: "True"}]`
	toGateway = "{name: gw, namespace: infra}"
)

// routeOf returns a route shop/r that is accepted by each of the parents.
func routeOf(kind, hosts string, parents ...string) string {
	status := make([]string, len(parents))
	for i, parent := range parents {
		status[i] = "{parentRef: " + parent + ", controllerName: example.org/ctl, " + accepted + "}"
	}
	return fmt.Sprintf("\nkind: %s\nmetadata: {name: r, namespace: shop}\nspec: {hostnames: [%s], parentRefs: [%s]}\nstatus: {parents: [%s]}\n---\n",
		kind, hosts, strings.Join(parents, ", "), strings.Join(status, ", "))
}

// ingresses lead to an address and to the Service shop/web.
func ingresses() []runtime.Object {
	address, service := testIngress("shop/address", "a.ex.org"), testIngress("shop/service", "s.ex.org")
	address.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.9.9"}}
	service.Annotations = map[string]string{lb.ServiceAnnotation: "web"}
	return []runtime.Object{address, service}
}

// state is a Service, its endpoint, Ingresses, a Gateway and a route of each kind on it; and others that do not answer,
// for all kinds of reasons.
func state(t *testing.T) []runtime.Object {
	listeners := `listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: shop}}}}},
		{name: tls, port: 443, protocol: TLS, allowedRoutes: {namespaces: {from: All}}}]`
	late, off, foreign, nobody := testService("late/web", 9, "web.ex.org"), testService("shop/off", 2, "web.ex.org"), testService("shop/foreign", 3, "web.ex.org"), testService("shop/nobody", 4, "web.ex.org")
	off.Labels = map[string]string{lb.IgnoreLabel: "true"}
	foreign.Spec.LoadBalancerClass, nobody.Spec.LoadBalancerClass = new("metallb"), nil

	wild := testIngress("shop/wild", "*.ex.org", "*.ex.org")
	wild.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "10.9.9.8"}, {Hostname: "lb.aws.com"}}
	ignoredIngress := testIngress("shop/off", "a.ex.org")
	ignoredIngress.Labels = off.Labels
	slice := sliceObject("shop/web", "web-2")
	slice.Endpoints = []discoveryv1.Endpoint{
		{Addresses: []string{"10.0.0.4"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false), Terminating: new(true)}},
		{Addresses: []string{"10.0.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false), Serving: new(true), Terminating: new(true)}},
		{Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}, Hostname: new("db-0"), NodeName: new("n1")},
		{Addresses: []string{"10.0.0.1"}},
		{Addresses: []string{"none"}},
	}
	return slices.Concat(ingresses(), []runtime.Object{
		testService("shop/web", 1, "web.ex.org, bad_host"), sliceObject("shop/web", "web-1", "10.0.0.1"), slice,
		late, off, foreign, nobody, testService("shop/twice", 5, "web.ex.org, web.ex.org., twice.shop.minilb, x.ex.org"),
		wild, testIngress("shop/idle", "a.ex.org"), ignoredIngress,
		customObject(t, strings.Split(gatewayWith(listeners), "---")[1]), customObject(t, class),
		customObject(t, routeOf(object.KindHTTPRoute, "http.org", toGateway)), customObject(t, routeOf(object.KindTLSRoute, "tls.org", toGateway)),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "shop"}}},
	})
}
