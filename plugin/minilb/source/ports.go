package source

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// port is a port of the endpoints of a slice.
type port struct {
	proto, service string // as labels: "_tcp", "_https", or "_" without a name
	number         uint16
}

const unnamed = "_"

// named reports whether the port has a name in DNS: Kubernetes lets one be as long as a label, and
// the underscore makes it longer (D33).
func (p port) named() bool { return p.service != unnamed && len(p.service) <= 63 }

// reducePorts returns the ports that have a number.
func reducePorts(ports []discoveryv1.EndpointPort) []port {
	if len(ports) == 0 {
		return nil
	}
	reduced := make([]port, 0, len(ports))
	for i := range ports {
		p := &ports[i]
		number := value(p.Port, 0)
		if number <= 0 || number > math.MaxUint16 {
			continue
		}
		reduced = append(reduced, port{protoLabel(value(p.Protocol, "")), serviceLabel(value(p.Name, "")), uint16(number)})
	}
	return reduced
}

func protoLabel(proto corev1.Protocol) string {
	return intern("_" + strings.ToLower(string(cmp.Or(proto, corev1.ProtocolTCP))))
}

func serviceLabel(name string) string { return intern("_" + strings.ToLower(name)) }

// endpointNames returns the names of the endpoints that are answered with, and of the ports of
// all slices that have a name (D41): one without such an endpoint exists none the less (D18).
func endpointNames(slicesOf []*slice, answered *records.Addresses) *records.Endpoints {
	var hosts []records.Host
	var contributing []*slice
	for _, s := range slicesOf {
		if s.contributes(answered) {
			contributing = append(contributing, s)
		}
		if s.endpoints.hostnames == nil {
			continue
		}
		for e := range s.endpoints.all() {
			if e.hostname != "" && e.answeredIn(answered) {
				hosts = append(hosts, records.Host{Label: e.hostname, Addr: e.addr})
			}
		}
	}
	var ports []records.Port
	seen := map[port]bool{}
	for _, s := range slicesOf {
		for _, p := range s.ports {
			if p.named() && !seen[p] {
				seen[p] = true
				ports = append(ports, records.Port{Proto: p.proto, Service: p.service, Number: p.number, Addrs: p.servedBy(contributing, answered)})
			}
		}
	}
	return records.NewEndpoints(hosts, ports)
}

// servedBy returns the addresses out of those that are answered with that have the port, in
// order; nil if all have.
func (p port) servedBy(contributing []*slice, answered *records.Addresses) []netip.Addr {
	lacks := func(s *slice) bool { return !slices.Contains(s.ports, p) }
	if len(contributing) > 0 && !slices.ContainsFunc(contributing, lacks) {
		return nil
	}
	addrs := []netip.Addr{} // none, which nil is not
	for _, s := range contributing {
		if lacks(s) {
			continue
		}
		for e := range s.endpoints.all() {
			if e.answeredIn(answered) {
				addrs = append(addrs, e.addr)
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	if addrs = slices.Compact(addrs); len(addrs) == len(answered.V4)+len(answered.V6) {
		return nil
	}
	return addrs
}
