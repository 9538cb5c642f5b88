package records

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Endpoints are the names below a Service's: its endpoints and its named ports (D40, D41). They are immutable.
type Endpoints struct {
	hosts  []Host   // those that are not named for their address, sorted by name; nil for most Services
	byAddr []uint32 // indexes of the hosts, sorted by address
	labels []string // of all endpoints, sorted, each once; nil if there are no hosts
	pairs  *pairs   // nil if there are none
	ports  []Port   // sorted
}

// Host names an endpoint at one of its addresses: for its hostname, or for another of its addresses (D40). Several
// endpoints may share a name.
type Host struct {
	Label string // in lower case
	Addr  netip.Addr
}

// Port is a named port of the endpoints with these Labels or at these Addrs, of all if both are nil.
type Port struct {
	Proto   string       // "_tcp"
	Service string       // "_https"
	Number  uint16       // the endpoints' port, which may differ from the Service's
	Addrs   []netip.Addr // sorted, of endpoints that are named for their addresses
	Labels  []string     // sorted, each once
}

// NewEndpoints returns the names below that of a Service with these addresses, nil if there are none. It sorts hosts and
// ports, drops duplicates and hosts that are named for their address, and pairs those named for their IPv4 address.
func NewEndpoints(of *Addresses, hosts []Host, ports []Port) *Endpoints {
	e := &Endpoints{ports: ports}
	slices.SortFunc(hosts, func(a, b Host) int { return cmp.Or(a.Addr.Compare(b.Addr), strings.Compare(a.Label, b.Label)) })
	hosts = slices.Compact(hosts)
	for i, h := range hosts {
		alone := (i == 0 || hosts[i-1].Addr != h.Addr) && (i == len(hosts)-1 || hosts[i+1].Addr != h.Addr)
		if !alone || h.Label != Dashed(h.Addr) && !e.pair(of, h) {
			e.hosts = append(e.hosts, h)
		}
	}
	if len(e.hosts)+len(ports) == 0 && e.pairs == nil {
		return nil
	}
	e.pairs.setLone(of)
	slices.SortFunc(e.ports, func(a, b Port) int { return a.compare(&b) })
	e.index()
	e.normalizeLabels(of)
	return e
}

// index sorts the hosts by name and by address.
func (e *Endpoints) index() {
	e.hosts = slices.Clip(e.hosts)
	slices.SortStableFunc(e.hosts, func(a, b Host) int { return strings.Compare(a.Label, b.Label) })
	for i := range e.hosts {
		e.byAddr = append(e.byAddr, uint32(i))
	}
	slices.SortStableFunc(e.byAddr, func(i, j uint32) int { return e.hosts[i].Addr.Compare(e.hosts[j].Addr) })
}

