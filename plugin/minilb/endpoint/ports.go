package endpoint

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// namedPorts returns the named ports of all slices, with the endpoints that serve them (D41), and those of the Service, which
// exist without an endpoint (D16).
func (u *Usable) namedPorts(labels []string, ofService string) []records.Port {
	has, contributing := u.having(), 0
	having := map[object.Port][]int{} // sets with entries, by their numbers
	for both := range strings.FieldsSeq(ofService) {
		service, proto, _ := strings.Cut(both, ".")
		having[object.Port{Proto: proto, Service: service}] = nil
	}
	for i, set := range u.ports {
		if has[i] {
			contributing++
		}
		for _, p := range set {
			if !p.HasName() {
				continue
			}
			all := having[p]
			if has[i] && (len(all) == 0 || all[len(all)-1] != i) {
				all = append(all, i)
			}
			having[p] = all
		}
	}
	var ports []records.Port
	served := map[object.Port]bool{} // without their numbers
	shared, kept := map[string]records.Port{}, 0
	all := slices.SortedFunc(maps.Keys(having), object.Port.Compare) // C5: some may be left out
	for _, p := range all {
		var named records.Port
		switch sets := having[p]; {
		case len(sets) == 0:
			continue
		case len(sets) < contributing:
			key := fmt.Sprint(sets)
			var known bool
			if named, known = shared[key]; !known {
				if kept > object.MaxPortAddrs {
					continue
				}
				named.Addrs, named.Labels = u.servedBy(sets, labels)
				shared[key], kept = named, kept+len(named.Addrs)+len(named.Labels)
			}
		}
		named.Proto, named.Service, named.Number = p.Proto, p.Service, p.Number
		ports = append(ports, named)
		served[object.Port{Proto: p.Proto, Service: p.Service}] = true
	}
	for _, idle := range all {
		if idle.Number = 0; !served[idle] {
			served[idle] = true
			ports = append(ports, records.Port{Proto: idle.Proto, Service: idle.Service, Addrs: []netip.Addr{}}) // none, which nil is not
		}
	}
	return ports
}

// servedBy returns the addresses of the entries with these sets of ports, which are in order, nil for all; or their labels if some
// entries have labels, once for each address (E8).
func (u *Usable) servedBy(sets []int, labels []string) (addrs []netip.Addr, named []string) {
	addrs, named = []netip.Addr{}, []string{} // none, which nil is not
	total := 0
	for begin, end := 0, 0; begin < len(u.Entries); begin = end {
		addr, served := u.Entries[begin].Addr, false
		own, usual := "", "" // the first label of those that serve, and of all at the address
		for ; end < len(u.Entries) && u.Entries[end].Addr == addr; end++ {
			_, is := slices.BinarySearch(sets, u.Entries[end].ports)
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

// binding returns the HTTPS record, nil unless all sets of ports that endpoints have agree on where the port is served. If that
// is not 443, a Service with a port 80 has none: Chromium would go to https, but not to that port, so that a page breaks
// which worked over http (D50).
func (u *Usable) binding(h *object.HTTPS) *records.SvcParams {
	if h == nil {
		return nil
	}
	number, has := uint16(0), u.having()
	for i, set := range u.ports {
		if !has[i] {
			continue
		}
		at := slices.IndexFunc(set, func(p object.Port) bool { return p.Proto == "_tcp" && p.Service == h.Port })
		if at < 0 || number != 0 && number != set[at].Number {
			return nil
		}
		number = set[at].Number
	}
	if number == 0 || number != object.HttpsPort && h.HasHTTP {
		return nil
	}
	return &records.SvcParams{Port: number, ALPN: h.ALPN}
}
