package check

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// S5: what to change depends on who made the Service.
func TestPortFix(t *testing.T) {
	type labels = map[string]string
	low, high := lb.PortMismatch{Port: 80, Targets: []int32{8080}}, lb.PortMismatch{Port: 8000, Targets: []int32{9000}}
	for _, tc := range []struct {
		name     string
		labels   labels
		mismatch lb.PortMismatch
		want     string
	}{
		{"nobody", nil, low, "let the pods listen on 80 (sysctl net.ipv4.ip_unprivileged_port_start=0 lets them), or set port: 8080 in the Service"},
		{"nobody, high", labels{"app.kubernetes.io/name": "mine"}, high, "let the pods listen on 8000, or set port: 9000 in the Service"},
		{"nobody, several", nil, lb.PortMismatch{Port: 80, Targets: []int32{80, 81}}, "let all pods listen on 80"},
		{"Envoy Gateway", labels{"app.kubernetes.io/managed-by": "envoy-gateway", "app.kubernetes.io/name": "envoy"}, low, "useListenerPortAsContainerPort: true"},
		{"Envoy Gateway's owner", labels{"gateway.envoyproxy.io/owning-gateway-name": "gw"}, low, "useListenerPortAsContainerPort: true"},
		{"Contour", labels{"app.kubernetes.io/name": "contour", "app.kubernetes.io/component": "envoy"}, low, "and let targetPort be 80"},
		{"Contour's Gateway", labels{"app.kubernetes.io/name": "contour", "projectcontour.io/owning-gateway-name": "gw"}, low, "let the listener have a port from 1024 on"},
		{"Traefik", labels{"app.kubernetes.io/name": "traefik"}, low, "ports.websecure.port: 443"},
		{"ingress-nginx", labels{"app.kubernetes.io/name": "ingress-nginx"}, low, "controller.containerPort.http: 80"},
	} {
		if got := portFix(tc.labels, tc.mismatch); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// S5: pods that lack a named targetPort are endpoints all the same, in slices without the port.
func TestUnknownTargetPort(t *testing.T) {
	slice := func(pods int, ports ...discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{Ports: ports, Endpoints: make([]discoveryv1.Endpoint, pods)}
	}
	name, number := "http", int32(80)
	http := discoveryv1.EndpointPort{Name: &name, Port: &number}
	ignored := slice(1, http)
	ignored.Labels = map[string]string{"minilb/ignore": "true"}
	selects := map[string]string{"app": "web"}
	for _, tc := range []struct {
		name     string
		selector map[string]string
		slices   []*discoveryv1.EndpointSlice
		reasons  []string
	}{
		{"no pod has it", selects, []*discoveryv1.EndpointSlice{slice(1)}, []string{"UnknownTargetPort"}},
		{"an ignored slice has it", selects, []*discoveryv1.EndpointSlice{slice(1), ignored}, []string{"UnknownTargetPort"}},
		{"some pods have it", selects, []*discoveryv1.EndpointSlice{slice(1), slice(1, http)}, nil},
		{"no pods", selects, []*discoveryv1.EndpointSlice{slice(0)}, nil},
		{"nothing", selects, nil, nil},
		{"slices made by hand", nil, []*discoveryv1.EndpointSlice{slice(1)}, nil},
	} {
		class := "minilb"
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, Selector: tc.selector,
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("htpp")}},
		}}
		c := checker{
			slices:  map[cache.ObjectName][]*discoveryv1.EndpointSlice{cache.MetaObjectToName(service): tc.slices},
			options: []config.Options{{Class: "minilb", Zones: []string{"minilb."}}},
		}
		var reasons []string
		c.ports(service)
		for _, f := range c.problems {
			reasons = append(reasons, f.Reason)
		}
		if !slices.Equal(reasons, tc.reasons) {
			t.Errorf("%s: got %q, want %q", tc.name, reasons, tc.reasons)
		}
	}
}
