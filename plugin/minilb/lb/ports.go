package lb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// PortMismatch is a port of a Service that its pods do not listen on. Clients connect to the pods
// themselves, and nothing translates ports (S5).
type PortMismatch struct {
	Name     string // of the Service's port, "" if it has none
	Protocol corev1.Protocol
	Port     int32   // of the Service
	Targets  []int32 // ports that the pods listen on instead, sorted, at least one
}

// String returns a sentence without its full stop.
func (m PortMismatch) String() string {
	var targets []string
	for _, target := range m.Targets {
		targets = append(targets, fmt.Sprint(target))
	}
	return fmt.Sprintf("%s leads to port %s of the pods, and nothing translates it: clients must use %s",
		described(m.Name, m.Protocol, m.Port), strings.Join(targets, " or "), strings.Join(targets, " or "))
}

// described returns a port of a Service as in "port 53 (dns, UDP)".
func described(name string, protocol corev1.Protocol, number int32) string {
	port := fmt.Sprintf("port %d", number)
	switch {
	case name != "" && protocol != corev1.ProtocolTCP:
		port += fmt.Sprintf(" (%s, %s)", name, protocol)
	case name != "":
		port += fmt.Sprintf(" (%s)", name)
	case protocol != corev1.ProtocolTCP:
		port += fmt.Sprintf(" (%s)", protocol)
	}
	return port
}

// PortMismatches returns the ports of a Service that its pods do not listen on, in the Service's order.
func PortMismatches(ports []corev1.ServicePort, served []discoveryv1.EndpointPort) []PortMismatch {
	var mismatches []PortMismatch
	for i := range ports {
		port := &ports[i]
		targets := TargetPorts(port, served)
		// If pods differ, clients do not know which of them listen at port.
		if len(targets) > 0 && (len(targets) > 1 || targets[0] != port.Port) {
			mismatches = append(mismatches, PortMismatch{port.Name, cmp.Or(port.Protocol, corev1.ProtocolTCP), port.Port, targets})
		}
	}
	return mismatches
}

// TargetPorts returns the pods' ports for a port of a Service, sorted, each once: those of all its EndpointSlices, which resolve
// named targetPorts (D41), or, without pods, a numeric targetPort; nil if that is a name.
func TargetPorts(port *corev1.ServicePort, served []discoveryv1.EndpointPort) []int32 {
	targets := targetsOf(port, served)
	if targets == nil && port.TargetPort.Type == intstr.Int {
		targets = []int32{cmp.Or(port.TargetPort.IntVal, port.Port)}
	}
	slices.Sort(targets)
	return slices.Compact(targets)
}

// targetsOf returns the pods' ports for a port of a Service, nil if no slice has it.
func targetsOf(port *corev1.ServicePort, served []discoveryv1.EndpointPort) []int32 {
	var targets []int32
	for i := range served {
		s := &served[i]
		sameProtocol := ptr.Deref(s.Protocol, corev1.ProtocolTCP) == cmp.Or(port.Protocol, corev1.ProtocolTCP)
		if s.Port != nil && ptr.Deref(s.Name, "") == port.Name && sameProtocol {
			targets = append(targets, *s.Port)
		}
	}
	return targets
}

// UnknownTargetPorts returns a sentence without its full stop for each port of a Service whose targetPort is a name that
// none of its pods has (D41). The result has a meaning only for Services with a selector and endpoints.
func UnknownTargetPorts(ports []corev1.ServicePort, served []discoveryv1.EndpointPort) []string {
	var texts []string
	for i := range ports {
		if port := &ports[i]; port.TargetPort.Type == intstr.String && targetsOf(port, served) == nil {
			texts = append(texts, fmt.Sprintf("no pod has a container port named %q, to which %s leads: clients are told no port",
				port.TargetPort.StrVal, described(port.Name, cmp.Or(port.Protocol, corev1.ProtocolTCP), port.Port)))
		}
	}
	return texts
}
