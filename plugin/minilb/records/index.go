// Package records is the index that queries are answered from: names, wildcards and their addresses,
// in immutable snapshots that are swapped atomically. It knows DNS and nothing of Kubernetes: the
// translator fills it and package minilb reads it.
package records

import (
	"iter"
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Index answers which Node stands at a name. Lookups are safe beside a concurrent Update
// and take no lock. Names within one of the zones are looked up in that zone's tree, all
// others in the overlay, which has no apex and covers only what was put there (D2, D3).
type Index struct {
	zones    []*zone
	names    []string // of the zones
	overlay  zone
	reverse  reverse
	snapshot atomic.Pointer[snapshot]
	clock    *clock
	changes  chan struct{} // holds a token when the content of a zone has changed
}

// zone is a zone of the index; the overlay is one without a name.
type zone struct {
	name   string
	fixed  []Record
	prefix netip.Prefix // of the addresses in a reverse zone, else invalid
	serial serial
}

// apex is the name above all others of the zone.
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

// snapshot is the state of all names at one moment.
type snapshot struct {
	trees   map[string]*tree // by zone
	overlay *tree
	partial bool // the zones' content is not known completely
}

func (s *snapshot) tree(z *zone) *tree {
	if z.name == "" {
		return s.overlay
	}
	return s.trees[z.name]
}

// NewIndex returns an index of zones, which are canonical names. In those that are reverse zones
// (D60) the addresses of the Services have names that point to the first of the others. The
// fixed records belong to the zones' structure: they exist from the first Update on, above every
// other claim (C1). Until then every lookup is NotSynced.
func NewIndex(zones []string, fixed ...Record) *Index {
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
	for _, name := range zones { // one that lies in another makes the names between them exist there (D12)
		above, _ := dns.NextLabel(name, 0)
		if outer := x.zone(name[above:]); outer.name != "" {
			outer.fixed = append(outer.fixed, Record{Name: name})
		}
	}
	for _, r := range fixed {
		z := x.zone(r.Name)
		z.fixed = append(z.fixed, r)
	}
	return x
}

// forward returns the zones that are not reverse zones.
func (x *Index) forward() (zones []*zone) {
	for _, z := range x.zones {
		if !z.prefix.IsValid() {
			zones = append(zones, z)
		}
	}
	return zones
}

// Match returns the longest of the index's zones that name lies in, or "" if there is none
// (M5b). The name is canonical.
func (x *Index) Match(name string) string { return x.zone(name).name }

func (x *Index) zone(name string) *zone {
	best := &x.overlay
	for _, z := range x.zones {
		if len(z.name) > len(best.name) && hostname.InZone(name, z.name) {
			best = z
		}
	}
	return best
}

// Lookup finds what stands at name in zone, which is one that Match returned for the name.
func (x *Index) Lookup(zone, name string) (Result, *Node) {
	s := x.snapshot.Load()
	switch {
	case s == nil:
		return NotSynced, nil
	case zone == "":
		return s.overlay.lookup(name)
	case s.partial:
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

// announce lets the reader of Changes know that there are some.
func (x *Index) announce() {
	select {
	case x.changes <- struct{}{}:
	default:
	}
}

// Changes receives a value after the content of one or more zones has changed, or has come to be
// known.
func (x *Index) Changes() <-chan struct{} { return x.changes }

// Touch says that the addresses in a Set have changed that is answered with in the zones; "" is
// the overlay.
func (x *Index) Touch(zones ...string) {
	for _, name := range zones {
		x.named(name).serial.change()
	}
	if len(zones) > 0 {
		x.announce()
	}
}

// Move says that the addresses of the Service at a node were before and are after, for the
// reverse zones. It must not be called concurrently with itself.
func (x *Index) Move(node *Node, before, after *Addresses) {
	if len(x.reverse.zones) > 0 {
		x.change(x.reverse.move(node, before, after))
	}
}

// Zones returns the names of all zones. They must not be modified.
func (x *Index) Zones() []string { return x.names }

// Records yields every name with data in one of the zones, once, as of now. Only a reverse
// zone's are in order.
func (x *Index) Records(zone string) iter.Seq[Record] {
	if z := x.named(zone); z.prefix.IsValid() {
		return x.reverse.records(z)
	}
	s := x.snapshot.Load()
	return s.trees[zone].records()
}

func (x *Index) named(name string) *zone {
	for _, z := range x.zones {
		if z.name == name {
			return z
		}
	}
	return &x.overlay
}

// Serial returns the serial number of a zone's content, or of the overlay's if zone is "".
// It grows with each change of content, and only then (D24).
func (x *Index) Serial(zone string) uint32 { return x.named(zone).serial.number() }

// PeekSerial is Serial for answers that do not say what is in the zone: content that has been seen
// in such alone may share its number with what comes after it, so that a zone's serial does not
// run ahead of the clock because many ask for what is not there.
func (x *Index) PeekSerial(zone string) uint32 { return x.named(zone).serial.peek() }

// Continue lets the serials follow those of an index that this one takes the place of.
func (x *Index) Continue(before *Index) {
	x.clock.follow(before.clock)
	for _, z := range x.zones {
		if old := before.named(z.name); old.name == z.name {
			z.serial.follow(old.serial.number())
		}
	}
}
