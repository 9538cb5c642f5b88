// Package records is the index that queries are answered from: names, wildcards and their addresses, in immutable
// snapshots that are swapped atomically. It knows nothing of Kubernetes: the translator fills it, package minilb reads it.
package records

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Index maps names to Nodes. Lookups take no lock and may run concurrently with an Update. A name in one of the zones is
// looked up in that zone's tree, any other in the overlay, which has no apex (D2, D3).
type Index struct {
	Zones   []string      // names of all zones; not to be modified
	Changes chan struct{} // receives a value after zones may have changed, or are known for the first time

	zones    []*zone          // the overlay, and those of Zones in the same order
	fixed    map[string]*Node // nil for the apex of a zone
	reverse  reverse
	snapshot atomic.Pointer[snapshot]
	clock    *clock
}

// zone is a zone of the index; the overlay is one without a name.
type zone struct {
	name   string
	prefix netip.Prefix // of the addresses in a reverse zone, else invalid
	serial serial
}

// snapshot is the content of all forward zones and the overlay.
type snapshot struct {
	trees   map[string]*tree // by zone, "" for the overlay
	partial bool             // the zones are not known completely
	initial bool             // nor is the overlay, before the first Update
}

// NewIndex returns an index of zones, which are canonical names. Reverse zones (D60) have PTR records to names in the
// first forward zone. Until the first Update every lookup is NotSynced; from then on the fixed records take precedence
// over all others (C1).
func NewIndex(zones []string, fixed ...Entry) *Index {
	x := &Index{Zones: zones, Changes: make(chan struct{}, 1), fixed: map[string]*Node{}, clock: newClock()}
	trees := map[string]*tree{}
	for _, name := range slices.Concat([]string{""}, zones) {
		z := &zone{name: name, serial: serial{now: x.clock.now}}
		z.serial.change()
		x.zones = append(x.zones, z)
		if prefix, ok := ReversePrefix(name); ok {
			z.prefix = prefix
			x.reverse.zones = append(x.reverse.zones, z)
			continue
		}
		trees[name] = &tree{apex: cmp.Or(name, ".")}
		if name != "" && x.reverse.below == "" {
			x.reverse.below = name
		}
	}
	x.reverse.table.Store(new(bart.Table[[]*Node]))
	put := func(zone, name string, node *Node) {
		if t := trees[zone]; t != nil {
			g := newBuilder(t)
			g.put(name, node)
			trees[zone] = g.tree
		}
	}
	for _, name := range zones {
		x.fixed[name] = nil
		put(name, name, nil)
		// A zone in another one makes the names between them exist (D12).
		above, _ := dns.NextLabel(name, 0)
		if outer := x.Zone(name[above:]); outer != "" {
			put(outer, name, nil)
		}
	}
	for _, r := range fixed {
		if x.fixed[r.Name] == nil {
			x.fixed[r.Name] = r.Node
			put(x.Zone(r.Name), r.Name, r.Node)
		}
	}
	x.snapshot.Store(&snapshot{trees, true, true})
	return x
}

// Update removes the names that are gone, and then puts records. Of several for one name the first with a node counts;
// one without a node makes its name exist, as a Transparent one does. Fixed records stay. With partial, lookups in zones
// stay NotSynced, while the overlay is served. The cost depends only on the number of changes. It must not be called
// concurrently with itself.
func (x *Index) Update(gone []string, records []Entry, partial bool) {
	next := &snapshot{trees: maps.Clone(x.snapshot.Load().trees), partial: partial}
	builders := map[string]*builder{} // by zone; none for reverse zones
	builderOf := func(name string) *builder {
		zone := x.Zone(name)
		if t := next.trees[zone]; t != nil && builders[zone] == nil {
			builders[zone] = newBuilder(t)
			next.trees[zone] = builders[zone].tree
		}
		return builders[zone]
	}
	for _, name := range gone {
		g := builderOf(name)
		if node, fixed := x.fixed[name]; g == nil || node != nil {
			continue
		} else if fixed {
			g.put(name, nil)
		} else {
			g.remove(name)
		}
		g.touched[name] = false
	}
	for _, r := range records {
		if g := builderOf(r.Name); g != nil && !g.touched[r.Name] && x.fixed[r.Name] == nil {
			g.touched[r.Name] = r.Node != nil
			g.put(r.Name, r.Node)
		}
	}
	x.snapshot.Store(next) // before the serials: with a new one nobody may get the old content
	for zone, g := range builders {
		if g.changed() {
			x.MarkChanged(zone)
		}
	}
	x.announce() // more names may be looked up
}

// Zone returns the longest zone that has the canonical name, or "" if there is none (M5b).
func (x *Index) Zone(name string) string { return x.zone(name).name }

func (x *Index) zone(name string) *zone {
	best := x.zones[0]
	for _, z := range x.zones[1:] {
		if len(z.name) > len(best.name) && hostname.InZone(name, z.name) {
			best = z
		}
	}
	return best
}

// Lookup looks up a name in the zone that Zone returns for it.
func (x *Index) Lookup(zone, name string) (Result, *Node) {
	s := x.snapshot.Load()
	if s.initial || s.partial && zone != "" {
		return NotSynced, nil
	}
	if t := s.trees[zone]; t != nil {
		return t.lookup(name)
	}
	return x.reverse.lookup(zone, name)
}

// Synced reports whether the zones can be answered for.
func (x *Index) Synced() bool { return !x.snapshot.Load().partial }

func (x *Index) announce() {
	select {
	case x.Changes <- struct{}{}:
	default:
	}
}

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
		x.MarkChanged(x.reverse.move(node, before, after)...)
	}
}

// Entries yields every name with data in a zone, once, as of now. Only those of a reverse zone are sorted.
func (x *Index) Entries(zone string) iter.Seq[Entry] {
	if z := x.named(zone); z.prefix.IsValid() {
		return x.reverse.records(z)
	}
	return x.snapshot.Load().trees[zone].records()
}

// named returns the zone with a name, or else the overlay.
func (x *Index) named(name string) *zone {
	return x.zones[slices.Index(x.Zones, name)+1]
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
