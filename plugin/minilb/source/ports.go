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

// namedPortsOf returns the ports of a Service that have a name, as in "_https._tcp _dns._udp". Most
// Services have the same few.
func namedPortsOf(ports []corev1.ServicePort) string {
	var all []string
	for i := range ports {
		if p := (port{protoLabel(ports[i].Protocol), serviceLabel(ports[i].Name), 0}); p.named() {
			all = append(all, p.service+"."+p.proto)
		}
	}
	return intern(strings.Join(all, " "))
}

// maxPorts is how many ports of a slice, and of a Service, have names, and maxPortAddrs how many
// addresses are kept of the ports of a Service that not all endpoints have: either can have 20,000
// ports, and there can be any number of slices, each with ports and endpoints of its own.
const (
	maxPorts     = 1024
	maxPortAddrs = 1 << 20
)

// namedPorts returns the ports of all slices that have a name, with the endpoints that serve them
// (D41), and those of the Service. One without an endpoint exists none the less (D16).
func (u *usable) namedPorts(labels []string, ofService string) []records.Port {
	has, contributing := u.having(), 0
	having := map[port][]int{} // sets with entries, by their numbers
	for i, set := range u.ports {
		if has[i] {
			contributing++
		}
		for _, p := range set {
			if !p.named() {
				continue
			}
			all := having[p]
			if has[i] && (len(all) == 0 || all[len(all)-1] != i) {
				all = append(all, i)
			}
			having[p] = all
		}
	}
	type name struct{ proto, service string }
	var ports []records.Port
	var names []name
	served := map[name]bool{}
	shared, kept := map[string]records.Port{}, 0
	for _, p := range slices.SortedFunc(maps.Keys(having), port.compare) { // C5: some may be left out
		var named records.Port
		names = append(names, name{p.proto, p.service})
		switch sets := having[p]; {
		case len(sets) == 0:
			continue
		case len(sets) < contributing:
			key := fmt.Sprint(sets)
			var known bool
			if named, known = shared[key]; !known {
				if kept > maxPortAddrs {
					continue
				}
				named.Addrs, named.Labels = u.servedBy(sets, labels)
				shared[key], kept = named, kept+len(named.Addrs)+len(named.Labels)
			}
		}
		named.Proto, named.Service, named.Number = p.proto, p.service, p.number
		ports = append(ports, named)
		served[name{p.proto, p.service}] = true
	}
	for both := range strings.FieldsSeq(ofService) {
		service, proto, _ := strings.Cut(both, ".")
		names = append(names, name{proto, service})
	}
	for _, idle := range names {
		if !served[idle] {
			served[idle] = true
			ports = append(ports, records.Port{Proto: idle.proto, Service: idle.service, Addrs: []netip.Addr{}}) // none, which nil is not
		}
	}
	return ports
}

func (p port) compare(o port) int {
	return cmp.Or(strings.Compare(p.proto, o.proto), strings.Compare(p.service, o.service), cmp.Compare(p.number, o.number))
}

// servedBy returns where the entries with these sets of ports are: their addresses, in order, nil if
// they are all there are; or if some have labels of their own those of all, once for each address (E8).
func (u *usable) servedBy(sets []int, labels []string) (addrs []netip.Addr, named []string) {
	serves := make([]bool, len(u.ports))
	for _, set := range sets {
		serves[set] = true
	}
	addrs, named = []netip.Addr{}, []string{} // none, which nil is not
	total := 0
	for begin, end := 0, 0; begin < len(u.entries); begin = end {
		addr, served := u.entries[begin].addr, false
		own, usual := "", "" // the first label of those that serve, and of all at the address
		for ; end < len(u.entries) && u.entries[end].addr == addr; end++ {
			is := serves[u.entries[end].ports]
			served = served || is
			if labels == nil || labels[end] == "" {
				continue
			}
			if usual == "" || labels[end] < usual {
				usual = labels[end]
			}
			if is && (own == "" || labels[end] < own) {
				own = labels[end]
			}
		}
		total++
		switch {
		case !served:
		case labels == nil:
			addrs = append(addrs, addr)
		default:
			named = append(named, cmp.Or(own, usual, records.Dashed(addr)))
		}
	}
	switch {
	case labels != nil:
		slices.Sort(named)
		return nil, slices.Compact(named)
	case len(addrs) == total:
		return nil, nil
	}
	return addrs, nil
}
