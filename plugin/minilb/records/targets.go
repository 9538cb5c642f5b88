package records

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
)

// Target is where a named port is served: an endpoint, by its name below the Service's.
type Target struct {
	Name   string // the endpoint's label and the Service's name
	Number uint16
	label  uint8      // length of the label
	Addr   netip.Addr // of the endpoint, or of any one of those that share its label if they are Named
}

// Label returns that of the endpoint.
func (t *Target) Label() string { return t.Name[:t.label] }

// Named reports whether some endpoints have hostnames of their own, which several may share.
func (a *Addresses) Named() bool { return a.Endpoints != nil && len(a.hosts) > 0 }

// Targets returns where the ports are served, by names below the Service's, in random order: at
// most limit of them, 0 meaning all (D23, D41). A name may be too long for DNS (D33).
func (n *Node) Targets(service string, limit int) []Target {
	total := n.endpoints()
	targets := n.draw(total, limit)
	n.Of.name(targets, service)
	if !n.Of.Named() {
		return targets
	}
	if targets = once(targets); limit > 0 && len(targets) < limit && limit < total {
		rest := n.apart() // namesakes were drawn
		drawn := rest.draw(rest.endpoints(), limit)
		n.Of.name(drawn, service)
		targets = once(append(targets, drawn...))
		targets = targets[:min(len(targets), limit)]
	}
	return targets
}

// apart returns the same ports with one endpoint for each label.
func (n *Node) apart() *Node {
	ports := slices.Clone(n.Ports)
	for i := range ports {
		if p := &ports[i]; p.apart != nil {
			p.Addrs = p.apart
		}
	}
	return &Node{Ports: ports, Of: n.Of}
}

// endpoints returns how many there are at the ports, each as often as it has one of them.
func (n *Node) endpoints() int {
	total := 0
	for i := range n.Ports {
		if p := &n.Ports[i]; p.Addrs != nil {
			total += len(p.Addrs)
		} else {
			total += len(n.Of.V4) + len(n.Of.V6)
		}
	}
	return total
}

// endpoint returns one of them, by its number, as a target without a name.
func (n *Node) endpoint(number int) (t Target) {
	for i := range n.Ports {
		p := &n.Ports[i]
		t.Number = p.Number
		first, second := p.Addrs, []netip.Addr(nil)
		if first == nil {
			first, second = n.Of.V4, n.Of.V6
		}
		switch {
		case number < len(first):
			t.Addr = first[number]
			return t
		case number < len(first)+len(second):
			t.Addr = second[number-len(first)]
			return t
		}
		number -= len(first) + len(second)
	}
	return t
}

// draw returns at most limit of the total of endpoints in random order, 0 meaning all.
func (n *Node) draw(total, limit int) []Target {
	if limit > 0 && limit < total {
		return n.drawSome(total, limit)
	}
	targets := make([]Target, total)
	for i := range targets {
		targets[i] = n.endpoint(i)
	}
	rand.Shuffle(total, func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	return targets
}

func (n *Node) drawSome(total, limit int) []Target {
	targets := make([]Target, 0, limit)
	for _, i := range draw(nil, total, limit) {
		targets = append(targets, n.endpoint(i))
	}
	return targets
}

// name gives targets their names. They are made at once: they are thrown away at once, too.
func (a *Addresses) name(targets []Target, service string) {
	named, size := a.Named(), 0
	for i := range targets {
		switch {
		case named:
			size += longestLabel
		case targets[i].Addr.Is4():
			size += len("255-255-255-255")
		default:
			size += longestDashed
		}
		size += len(".") + len(service)
	}
	var all strings.Builder
	all.Grow(size)
	var room [longestDashed]byte
	for i := range targets {
		t, start := &targets[i], all.Len()
		if named {
			all.WriteString(a.label(t.Addr))
		} else {
			all.Write(appendDashed(room[:0], t.Addr))
		}
		t.label = uint8(all.Len() - start)
		all.WriteByte('.')
		all.WriteString(service)
		t.Name = all.String()[start:]
	}
}

// once keeps each of several targets with the same name and number once.
func once(targets []Target) []Target {
	type at struct {
		name   string
		number uint16
	}
	seen := make(map[at]bool, len(targets))
	return slices.DeleteFunc(targets, func(t Target) bool {
		before := len(seen)
		seen[at{t.Name, t.Number}] = true
		return len(seen) == before
	})
}
