package records

import (
	"net/netip"
	"strings"
)

// Target is an endpoint of a named port (RFC 2782).
type Target struct {
	Name   string // the endpoint's label and the Service's name
	Number uint16
	Addr   netip.Addr // the only one of the name; invalid if that is not known
}

// Label is the first label of the Name.
func (t *Target) Label() string {
	label, _, _ := strings.Cut(t.Name, ".")
	return label
}

// serving returns the labels of the endpoints that serve a port, or the addresses that they are named for, and an upper
// bound of the labels' lengths.
func (n *Node) serving(p *Port) (labels []string, addrs [2][]netip.Addr, length int) {
	all := n.ServedBy
	switch {
	case p.Labels != nil:
		return p.Labels, addrs, longestLabel
	case p.Addrs != nil:
		return nil, [2][]netip.Addr{p.Addrs}, longestDashed
	case all.Endpoints != nil && all.labels != nil:
		return all.labels, addrs, longestLabel
	}
	addrs = [2][]netip.Addr{all.V4, all.V6}
	if all.paired() {
		addrs[1] = all.pairs.lone
	}
	if len(addrs[1]) == 0 {
		return nil, addrs, len("255-255-255-255")
	}
	return nil, addrs, longestDashed
}

// Targets returns the endpoints of the ports, each once, without those whose names are too long for DNS (D33): the first ones,
// limit at most, 0 meaning all, so that the same are left out each time (D23b, D41). The names share one allocation.
func (n *Node) Targets(service string, limit int) []Target {
	total, size := 0, 0
	for i := range n.Ports {
		labels, addrs, length := n.serving(&n.Ports[i])
		total += len(labels) + len(addrs[0]) + len(addrs[1])
		size = max(size, length)
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
		targets = append(targets, Target{all.String()[start:], number, addr})
	}
	var room [longestLabel]byte
	for i := range n.Ports {
		labels, addrs, _ := n.serving(&n.Ports[i])
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
