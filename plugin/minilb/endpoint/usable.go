// Package endpoint decides which endpoints of a Service are usable, and makes of them what is answered: addresses, names and
// ports of endpoints, HTTPS records, and where to probe.
package endpoint

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Counts counts the endpoints of a Service by state.
type Counts struct {
	Ready       int // answered
	Terminating int // serving while they terminate: answered if none is ready (E3)
	NotReady    int // never answered
	Suspect     int // would be answered, but probes fail
	Excluded    int // would be answered, but are on excluded nodes, and there are others (L6)
}

// Add adds counts, with sign -1 it subtracts them.
func (s *Counts) Add(o Counts, sign int) {
	s.Ready += sign * o.Ready
	s.Terminating += sign * o.Terminating
	s.NotReady += sign * o.NotReady
	s.Suspect += sign * o.Suspect
	s.Excluded += sign * o.Excluded
}

// Usable are the entries of a Service's slices that it can be answered with, for addresses, SRV records, endpoint names, PTR
// records, HTTPS records and probes (E3).
type Usable struct {
	Entries []Entry // by address
	ports   [][]object.Port
	Ready   Families // whether those of each family are ready ones
}

// Entry is an endpoint with the ports of its slice. Pods that share an address, as with hostNetwork, have an entry each.
type Entry struct {
	object.Endpoint
	ports int // which of the sets of ports
}

// Families holds what is true of IPv4 and of IPv6.
type Families [2]bool

// Family returns the index of an address' family in Families.
func Family(addr netip.Addr) int {
	if addr.Is4() {
		return 0
	}
	return 1
}

// Of returns the entries that a Service can be answered with, and how many endpoints it has (E3–E8).
func Of(slicesOf []*object.EndpointSlice) (Usable, Counts) {
	var u Usable
	var counts Counts
	u.Entries, u.ports = Entries(slicesOf)
	for i := range u.Entries {
		switch e := &u.Entries[i]; {
		case e.Is(object.Ready): // E5: alone decides, whatever else is said
			counts.Ready++
			u.Ready[Family(e.Addr)] = true
		case e.Answerable(): // E4
			counts.Terminating++
		default:
			counts.NotReady++
		}
	}
	u.Entries = slices.DeleteFunc(u.Entries, func(e Entry) bool { return !u.Has(&e) })
	return u, counts
}

// Has reports whether an entry is usable: a terminating one is in a family in which nothing is ready (E3).
func (u *Usable) Has(e *Entry) bool {
	return e.Is(object.Ready) || e.Answerable() && !u.Ready[Family(e.Addr)]
}

// Exclude removes the entries on excluded nodes, unless that would leave none of their family, and counts them. It returns the
// families that have no others (L6).
func (u *Usable) Exclude(nodes map[string]bool, counts *Counts) (only Families) {
	if len(nodes) == 0 {
		return only
	}
	var all, on [2]int // how many entries there are, and those on excluded nodes, by family
	for i := range u.Entries {
		f := Family(u.Entries[i].Addr)
		all[f]++
		if nodes[u.Entries[i].Node] {
			on[f]++
		}
	}
	for f, n := range on {
		switch only[f] = n > 0 && n == all[f]; {
		case only[f]:
			continue
		case u.Ready[f]:
			counts.Ready -= n
		default:
			counts.Terminating -= n
		}
		counts.Excluded += n
	}
	u.Entries = slices.DeleteFunc(u.Entries, func(e Entry) bool { return nodes[e.Node] && !only[Family(e.Addr)] })
	return only
}

// Entries returns the entries of slices in order, without superseded ones (E8), and their sets of ports.
func Entries(slicesOf []*object.EndpointSlice) (entries []Entry, sets [][]object.Port) {
	total := 0
	for _, s := range slicesOf {
		total += s.Endpoints.Len()
	}
	all := make([]Entry, 0, total)
	known, set := map[string]int{}, 0
	for i, s := range slicesOf {
		if i == 0 || !slices.Equal(s.Ports, slicesOf[i-1].Ports) {
			key := fmt.Sprint(slices.SortedFunc(slices.Values(s.Ports), object.Port.Compare))
			if _, ok := known[key]; !ok {
				known[key] = len(sets)
				sets = append(sets, s.Ports)
			}
			set = known[key]
		}
		for e := range s.Endpoints.All() {
			all = append(all, Entry{e, set})
		}
	}
	if len(slicesOf) > 1 {
		slices.SortFunc(all, func(a, b Entry) int {
			return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.ports, b.ports), a.Compare(&b.Endpoint))
		})
	}
	entries = all[:0]
	for i := range all {
		if n := len(entries); n == 0 || !entries[n-1].supersedes(&all[i]) {
			entries = append(entries, all[i])
		}
	}
	return entries, sets
}

