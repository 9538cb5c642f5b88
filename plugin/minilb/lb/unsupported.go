package lb

import corev1 "k8s.io/api/core/v1"

// UnsupportedField is a field of a Service that has no effect, as clients connect to the pods themselves (E11).
type UnsupportedField struct {
	// Reason is that of Events and problems, such as "UnsupportedSessionAffinity".
	Reason string
	// Warning is set if users rely on the field.
	Warning bool
	// Text says in one clause that it has no effect, and Fix what to do.
	Text, Fix string

	isSet func(*corev1.ServiceSpec) bool
}

// IsSet reports whether a Service has the field.
func (f *UnsupportedField) IsSet(spec *corev1.ServiceSpec) bool { return f.isSet(spec) }

const unsupportedReason = " has no effect: clients connect to the pods themselves"

// UnsupportedFields are all of them.
var UnsupportedFields = []*UnsupportedField{
	{
		"UnsupportedSessionAffinity", false, "spec.sessionAffinity" + unsupportedReason, "remove it, or put an Ingress or a Gateway with affinity in front",
		func(s *corev1.ServiceSpec) bool { return s.SessionAffinity == corev1.ServiceAffinityClientIP },
	},
	{
		"UnsupportedLoadBalancerSourceRanges", true, "spec.loadBalancerSourceRanges" + unsupportedReason, "remove it, and admit clients by a NetworkPolicy on the pods",
		func(s *corev1.ServiceSpec) bool { return len(s.LoadBalancerSourceRanges) > 0 },
	},
	{
		"UnsupportedLoadBalancerIP", false, "spec.loadBalancerIP" + unsupportedReason, "remove it: the Service has a name, and the addresses of its pods",
		func(s *corev1.ServiceSpec) bool { return s.LoadBalancerIP != "" },
	},
	{
		"UnsupportedExternalIPs", false, "spec.externalIPs" + unsupportedReason, "remove it: the Service has a name, and the addresses of its pods",
		func(s *corev1.ServiceSpec) bool { return len(s.ExternalIPs) > 0 },
	},
}
