package source

import (
	"cmp"
	"fmt"
	"maps"
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
	return records.NewEndpoints(answered, hosts, namedPorts(slicesOf, contributing, answered))
}

// maxPorts is how many ports of a slice have names, and maxPortAddrs how many addresses are kept
// of the ports of a Service that not all endpoints have: a slice can have 20,000 ports, and there
// can be any number of slices, each with ports and endpoints of its own.
const (
	maxPorts     = 1024
	maxPortAddrs = 1 << 20
)

// namedPorts returns the ports of all slices that have a name, with the endpoints of those slices
// that contribute some.
func namedPorts(slicesOf, contributing []*slice, answered *records.Addresses) []records.Port {
	distinct := map[port]bool{}
	for _, s := range slicesOf {
		for _, p := range s.ports {
			if p.named() {
				distinct[p] = true
			}
		}
	}
	having := map[port][]uint32{} // contributing slices, by their numbers
	for i, s := range contributing {
		for _, p := range s.ports {
			if all := having[p]; p.named() && (len(all) == 0 || all[len(all)-1] != uint32(i)) {
				having[p] = append(all, uint32(i))
			}
		}
	}
	var ports []records.Port
	shared, kept := map[string][]netip.Addr{}, 0
	for _, p := range slices.SortedFunc(maps.Keys(distinct), port.compare) { // C5: some may be left out
		named := records.Port{Proto: p.proto, Service: p.service, Number: p.number}
		if numbers := having[p]; len(numbers) < len(contributing) {
			key := fmt.Sprint(numbers)
			addrs, known := shared[key]
			if !known {
				if kept > maxPortAddrs {
					continue
				}
				addrs = servedBy(numbers, contributing, answered)
				shared[key], kept = addrs, kept+len(addrs)
			}
			named.Addrs = addrs
		}
		ports = append(ports, named)
	}
	return ports
}

func (p port) compare(o port) int {
	return cmp.Or(strings.Compare(p.proto, o.proto), strings.Compare(p.service, o.service), cmp.Compare(p.number, o.number))
}

// servedBy returns the addresses out of those that are answered with that are in the slices of
// these numbers, in order; nil if all are.
func servedBy(numbers []uint32, slicesOf []*slice, answered *records.Addresses) []netip.Addr {
	addrs := []netip.Addr{} // none, which nil is not
	for _, i := range numbers {
		for e := range slicesOf[i].endpoints.all() {
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