// normalizeLabels sets the labels of all endpoints, and the Labels of ports of all endpoints to nil: equal data has one
// representation, so that a zone's serial does not change (D24).
func (e *Endpoints) normalizeLabels(of *Addresses) {
	if e.hosts == nil && !slices.ContainsFunc(e.ports, func(p Port) bool { return p.Labels != nil }) {
		return
	}
	all, labels := Addresses{V4: of.V4, V6: of.V6, Endpoints: e}, []string(nil)
	for _, addr := range slices.Concat(of.V4, of.V6) {
		labels = append(labels, all.label(addr))
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	for i := range e.ports {
		if slices.Equal(e.ports[i].Labels, labels) {
			e.ports[i].Labels = nil
		}
	}
	if e.hosts != nil {
		e.labels = slices.Clone(labels)
	}
}

func (p *Port) compare(o *Port) int {
	return cmp.Or(strings.Compare(p.Proto, o.Proto), strings.Compare(p.Service, o.Service), cmp.Compare(p.Number, o.Number))
}

func (e *Endpoints) equal(o *Endpoints) bool {
	if e == nil || o == nil {
		return e == o
	}
	return slices.Equal(e.hosts, o.hosts) && e.pairs.equal(o.pairs) && slices.EqualFunc(e.ports, o.ports, func(a, b Port) bool {
		return a.compare(&b) == 0 && (a.Addrs == nil) == (b.Addrs == nil) && slices.Equal(a.Addrs, b.Addrs) &&
			(a.Labels == nil) == (b.Labels == nil) && slices.Equal(a.Labels, b.Labels)
	})
}

// own returns the indexes of the hosts at an address, sorted by label, maxPointers at most.
func (e *Endpoints) own(addr netip.Addr) []uint32 {
	if e == nil {
		return nil
	}
	i, _ := slices.BinarySearchFunc(e.byAddr, addr, func(i uint32, addr netip.Addr) int { return e.hosts[i].Addr.Compare(addr) })
	j := i
	for j < min(len(e.byAddr), i+maxPointers) && e.hosts[e.byAddr[j]].Addr == addr {
		j++
	}
	return e.byAddr[i:j]
}

// label returns the label of the endpoint with the address, the first of several (D40).
func (a *Addresses) label(addr netip.Addr) string {
	if own := a.own(addr); len(own) > 0 {
		return a.hosts[own[0]].Label
	}
	return Dashed(a.namedFor(addr))
}

// labelsAt returns the labels of all endpoints with the address.
func (a *Addresses) labelsAt(addr netip.Addr) []string {
	own := a.own(addr)
	if len(own) == 0 {
		return []string{Dashed(a.namedFor(addr))}
	}
	labels := make([]string, len(own))
	for i, host := range own {
		labels[i] = a.hosts[host].Label
	}
	return labels
}

// first returns the index of the first host with the label, and whether there is one.
func (e *Endpoints) first(label string) (int, bool) {
	return slices.BinarySearchFunc(e.hosts, label, func(h Host, label string) int { return strings.Compare(h.Label, label) })
}

// Dashed returns the label that is named for an address: with hyphens in place of dots or colons (D40).
func Dashed(addr netip.Addr) string {
	var room [longestDashed]byte
	return string(appendDashed(room[:0], addr))
}

const longestDashed = len("ffff-ffff-ffff-ffff-ffff-ffff-ffff-ffff")

func appendDashed(all []byte, addr netip.Addr) []byte {
	start := len(all)
	all = addr.AppendTo(all)
	label := all[start:]
	for i, c := range label {
		if c == '.' || c == ':' {
			label[i] = '-'
		}
	}
	if label[len(label)-1] == '-' {
		all = append(all, '0') // a label cannot end with a hyphen
	}
	return all
}

// undashed returns the address that a label is named for.
func undashed(label string) (netip.Addr, bool) {
	if len(label) > longestDashed {
		return netip.Addr{}, false
	}
	for _, separator := range []string{".", ":"} {
		addr, err := netip.ParseAddr(strings.ReplaceAll(label, "-", separator))
		if err != nil {
			continue
		}
		var room [longestDashed + 1]byte
		if string(appendDashed(room[:0], addr)) == label { // each address has a single label
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// Lengths of the longest name, with its final dot (255 bytes: RFC 1035 §2.3.4), and label.
const (
	longestName  = 254
	longestLabel = 63
)

// childName returns the name of a label below another name, "" if it is too long for DNS (D33).
func childName(label, name string) string {
	if len(label)+len(".")+len(name) > longestName {
		return ""
	}
	return label + "." + name
}

// ValidLength reports whether a name is short enough for DNS.
func ValidLength(name string) bool { return len(name) <= longestName }

// maxSharedHostname bounds the addresses of one hostname: each query for it reads them, and any endpoint can have it.
const maxSharedHostname = 128

// At returns the addresses of the endpoints with the label, sorted.
func (a *Addresses) At(label string) []netip.Addr {
	var addrs []netip.Addr
	if e := a.Endpoints; e != nil {
		for i, _ := e.first(label); i < len(e.hosts) && e.hosts[i].Label == label && len(addrs) < maxSharedHostname; i++ {
			addrs = append(addrs, e.hosts[i].Addr)
		}
	}
	// An endpoint's address may give the same label as another one's hostname.
	if addr, ok := undashed(label); ok && a.Has(addr) && len(a.own(addr)) == 0 && a.namedFor(addr) == addr {
		addrs = append(addrs, addr)
		if v6 := a.pairedWith(addr); v6.IsValid() {
			addrs = append(addrs, v6)
		}
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	return addrs
}

// Has reports whether addr is one of the addresses.
func (a *Addresses) Has(addr netip.Addr) bool {
	family := a.V4
	if addr.Is6() {
		family = a.V6
	}
	_, found := slices.BinarySearchFunc(family, addr, netip.Addr.Compare)
	return found
}

// below looks up the labels in front of a Service's name: an endpoint, a protocol, or a named port (D16, D42). It also
// reports whether the label next to the Service's name exists, which no wildcard covers (D10).
func (n *Node) below(labels string) (result Result, node *Node, exists bool) {
	all := n.Addrs.Load()
	under, top := "", labels
	if i, _ := dns.PrevLabel(labels, 1); i > 0 { // D15
		under, top = labels[:i-1], labels[i:]
	}
	if strings.HasPrefix(top, "_") {
		switch {
		case all.Endpoints == nil || !slices.ContainsFunc(all.ports, func(p Port) bool { return p.Proto == top }):
			return NameError, nil, false
		case under == "":
			return NoData, nil, true
		}
		if ports := all.portsOf(top, under); ports != nil {
			return Found, &Node{Ports: ports, ServedBy: all, TTL: n.TTL, Source: n.Source, Namespace: n.Namespace, Service: n.Service}, true
		}
		return NameError, nil, true
	}
	addrs := all.At(top)
	switch {
	case addrs == nil:
		return NameError, nil, false
	case under != "":
		return NameError, nil, true
	}
	return Found, &Node{Addrs: NewAddressSet(NewAddresses(addrs...)), TTL: n.TTL, Source: n.Source, Namespace: n.Namespace, Service: n.Service}, true
}

// children yields the names with data below a Service's name.
func (n *Node) children(name string) iter.Seq[Entry] {
	all := n.Addrs.Load()
	return func(yield func(Entry) bool) {
		under := func(label string, node *Node) bool {
			node.TTL, node.Source, node.Namespace, node.Service = n.TTL, n.Source, n.Namespace, n.Service
			below := childName(label, name)
			return below == "" || yield(Entry{below, node})
		}
		endpoint := func(label string) bool {
			return under(label, &Node{Addrs: NewAddressSet(NewAddresses(all.At(label)...))})
		}
		for _, addr := range slices.Concat(all.V4, all.V6) {
			if len(all.own(addr)) > 0 || all.namedFor(addr) != addr {
				continue
			}
			label := Dashed(addr)
			if all.Endpoints != nil {
				if _, shared := all.first(label); shared {
					continue
				}
			}
			if !endpoint(label) {
				return
			}
		}
		if all.Endpoints == nil {
			return
		}
		for i, h := range all.hosts {
			if (i == 0 || all.hosts[i-1].Label != h.Label) && !endpoint(h.Label) {
				return
			}
		}
		for i, p := range all.ports {
			if i > 0 && all.ports[i-1].Proto == p.Proto && all.ports[i-1].Service == p.Service {
				continue
			}
			if !under(p.Service+"."+p.Proto, &Node{Ports: all.portsOf(p.Proto, p.Service), ServedBy: all}) {
				return
			}
		}
	}
}

// hasChildren reports whether there are names below a Service's name.
func (n *Node) hasChildren() bool {
	if !n.NamesBelow {
		return false
	}
	all := n.Addrs.Load()
	return len(all.V4)+len(all.V6) > 0 || all.Endpoints != nil
}

// portsOf returns the ports of a name and protocol, nil for none.
func (a *Addresses) portsOf(proto, service string) []Port {
	if a.Endpoints == nil {
		return nil
	}
	wanted := Port{Proto: proto, Service: service}
	i, _ := slices.BinarySearchFunc(a.ports, wanted, func(p, wanted Port) int { return p.compare(&wanted) })
	j := i
	for j < len(a.ports) && a.ports[j].Proto == proto && a.ports[j].Service == service {
		j++
	}
	if i == j {
		return nil
	}
	return a.ports[i:j]
}
