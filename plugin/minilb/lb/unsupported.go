package lb

import corev1 "k8s.io/api/core/v1"

// UnsupportedField is a field of a Service that has no effect, as clients connect to the pods themselves (E11).
type UnsupportedField struct {
	Reason    string // of Events and problems
	Warning   bool   // users rely on the field
	Text, Fix string // one clause each
	Affinity  bool   // it has an effect where the DNS servers have the property affinity (L4)
	IsSet     func(*corev1.ServiceSpec) bool
}

const unsupportedReason = " has no effect: clients connect to the pods themselves"

// UnsupportedFields are all of them.
var UnsupportedFields = []*UnsupportedField{
	{
		"UnsupportedSessionAffinity", false, "spec.sessionAffinity" + unsupportedReason, "set the property affinity in the Corefile, or remove it", true,
		func(s *corev1.ServiceSpec) bool { return s.SessionAffinity == corev1.ServiceAffinityClientIP },
	},
	{
		"UnsupportedLoadBalancerSourceRanges", true, "spec.loadBalancerSourceRanges" + unsupportedReason, "remove it, and admit clients by a NetworkPolicy on the pods, as \"minilb policy\" prints it", false,
		func(s *corev1.ServiceSpec) bool { return len(s.LoadBalancerSourceRanges) > 0 },
	},
	{
		"UnsupportedLoadBalancerIP", false, "spec.loadBalancerIP" + unsupportedReason, "remove it: the Service has a name, and the addresses of its pods", false,
		func(s *corev1.ServiceSpec) bool { return s.LoadBalancerIP != "" },
	},
	{
		"UnsupportedExternalIPs", false, "spec.externalIPs" + unsupportedReason, "remove it: the Service has a name, and the addresses of its pods", false,
		func(s *corev1.ServiceSpec) bool { return len(s.ExternalIPs) > 0 },
	},
}
