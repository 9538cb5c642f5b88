package records

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// world is what an index is made of, written down flat: the model of its answers looks through
// all of it for each question, by the text of RFC 4592 and of nothing else.
type world struct {
	zones    []string
	fixed    []Entry
	records  []Entry
	services map[*Node]*service
	known    map[string][]fact // by zone, once they have been asked for
}

// service is what stands behind a Service's node.
type service struct {
	addrs []netip.Addr
	hosts []Host // several may have one address, or one label
	ports []Port
}

// labels returns the names of the endpoints at an address (D40).
func (s *service) labels(addr netip.Addr) (labels []string) {
	for _, h := range s.hosts {
		if h.Addr == addr {
			labels = append(labels, h.Label)
		}
	}
	if labels != nil {
		return labels
	}
	label := strings.ReplaceAll(strings.ReplaceAll(addr.String(), ".", "-"), ":", "-")
	if strings.HasSuffix(label, "-") {
		label += "0"
	}
	return []string{label}
}

// labelled returns the ports as an index wants them: by labels if endpoints have hostnames.
func (s *service) labelled() []Port {
	ports := slices.Clone(s.ports)
	for i := range ports {
		p := &ports[i]
		if p.Addrs == nil || s.hosts == nil {
			continue
		}
		p.Labels = []string{}
		for _, addr := range p.Addrs {
			p.Labels = append(p.Labels, slices.Min(s.labels(addr)))
		}
		slices.Sort(p.Labels)
		p.Addrs, p.Labels = nil, slices.Compact(p.Labels)
	}
	return ports
}

func (s *service) String() string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("addresses %v, hostnames %v, ports %v", s.addrs, s.hosts, s.ports)
}

// index makes the index that is to answer as the world does.
func (w *world) index() *Index {
	x := NewIndex(w.zones, w.fixed...)
	x.Update(nil, w.records, false)
	return x
}

// fact is a name that exists, and what stands there: nothing, a node that the index was given,
// or what is found below a Service's name.
type fact struct {
	name    string
	labels  []string // of the name, the topmost first
	node    *Node
	service *Node        // whose endpoint or named port this is
	addrs   []netip.Addr // of an endpoint
	port    bool         // a named port, whose
	targets []Target     // are these
}

func (f *fact) data() bool { return f.node != nil || f.addrs != nil || f.port }

// split returns the labels of a name, the topmost first.
func split(name string) []string {
	labels := dns.SplitDomainName(name)
	slices.Reverse(labels)
	return labels
}

// within reports whether a name is top or below it, both by their labels.
func within(name, top []string) bool {
	return len(name) >= len(top) && slices.Equal(name[:len(top)], top)
}

// parent returns the name without its first label.
func parent(name string) string {
	return dns.Fqdn(strings.Join(dns.SplitDomainName(name)[1:], "."))
}

// zone returns the longest zone that the name lies in, "" for the overlay (M5b).
func (w *world) zone(name string) string {
	best, labels := "", split(name)
	for _, zone := range w.zones {
		if within(labels, split(zone)) && len(zone) > len(best) {
			best = zone
		}
	}
	return best
}

// facts returns the names of a zone in the order of their authority: Services, what is below
// them, all others (C1). A zone below makes a name exist in the one that it is cut out of.
func (w *world) facts(zone string) []fact {
	if facts := w.known[zone]; facts != nil {
		return facts
	}
	var services, below, others []fact
	seen := map[string]bool{}
	for _, r := range slices.Concat(w.fixed, w.records) {
		switch {
		case w.zone(r.Name) != zone || seen[r.Name]:
		case r.Node == nil, r.Node == Transparent:
			seen[r.Name] = r.Node != nil
			others = append(others, fact{name: r.Name})
		case !r.Node.NamesBelow:
			seen[r.Name] = true
			others = append(others, fact{name: r.Name, node: r.Node})
		default:
			seen[r.Name] = true
			services = append(services, fact{name: r.Name, node: r.Node})
			below = append(below, w.below(r.Name, r.Node)...)
		}
	}
	if zone != "" {
		others = append(others, fact{name: zone})
		for _, cut := range w.zones {
			if within(split(cut), split(zone)) && cut != zone {
				others = append(others, fact{name: cut})
			}
		}
	}
	facts := slices.Concat(services, below, others)
	for i := range facts {
		facts[i].labels = split(facts[i].name)
	}
	w.known[zone] = facts
	return facts
}

