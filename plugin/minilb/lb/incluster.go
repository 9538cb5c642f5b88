package lb

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// InCluster describes the addresses and names ("service.namespace") by which Services can be reached only in the
// cluster, which some controllers write into the status of a Gateway or Ingress.
type InCluster map[string]string

// NewInCluster returns those of these Services.
func NewInCluster(services []*corev1.Service) InCluster {
	c := InCluster{}
	for _, s := range services {
		c[s.Name+"."+s.Namespace] = fmt.Sprintf("the cluster's own name of Service %s/%s", s.Namespace, s.Name)
		for _, ip := range s.Spec.ClusterIPs {
			if addr, err := netip.ParseAddr(ip); err == nil { // else it is "None"
				c[addr.String()] = fmt.Sprintf("the ClusterIP of Service %s/%s", s.Namespace, s.Name)
			}
		}
	}
	return c
}

// Describe returns whose IP address or hostname this is, as in "the ClusterIP of Service shop/web", "" if
// it is none of the Services'.
func (c InCluster) Describe(address string) string {
	if addr, err := netip.ParseAddr(address); err == nil {
		return c[addr.String()]
	}
	service, rest, _ := strings.Cut(strings.ToLower(address), ".")
	namespace, rest, _ := strings.Cut(rest, ".")
	if rest == "svc" || strings.HasPrefix(rest, "svc.") {
		return c[service+"."+namespace]
	}
	return ""
}
