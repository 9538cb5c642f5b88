package source

import (
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// port is a named port of the endpoints of a slice.
type port struct {
	proto, service string // as labels: "_tcp", "_https"
	number         uint16
}

// reducePorts returns the ports that have names in DNS: not those without a name or a number (D41).
func reducePorts(ports []discoveryv1.EndpointPort) []port {
	var reduced []port
	for i := range ports {
		p := &ports[i]
		name, number := value(p.Name, ""), value(p.Port, 0)
		if name == "" || number <= 0 || number > math.MaxUint16 {
			continue
		}
		proto := value(p.Protocol, corev1.ProtocolTCP)
		reduced = append(reduced, port{"_" + strings.ToLower(string(proto)), "_" + strings.ToLower(name), uint16(number)})
	}
	return reduced
}

// endpointNames returns the names of the endpoints that are answered with, and of the ports of
// all slices: one without such an endpoint exists none the less (D18).
func endpointNames(slicesOf map[string]*slice, answered *records.Addresses) *records.Endpoints {
	var hosts []records.Host
	addrs := map[port][]netip.Addr{}
	for _, s := range slicesOf {
		for _, p := range s.ports {
			if addrs[p] == nil {
				addrs[p] = []netip.Addr{} // none, which nil is not
			}
		}
		for _, e := range s.endpoints {
			if !answered.Has(e.addr) || !e.ready && !(e.serving && e.terminating) {
				continue
			}
			if e.hostname != "" {
				hosts = append(hosts, records.Host{Label: e.hostname, Addr: e.addr})
			}
			for _, p := range s.ports {
				addrs[p] = append(addrs[p], e.addr)
			}
		}
	}
	var ports []records.Port
	for p, of := range addrs {
		slices.SortFunc(of, netip.Addr.Compare)
		if of = slices.Compact(of); len(of) == len(answered.V4)+len(answered.V6) {
			of = nil
		}
		ports = append(ports, records.Port{Proto: p.proto, Service: p.service, Number: p.number, Addrs: of})
	}
	return records.NewEndpoints(hosts, ports)
}