// below returns the names below a Service's: its endpoints (D40), its protocols (D42) and its
// named ports (D41).
func (w *world) below(name string, node *Node) []fact {
	s := w.services[node]
	var facts []fact
	for _, addr := range s.addrs {
		for _, label := range s.labels(addr) {
			i := slices.IndexFunc(facts, func(f fact) bool { return f.name == label+"."+name })
			if i < 0 {
				i = len(facts)
				facts = append(facts, fact{name: label + "." + name, service: node})
			}
			if !slices.Contains(facts[i].addrs, addr) {
				facts[i].addrs = append(facts[i].addrs, addr)
			}
		}
	}
	for _, p := range s.ports {
		facts = append(facts, fact{name: p.Proto + "." + name, service: node})
		full := p.Service + "." + p.Proto + "." + name
		i := slices.IndexFunc(facts, func(f fact) bool { return f.name == full })
		if i < 0 {
			i = len(facts)
			facts = append(facts, fact{name: full, service: node, port: true})
		}
		addrs := p.Addrs
		if addrs == nil {
			addrs = s.addrs
		}
		for _, addr := range addrs {
			label := slices.Min(s.labels(addr))
			target := Target{Name: label + "." + name, Number: p.Number}
			if !slices.Contains(facts[i].targets, target) {
				facts[i].targets = append(facts[i].targets, target)
			}
		}
	}
	return facts
}

// outside finds a name outside the zones. Of the names between it and a wildcard above, the one directly below where
// that stands keeps it off unless it is transparent, and so do all with data, and those that were put there without (C7b).
func (w *world) outside(name string, facts []fact) (Result, fact) {
	at := map[string]fact{} // with data
	kept := map[string]bool{}
	exists := map[string]bool{}
	for _, f := range facts {
		kept[f.name] = true
		for name := f.name; name != "."; name = parent(name) {
			exists[name] = true
		}
	}
	for _, f := range slices.Backward(facts) {
		if f.data() {
			at[f.name] = f
		}
	}
	transparent := map[string]bool{}
	for _, r := range w.records {
		if _, seen := transparent[r.Name]; !seen && r.Node != nil {
			transparent[r.Name] = r.Node == Transparent
		}
	}
	absent := NameError
	if exists[name] {
		absent = NoData
	}
	for child, above := "", name; above != "."; child, above = above, parent(above) {
		f, data := at[above]
		switch {
		case child == "" && data:
			return Found, f
		case child != "" && exists["*."+above]:
			f, data := at["*."+above]
			switch {
			case exists[child] && !transparent[child]:
				return absent, fact{}
			case data:
				return Found, f
			}
			return NoData, fact{}
		case data, kept[above] && !transparent[above]:
			return absent, fact{}
		}
	}
	return absent, fact{}
}

// lookup is RFC 4592 §3.3.1: the name if it exists, else the wildcard directly below its
// closest encloser, the source of synthesis, if that exists.
func (w *world) lookup(name string) (Result, fact) {
	facts := w.facts(w.zone(name))
	if w.zone(name) == "" {
		return w.outside(name, facts)
	}
	exists := func(name string) bool { // §2.2.2: with or without data
		labels := split(name)
		return name != "." && slices.ContainsFunc(facts, func(f fact) bool { return within(f.labels, labels) })
	}
	if !exists(name) {
		encloser := name
		for !exists(encloser) {
			if encloser == "." {
				return NameError, fact{} // outside the zones nothing is above all names (D3)
			}
			encloser = parent(encloser)
		}
		if name = "*." + encloser; !exists(name) {
			return NameError, fact{}
		}
	}
	for _, f := range facts {
		if f.name == name && f.data() {
			return Found, f
		}
	}
	return NoData, fact{}
}
