package object

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// D41: a port has a number, and a name in DNS if it has a name; the protocol is TCP if none is said.
func TestReducePorts(t *testing.T) {
	got := reducePorts([]discoveryv1.EndpointPort{
		{Name: new("https"), Port: new(int32(8443))},
		{Name: new("dns"), Protocol: new(corev1.ProtocolUDP), Port: new(int32(53))},
		{Name: new("SIP"), Protocol: new(corev1.ProtocolSCTP), Port: new(int32(65535))},
		{Name: new(""), Port: new(int32(1))}, {Port: new(int32(2))}, {Name: new("none")}, {},
		{Name: new("zero"), Port: new(int32(0))}, {Name: new("much"), Port: new(int32(65536))}, {Name: new("less"), Port: new(int32(-1))},
	})
	want := []Port{{Proto: "_tcp", Service: "_https", Number: 8443}, {Proto: "_udp", Service: "_dns", Number: 53}, {Proto: "_sctp", Service: "_sip", Number: 65535}, {Proto: "_tcp", Service: unnamed, Number: 1}, {Proto: "_tcp", Service: unnamed, Number: 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Ports of a Service are kept if it is served, and no more than there may be.
func TestManyPortsOfService(t *testing.T) {
	var ports []corev1.ServicePort
	for i := range 20_000 {
		ports = append(ports, corev1.ServicePort{Name: fmt.Sprint("p", i), Port: int32(i + 1)})
	}
	class := lb.DefaultClass
	obj := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, Ports: ports}}
	foreign := obj.DeepCopy()
	foreign.Spec.LoadBalancerClass = new("metallb")
	for want, obj := range map[int]*corev1.Service{maxPorts: obj, 0: foreign} {
		if got := len(strings.Fields(NewService(obj, &Fields{Classes: []string{class}}).Named)); got != want {
			t.Errorf("%d ports of 20000 are kept, want %d", got, want)
		}
	}
}
