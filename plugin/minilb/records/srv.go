package records

import (
	"net/netip"
	"strings"
)

// Target is an endpoint of a named port (RFC 2782).
type Target struct {
	Name   string // the endpoint's label and the Service's name
	Number uint16
	label  uint8      // length of the label
	Addr   netip.Addr // the only one of the name; invalid if that is not known
}

// Label is the first label of the Name.
func (t *Target) Label() string { return t.Name[:t.label] }

// serving returns the labels of the endpoints that serve a port, or the addresses that they are named for.
func (n *Node) serving(p *Port) (labels []string, addrs [2][]netip.Addr) {
	switch {
	case p.Labels != nil:
		return p.Labels, addrs
	case p.Addrs != nil:
		return nil, [2][]netip.Addr{p.Addrs}
	case n.ServedBy.Endpoints != nil && n.ServedBy.labels != nil:
		return n.ServedBy.labels, addrs
	case n.ServedBy.paired():
		return nil, [2][]netip.Addr{n.ServedBy.V4, n.ServedBy.pairs.lone}
	}
	return nil, [2][]netip.Addr{n.ServedBy.V4, n.ServedBy.V6}
}

// Targets returns the endpoints of the ports, each once, without those whose names are too long for DNS (D33): the first ones,
// limit at most, 0 meaning all, so that the same are left out each time (D23b, D41). The names share one allocation.
func (n *Node) Targets(service string, limit int) []Target {
	total, size := 0, 0
	for i := range n.Ports {
		labels, addrs := n.serving(&n.Ports[i])
		total += len(labels) + len(addrs[0]) + len(addrs[1])
		switch {
		case labels != nil:
			size = longestLabel
		case len(addrs[1]) == 0 && n.Ports[i].Addrs == nil:
			size = max(size, len("255-255-255-255"))
		default:
			size = max(size, longestDashed)
		}
	}
	if limit > 0 {
		total = min(total, limit)
	}
	targets := make([]Target, 0, total)
	var all strings.Builder
	all.Grow(total * (size + len(".") + len(service)))
	add := func(label []byte, number uint16, addr netip.Addr) {
		if len(label)+len(".")+len(service) > longestName {
			return
		}
		start := all.Len()
		all.Write(label)
		all.WriteByte('.')
		all.WriteString(service)
		targets = append(targets, Target{Name: all.String()[start:], Number: number, label: uint8(len(label)), Addr: addr})
	}
	var room [longestLabel]byte
	for i := range n.Ports {
		labels, addrs := n.serving(&n.Ports[i])
		for j := 0; j < len(labels) && len(targets) < total; j++ {
			add(append(room[:0], labels[j]...), n.Ports[i].Number, netip.Addr{})
		}
		for _, family := range addrs {
			for j := 0; j < len(family) && len(targets) < total; j++ {
				addr := family[j]
				label := appendDashed(room[:0], addr)
				if n.ServedBy.paired() {
					addr = netip.Addr{}
				}
				add(label, n.Ports[i].Number, addr)
			}
		}
	}
	return targets
}
