package object

import (
	"cmp"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// Port is a port of the endpoints of a slice.
type Port struct {
	Proto, Service string `json:",omitzero"` // as labels: "_tcp", "_https", or "_" without a name
	Number         uint16 `json:",omitzero"`
}

const unnamed = "_"

// HasName reports whether the port has a name in DNS: Kubernetes lets one be as long as a label, and
// the underscore makes it longer (D33).
func (p Port) HasName() bool { return p.Service != unnamed && len(p.Service) <= 63 }

// reducePorts returns the ports that have a number.
func reducePorts(ports []discoveryv1.EndpointPort) []Port {
	reduced := slices.Grow([]Port(nil), len(ports)) // nil for none
	for _, p := range ports {
		if number := ptr.Deref(p.Port, 0); number > 0 && number <= math.MaxUint16 {
			reduced = append(reduced, Port{protoLabel(ptr.Deref(p.Protocol, "")), serviceLabel(ptr.Deref(p.Name, "")), uint16(number)})
		}
	}
	return reduced
}

func protoLabel(proto corev1.Protocol) string {
	return intern("_" + strings.ToLower(string(cmp.Or(proto, corev1.ProtocolTCP))))
}

func serviceLabel(name string) string { return intern("_" + strings.ToLower(name)) }

// namedPortsOf returns the ports of a Service that have a name, as in "_https._tcp _dns._udp".
func namedPortsOf(ports []corev1.ServicePort) string {
	var all []string
	for i := range ports {
		if p := (Port{protoLabel(ports[i].Protocol), serviceLabel(ports[i].Name), 0}); p.HasName() {
			all = append(all, p.Service+"."+p.Proto)
		}
	}
	return intern(strings.Join(all, " "))
}

func (p Port) Compare(o Port) int {
	return cmp.Or(strings.Compare(p.Proto, o.Proto), strings.Compare(p.Service, o.Service), cmp.Compare(p.Number, o.Number))
}
