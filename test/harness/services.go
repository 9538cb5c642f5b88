package harness

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/test/cluster"
)

// NewService returns a LoadBalancer Service of a class, or without one if that is empty.
func NewService(namespace, name, class string) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: 80}},
		},
	}
	if class != "" {
		service.Spec.LoadBalancerClass = &class
	}
	return service
}

// CreateService creates what NewService returns, with changes.
func CreateService(t *testing.T, c *cluster.Cluster, namespace, name, class string, changes ...func(*corev1.Service)) *corev1.Service {
	t.Helper()
	service := NewService(namespace, name, class)
	for _, change := range changes {
		change(service)
	}
	service, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{})
	Must(t, err)
	return service
}

// GetService reads a Service from the API server.
func GetService(t *testing.T, c *cluster.Cluster, namespace, name string) *corev1.Service {
	t.Helper()
	service, err := c.Client.CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	Must(t, err)
	return service
}

// ExpectStatus waits until the status of a Service says exactly this hostname.
func ExpectStatus(t *testing.T, c *cluster.Cluster, namespace, name, hostname string) {
	t.Helper()
	cluster.Eventually(t, 10*time.Second, func() error {
		service := GetService(t, c, namespace, name)
		want := []corev1.LoadBalancerIngress{{Hostname: hostname}}
		if got := service.Status.LoadBalancer.Ingress; len(got) != 1 || got[0].Hostname != hostname || got[0].IP != "" || got[0].IPMode != nil || got[0].Ports != nil {
			return fmt.Errorf("%s/%s: got status %+v, want %+v", namespace, name, got, want)
		}
		return nil
	})
}

// ExpectUntouched fails the test if a running controller, of this class, writes Services that are not for
// it to write. It compares them once that controller has written the status of one marker and then of
// another: events and the controller's queue keep their order, so that a write which they cause begins
// before that of the first marker, and has ended, however slow, when as much was done for the second.
func ExpectUntouched(t *testing.T, c *cluster.Cluster, class string, services ...*corev1.Service) {
	t.Helper()
	namespace := services[0].Namespace
	for _, name := range []string{"marker-1", "marker-2"} {
		CreateService(t, c, namespace, name, class)
		cluster.Eventually(t, 10*time.Second, func() error {
			if len(GetService(t, c, namespace, name).Status.LoadBalancer.Ingress) == 0 {
				return fmt.Errorf("no controller of class %s has written the status of %s", class, name)
			}
			return nil
		})
	}
	ExpectUnchanged(t, c, services...)
	for _, name := range []string{"marker-1", "marker-2"} {
		Must(t, c.Client.CoreV1().Services(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
}

// ExpectUnchanged fails the test if Services are not as they were.
func ExpectUnchanged(t *testing.T, c *cluster.Cluster, services ...*corev1.Service) {
	t.Helper()
	for _, service := range services {
		if now := GetService(t, c, service.Namespace, service.Name); now.ResourceVersion != service.ResourceVersion {
			t.Errorf("%s was written: %+v, status %+v", service.Name, now.ManagedFields, now.Status)
		}
	}
}

// Overwrite writes the status of a Service as another controller does, which does not know of us.
func Overwrite(t *testing.T, c *cluster.Cluster, namespace, name string, ingress ...corev1.LoadBalancerIngress) *corev1.Service {
	t.Helper()
	body, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}})
	Must(t, err)
	service, err := c.Client.CoreV1().Services(namespace).Patch(t.Context(), name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "rival"}, "status")
	Must(t, err)
	return service
}

// StaticSlice is the manifest of an EndpointSlice made by hand (E12).
func StaticSlice(namespace, service, family string, addrs ...string) string {
	var endpoints []string
	for _, a := range addrs {
		endpoints = append(endpoints, fmt.Sprintf("{addresses: [%q]}", a))
	}
	return fmt.Sprintf(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s-%s, namespace: %s, labels: {kubernetes.io/service-name: %s, endpointslice.kubernetes.io/managed-by: test}}
addressType: %s
endpoints: [%s]
---
`, service, strings.ToLower(family), namespace, service, family, strings.Join(endpoints, ", "))
}

// ExposedServiceIn is the manifest of a Service of our class, with a slice of addresses.
func ExposedServiceIn(namespace, name string, addrs ...string) string {
	metadata := ""
	if last := len(addrs) - 1; last >= 0 && strings.Contains(addrs[last], ": ") {
		addrs, metadata = addrs[:last], addrs[last]
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s, %s}
spec: {type: LoadBalancer, loadBalancerClass: minilb, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}
---
`, name, namespace, metadata) + StaticSlice(namespace, name, "IPv4", addrs...)
}

// LoadService returns a Service of our class without node ports, of which an API server takes thousands.
func LoadService(name string) *corev1.Service {
	class := "minilb"
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, AllocateLoadBalancerNodePorts: new(bool),
			Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
}

// LoadSlice returns a slice of a Service with one address that ends in last. It carries the time of the
// change, as Kubernetes' own controller writes it.
func LoadSlice(service string, last int) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: service},
			Annotations: map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Now().Format(time.RFC3339Nano)},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{fmt.Sprintf("10.244.0.%d", last)}}},
	}
}

// CheckedNode makes a node with podCIDRs of the test's own: the controllers allocate none.
func CheckedNode(t *testing.T, c *cluster.Cluster, name string, podCIDRs []string, internalIPs ...string) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: podCIDRs}}
	if len(podCIDRs) > 0 {
		node.Spec.PodCIDR = podCIDRs[0]
	}
	_, err := c.Client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	Must(t, err)
	Must(t, c.Node(t.Context(), name, internalIPs...))
}
