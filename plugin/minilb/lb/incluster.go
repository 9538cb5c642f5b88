package lb

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// InCluster has the addresses and names by which Services can be reached only in the cluster, which some
// controllers write into the status of a Gateway or Ingress.
type InCluster struct {
	addrs map[netip.Addr]string // ClusterIPs
	names map[string]bool       // as "service.namespace"
}

// NewInCluster returns those of these Services.
func NewInCluster(services []*corev1.Service) *InCluster {
	c := &InCluster{map[netip.Addr]string{}, map[string]bool{}}
	for _, s := range services {
		c.names[s.Name+"."+s.Namespace] = true
		for _, ip := range s.Spec.ClusterIPs {
			if addr, err := netip.ParseAddr(ip); err == nil { // else it is "None"
				c.addrs[addr] = s.Namespace + "/" + s.Name
			}
		}
	}
	return c
}

// Describe returns whose IP address or hostname this is, as in "the ClusterIP of Service shop/web", "" if
// it is none of the Services'.
func (c *InCluster) Describe(address string) string {
	if addr, err := netip.ParseAddr(address); err == nil {
		if service := c.addrs[addr]; service != "" {
			return "the ClusterIP of Service " + service
		}
		return ""
	}
	service, rest, _ := strings.Cut(strings.ToLower(address), ".")
	namespace, rest, _ := strings.Cut(rest, ".")
	if (rest == "svc" || strings.HasPrefix(rest, "svc.")) && c.names[service+"."+namespace] {
		return fmt.Sprintf("the cluster's own name of Service %s/%s", namespace, service)
	}
	return ""
}
