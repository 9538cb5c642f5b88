// Package records is the index that queries are answered from: names, wildcards and their addresses, in immutable
// snapshots that are swapped atomically. It knows nothing of Kubernetes: the translator fills it, package minilb reads it.
package records

import (
	"iter"
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Index maps names to Nodes. Lookups take no lock and may run concurrently with an Update. A name in one of the zones is
// looked up in that zone's tree, any other in the overlay, which has no apex (D2, D3).
type Index struct {
	zones    []*zone
	names    []string // of the zones
	overlay  zone
	reverse  reverse
	snapshot atomic.Pointer[snapshot]
	clock    *clock
	changes  chan struct{} // holds a token after a zone has changed
}

// zone is a zone of the index; the overlay is one without a name.
type zone struct {
	name   string
	fixed  []Entry
	prefix netip.Prefix // of the addresses in a reverse zone, else invalid
	serial serial
}

func (z *zone) apex() string {
	if z.name == "" {
		return "."
	}
	return z.name
}

// fixedAt returns the fixed record at a name, which may be one without a node.
func (z *zone) fixedAt(name string) (node *Node, fixed bool) {
	for _, r := range z.fixed {
		if r.Name == name {
			fixed = true
			if node == nil {
				node = r.Node
			}
		}
	}
	return node, fixed
}

// snapshot is the content of all forward zones and the overlay.
type snapshot struct {
	trees   map[string]*tree // by zone, "" for the overlay
	partial bool             // the zones are not known completely
}

// NewIndex returns an index of zones, which are canonical names. Reverse zones (D60) have PTR records to names in the
// first forward zone. Until the first Update every lookup is NotSynced; from then on the fixed records take precedence
// over all others (C1).
func NewIndex(zones []string, fixed ...Entry) *Index {
	x := &Index{names: zones, clock: newClock(), changes: make(chan struct{}, 1)}
	x.overlay.serial.clock = x.clock
	for _, name := range zones {
		z := &zone{name: name}
		z.serial.clock = x.clock
		x.zones = append(x.zones, z)
		if prefix, ok := ReversePrefix(name); ok {
			z.prefix = prefix
			x.reverse.zones = append(x.reverse.zones, z)
		} else if x.reverse.below == "" {
			x.reverse.below = name
		}
	}
	x.reverse.table.Store(new(bart.Table[[]*Node]))
	for _, name := range zones { // a zone in another one makes the names between them exist (D12)
		above, _ := dns.NextLabel(name, 0)
		if outer := x.zone(name[above:]); outer.name != "" {
			outer.fixed = append(outer.fixed, Entry{Name: name})
		}
	}
	for _, r := range fixed {
		z := x.zone(r.Name)
		z.fixed = append(z.fixed, r)
	}
	return x
}

// Zone returns the longest zone that has the canonical name, or "" if there is none (M5b).
func (x *Index) Zone(name string) string { return x.zone(name).name }

func (x *Index) zone(name string) *zone {
	best := &x.overlay
	for _, z := range x.zones {
		if len(z.name) > len(best.name) && hostname.InZone(name, z.name) {
			best = z
		}
	}
	return best
}

// Lookup looks up a name in the zone that Zone returns for it.
func (x *Index) Lookup(zone, name string) (Result, *Node) {
	s := x.snapshot.Load()
	if s == nil || s.partial && zone != "" {
		return NotSynced, nil
	}
	if t := s.trees[zone]; t != nil {
		return t.lookup(name)
	}
	return x.reverse.lookup(zone, name)
}

// Synced reports whether the zones can be answered for.
func (x *Index) Synced() bool {
	s := x.snapshot.Load()
	return s != nil && !s.partial
}

func (x *Index) change(zones []*zone) {
	for _, z := range zones {
		z.serial.change()
	}
	if len(zones) > 0 {
		x.announce()
	}
}

func (x *Index) announce() {
	select {
	case x.changes <- struct{}{}:
	default:
	}
}

// Changes receives a value after zones have changed, or are known for the first time.
func (x *Index) Changes() <-chan struct{} { return x.changes }

// MarkChanged bumps the serial of each zone, "" for the overlay, after an AddressSet used there was stored, and wakes Changes.
func (x *Index) MarkChanged(zones ...string) {
	for _, name := range zones {
		x.named(name).serial.change()
	}
	if len(zones) > 0 {
		x.announce()
	}
}

// UpdateReverse updates the reverse zones after a change of the addresses of a node's Service. It must not be called
// concurrently with itself.
func (x *Index) UpdateReverse(node *Node, before, after *Addresses) {
	if len(x.reverse.zones) > 0 {
		x.change(x.reverse.move(node, before, after))
	}
}

// Zones returns the names of all zones. They must not be modified.
func (x *Index) Zones() []string { return x.names }

// Entries yields every name with data in a zone, once, as of now. Only those of a reverse zone are sorted.
func (x *Index) Entries(zone string) iter.Seq[Entry] {
	if z := x.named(zone); z.prefix.IsValid() {
		return x.reverse.records(z)
	}
	return x.snapshot.Load().trees[zone].records()
}

func (x *Index) named(name string) *zone {
	for _, z := range x.zones {
		if z.name == name {
			return z
		}
	}
	return &x.overlay
}

// Serial returns the serial of a zone, "" for the overlay. It grows with each change of content, and only then (D24).
func (x *Index) Serial(zone string) uint32 { return x.named(zone).serial.number() }

// PeekSerial is Serial for negative answers: content that only these have shown may share its serial with later content,
// so that queries for what does not exist do not make the serial run ahead of the clock.
func (x *Index) PeekSerial(zone string) uint32 { return x.named(zone).serial.peek() }

// InheritSerials makes the serials follow those of an index that this one replaces.
func (x *Index) InheritSerials(before *Index) {
	x.clock.follow(before.clock)
	for _, z := range x.zones {
		if old := before.named(z.name); old.name == z.name {
			z.serial.follow(old.serial.number())
		}
	}
}
