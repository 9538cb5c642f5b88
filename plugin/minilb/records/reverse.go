package records

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gaissmai/bart"
	"github.com/miekg/dns"
)

// maxPointers bounds the PTR records of an address (D60).
const maxPointers = 16

// reverse maps the addresses in the reverse zones to the Services that have them as endpoints. A change makes a new table.
type reverse struct {
	zones []*zone
	below string // zone of the Services' names
	table atomic.Pointer[bart.Table[[]*Node]]
}

// ReversePrefix returns the addresses whose reverse names are the canonical name or below it. ok is false if it is not below
// in-addr.arpa. or ip6.arpa., or has a label that is not an octet or nibble (RFC 1035 §3.5, RFC 3596 §2.5).
func ReversePrefix(name string) (prefix netip.Prefix, ok bool) {
	var octets [16]byte
	if labels, found := strings.CutSuffix(name, "in-addr.arpa."); found {
		bits, ok := fromRight(labels, 10, 8, octets[:4])
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(octets[:4])), bits), ok
	}
	if labels, found := strings.CutSuffix(name, "ip6.arpa."); found {
		bits, ok := fromRight(labels, 16, 4, octets[:])
		return netip.PrefixFrom(netip.AddrFrom16(octets), bits), ok
	}
	return netip.Prefix{}, false
}

// fromRight fills octets with the labels from the right, each a number of so many bits in the base, and returns how many
// bits there are in all. ok is false if a label is no such number, or finds no room.
func fromRight(labels string, base, size int, octets []byte) (bits int, ok bool) {
	for ; labels != ""; bits += size {
		label, dot := strings.CutSuffix(labels, ".")
		start := strings.LastIndexByte(label, '.') + 1
		number, err := strconv.ParseUint(label[start:], base, size)
		if !dot || err != nil || len(label)-start > 1 && label[start] == '0' || bits == 8*len(octets) {
			return bits, false
		}
		octets[bits/8] |= byte(number) << (8 - size - bits%8)
		labels = labels[:start]
	}
	return bits, true
}

func reverseName(addr netip.Addr) string {
	name, _ := dns.ReverseAddr(addr.String()) // which cannot fail for an address
	return name
}

// zone returns the longest zone that has the address, nil for none.
func (r *reverse) zone(addr netip.Addr) *zone {
	var longest *zone
	for _, z := range r.zones {
		if z.prefix.Contains(addr) && (longest == nil || z.prefix.Bits() > longest.prefix.Bits()) {
			longest = z
		}
	}
	return longest
}

// move updates the table for a Service whose addresses change, and returns the zones whose content changes.
func (r *reverse) move(node *Node, before, after *Addresses) (changed []string) {
	table := r.table.Load()
	change := func(addr netip.Addr) bool {
		z := r.zone(addr)
		if z != nil && !slices.Contains(changed, z.name) {
			changed = append(changed, z.name)
		}
		return z != nil
	}
	put := func(addr netip.Addr, nodes ...*Node) {
		table = table.ModifyPersist(netip.PrefixFrom(addr, addr.BitLen()), func(all []*Node, _ bool) ([]*Node, bool) {
			all = append(slices.DeleteFunc(slices.Clone(all), func(n *Node) bool { return n == node }), nodes...)
			return all, len(all) == 0
		})
	}
	renamed := !before.Endpoints.equal(after.Endpoints) || before.paired() // pairs are indexes, of other addresses than before
	for _, addr := range slices.Concat(before.V4, before.V6) {
		if !after.Has(addr) {
			if change(addr) {
				put(addr)
			}
		} else if renamed && r.zone(addr) != nil && !slices.Equal(before.labelsAt(addr), after.labelsAt(addr)) {
			change(addr)
		}
	}
	for _, addr := range slices.Concat(after.V4, after.V6) {
		if !before.Has(addr) && change(addr) {
			put(addr, node)
		}
	}
	r.table.Store(table)
	return changed
}

// lookup returns the PTR records of an address, or NoData for an empty non-terminal above addresses or a zone (D12, D60).
func (r *reverse) lookup(zone, name string) (Result, *Node) {
	prefix, ok := ReversePrefix(name)
	switch table := r.table.Load(); {
	case !ok:
		return NameError, nil
	case prefix.IsSingleIP():
		nodes, _ := table.Get(prefix)
		if node := r.pointers(prefix.Addr(), nodes); node != nil {
			return Found, node
		}
	default:
		for range table.Subnets(prefix) {
			return NoData, nil
		}
		for _, z := range r.zones {
			if z.name != zone && z.prefix.Bits() >= prefix.Bits() && prefix.Contains(z.prefix.Addr()) {
				return NoData, nil
			}
		}
	}
	if name == zone {
		return NoData, nil
	}
	return NameError, nil
}

// pointers returns the node with the names of an address, nil if it has none.
func (r *reverse) pointers(addr netip.Addr, nodes []*Node) *Node {
	var found *Node
	for _, n := range nodes {
		all := n.Addrs.Load()
		if !all.Has(addr) {
			continue // the table has not been updated yet
		}
		if found == nil {
			found = &Node{Source: n.Source, Namespace: n.Namespace, Service: n.Service}
		} else {
			found.Namespace, found.Service = "", ""
		}
		for _, label := range all.labelsAt(addr) {
			if name := childName(label, n.Service+"."+n.Namespace+"."+r.below); name != "" {
				found.Pointers = append(found.Pointers, name)
			}
		}
	}
	if found == nil || found.Pointers == nil {
		return nil
	}
	slices.Sort(found.Pointers)
	found.Pointers = found.Pointers[:min(len(found.Pointers), maxPointers)]
	return found
}

// records yields all names of a reverse zone in the order of their addresses.
func (r *reverse) records(z *zone) iter.Seq[Entry] {
	table := r.table.Load()
	return func(yield func(Entry) bool) {
		for prefix, nodes := range table.Subnets(z.prefix) {
			addr := prefix.Addr()
			node := r.pointers(addr, nodes)
			if node != nil && r.zone(addr) == z && !yield(Entry{reverseName(addr), node}) {
				return
			}
		}
	}
}
