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
	var reduced []port
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
	return "_" + strings.ToLower(string(cmp.Or(proto, corev1.ProtocolTCP)))
}

func serviceLabel(name string) string { return "_" + strings.ToLower(name) }

// endpointNames returns the names of the endpoints that are answered with, and of the ports of
// all slices that have a name (D41): one without such an endpoint exists none the less (D18).
func endpointNames(slicesOf map[string]*slice, answered *records.Addresses) *records.Endpoints {
	var hosts []records.Host
	addrs := map[port][]netip.Addr{}
	for _, s := range slicesOf {
		for _, p := range s.ports {
			if addrs[p] == nil && p.named() {
				addrs[p] = []netip.Addr{} // none, which nil is not
			}
		}
		for _, e := range s.endpoints {
			if !e.answeredIn(answered) {
				continue
			}
			if e.hostname != "" {
				hosts = append(hosts, records.Host{Label: e.hostname, Addr: e.addr})
			}
			for _, p := range s.ports {
				if p.named() {
					addrs[p] = append(addrs[p], e.addr)
				}
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
