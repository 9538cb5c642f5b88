package lb

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// S5: ports that clients cannot use as the Service says.
func TestPortMismatches(t *testing.T) {
	served := func(name string, protocol corev1.Protocol, port int32) discoveryv1.EndpointPort {
		return discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &port}
	}
	number := func(n int32) intstr.IntOrString { return intstr.FromInt32(n) }
	for _, tc := range []struct {
		name   string
		ports  []corev1.ServicePort
		served []discoveryv1.EndpointPort
		want   []string
	}{
		{"the same", []corev1.ServicePort{{Port: 80, TargetPort: number(80)}}, []discoveryv1.EndpointPort{served("", "TCP", 80)}, nil},
		{"differs", []corev1.ServicePort{{Port: 80, TargetPort: number(8080)}}, []discoveryv1.EndpointPort{served("", "TCP", 8080)},
			[]string{"port 80 leads to port 8080 of the pods, and nothing translates it: clients must use 8080"}},
		{"a name that differs", []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}},
			[]discoveryv1.EndpointPort{served("http", "TCP", 8000), served("http", "TCP", 8001), served("http", "TCP", 8000)},
			[]string{"port 80 (http) leads to port 8000 or 8001 of the pods, and nothing translates it: clients must use 8000 or 8001"}},
		{"pods that differ", []corev1.ServicePort{{Name: "http", Port: 80}}, []discoveryv1.EndpointPort{served("http", "TCP", 80), served("http", "TCP", 81)},
			[]string{"port 80 (http) leads to port 80 or 81 of the pods, and nothing translates it: clients must use 80 or 81"}},
		{"a name without pods", []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("web")}}, nil, nil},
		{"a number without pods", []corev1.ServicePort{{Port: 80, TargetPort: number(8080), Protocol: "TCP"}}, nil,
			[]string{"port 80 leads to port 8080 of the pods, and nothing translates it: clients must use 8080"}},
		{"hand-made slices", []corev1.ServicePort{{Port: 80, TargetPort: number(8080)}}, []discoveryv1.EndpointPort{served("", "TCP", 80)}, nil},
		{"nothing said", []corev1.ServicePort{{Port: 80}}, []discoveryv1.EndpointPort{{}}, nil},
		{"several", []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: "UDP"}, {Name: "dns-tcp", Port: 53}, {Name: "x", Port: 1}},
			[]discoveryv1.EndpointPort{served("dns", "UDP", 5353), served("dns-tcp", "TCP", 53), served("x", "UDP", 7)},
			[]string{"port 53 (dns, UDP) leads to port 5353 of the pods, and nothing translates it: clients must use 5353"}},
		{"no name, UDP", []corev1.ServicePort{{Port: 53, Protocol: "UDP", TargetPort: number(54)}}, nil,
			[]string{"port 53 (UDP) leads to port 54 of the pods, and nothing translates it: clients must use 54"}},
	} {
		got := PortMismatches(tc.ports, tc.served)
		if len(got) != len(tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, got, tc.want)
			continue
		}
		for i, want := range tc.want {
			if got[i].String() != want {
				t.Errorf("%s: got %q, want %q", tc.name, got[i], want)
			}
		}
	}
}
