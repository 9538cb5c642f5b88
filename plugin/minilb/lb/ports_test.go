package lb

import (
	"slices"
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

// S5: a named targetPort that the pods do not have.
func TestUnknownTargetPorts(t *testing.T) {
	served := func(name string, protocol corev1.Protocol) discoveryv1.EndpointPort {
		number := int32(80)
		return discoveryv1.EndpointPort{Name: &name, Protocol: &protocol, Port: &number}
	}
	named := func(name string, protocol corev1.Protocol, target intstr.IntOrString) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: 80, TargetPort: target}
	}
	http := named("http", "", intstr.FromString("htpp"))
	for _, tc := range []struct {
		name   string
		ports  []corev1.ServicePort
		served []discoveryv1.EndpointPort
		want   []string
	}{
		{"no port at all", []corev1.ServicePort{http}, nil,
			[]string{`no pod has a container port named "htpp", to which port 80 (http) leads: clients are told no port`}},
		{"some pods have it", []corev1.ServicePort{http}, []discoveryv1.EndpointPort{{}, served("http", "TCP")}, nil},
		{"another's port", []corev1.ServicePort{named("", "", intstr.FromString("web")), http}, []discoveryv1.EndpointPort{served("", "TCP")},
			[]string{`no pod has a container port named "htpp", to which port 80 (http) leads: clients are told no port`}},
		{"another protocol", []corev1.ServicePort{named("dns", "UDP", intstr.FromString("dns"))}, []discoveryv1.EndpointPort{served("dns", "TCP")},
			[]string{`no pod has a container port named "dns", to which port 80 (dns, UDP) leads: clients are told no port`}},
		{"a number", []corev1.ServicePort{named("http", "TCP", intstr.FromInt32(8080)), {Port: 80}}, nil, nil},
	} {
		if got := UnknownTargetPorts(tc.ports, tc.served); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