// supersedes reports whether an entry, the first of those with its address and ports, replaces another: it is the same one, or
// was left in an old slice (E8).
func (e *Entry) supersedes(o *Entry) bool {
	return e.Addr == o.Addr && e.ports == o.ports &&
		(e.Conditions != o.Conditions || e.Hostname == o.Hostname && e.Pod == o.Pod)
}

// Addresses returns what a Service is answered with. It removes the entries of an unwanted family.
func Addresses(o *config.Options, u *Usable, offered object.ServicePorts) *records.Addresses {
	u.Entries = slices.DeleteFunc(u.Entries, func(e Entry) bool { return !o.WantsFamily(e.Addr) })
	addrs := make([]netip.Addr, len(u.Entries))
	for i := range u.Entries {
		addrs[i] = u.Entries[i].Addr
	}
	answered := records.NewAddresses(addrs...)
	labels := u.labels()
	var hosts []records.Host
	for i, label := range labels {
		if label != "" {
			hosts = append(hosts, records.Host{Label: label, Addr: addrs[i]})
		}
	}
	answered.Endpoints = records.NewEndpoints(answered, hosts, u.namedPorts(labels, offered.Named))
	answered.HTTPS = u.binding(offered.HTTPS)
	answered.ByClient = records.NewByClient(answered, offered.Affinity, u.near(o.Near))
	return answered
}

// near returns the addresses that are near the clients of each rule (L5).
func (u *Usable) near(rules []config.NearRule) [][]netip.Addr {
	near := make([][]netip.Addr, len(rules))
	for i := range u.Entries {
		for r := range rules {
			if rules[r].Has(u.Entries[i].Zone, u.Entries[i].Node) {
				near[r] = append(near[r], u.Entries[i].Addr)
			}
		}
	}
	return near
}

// pod is the usable entries of a pod: at most one address of each family, or it is unsure whether all are the same pod's.
type pod struct {
	addrs    [2]netip.Addr
	hostname string
	unsure   bool
}

// label returns the name of an endpoint (D40), "" for that of its address.
func (p pod) label() string {
	switch {
	case p.unsure:
		return ""
	case p.hostname == "" && p.addrs[0].IsValid() && p.addrs[1].IsValid():
		return records.Dashed(p.addrs[0])
	}
	return p.hostname
}

// labels returns the name of each entry: its hostname, or that of its pod, or the IPv4 address of its pod (D40); "" for its
// own address. It returns nil if all are "".
func (u *Usable) labels() []string {
	n := len(u.Entries)
	hostnames := slices.ContainsFunc(u.Entries, func(e Entry) bool { return e.Hostname != "" })
	if n == 0 || !hostnames && u.Entries[0].Addr.Is4() == u.Entries[n-1].Addr.Is4() {
		return nil
	}
	pods := map[uint32]pod{object.NoPod: {unsure: true}}
	for _, e := range u.Entries {
		p := pods[e.Pod]
		at := &p.addrs[Family(e.Addr)]
		p.unsure = p.unsure || at.IsValid() && *at != e.Addr
		if *at = e.Addr; e.Hostname != "" && (p.hostname == "" || e.Hostname < p.hostname) {
			p.hostname = e.Hostname
		}
		pods[e.Pod] = p
	}
	labels := make([]string, n)
	for i, e := range u.Entries {
		labels[i] = cmp.Or(e.Hostname, pods[e.Pod].label())
	}
	return labels
}

// having reports of each set of ports whether an entry has it.
func (u *Usable) having() []bool {
	has := make([]bool, len(u.ports))
	for i := range u.Entries {
		has[u.Entries[i].ports] = true
	}
	return has
}

// ProbeTarget returns where an entry is probed: at its first TCP port. It reports whether there is one.
func (u *Usable) ProbeTarget(e *Entry) (netip.AddrPort, bool) {
	for _, p := range u.ports[e.ports] {
		if p.Proto == "_tcp" {
			return netip.AddrPortFrom(e.Addr, p.Number), true
		}
	}
	return netip.AddrPort{}, false
}
