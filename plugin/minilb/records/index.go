package records

import (
	"strings"
	"sync/atomic"
	"time"
)

// Index answers which Node stands at a name. Lookups are safe beside a concurrent Replace
// and take no lock. Names within one of the zones are looked up in that zone's tree, all
// others in the overlay, which has no apex and covers only what was put there (D2, D3).
type Index struct {
	zones    []zone
	overlay  zone
	snapshot atomic.Pointer[snapshot]
}

// zone is a zone of the index; the overlay is one without a name.
type zone struct {
	name   string
	fixed  []Record
	serial *atomic.Uint32
}

// snapshot is the state of all names at one moment.
type snapshot struct {
	trees   map[string]*tree // by zone
	overlay *tree
	partial bool // the zones' content is not known completely
}

// NewIndex returns an index of zones, which are canonical names. The fixed records belong
// to the zones' structure: they exist from the first Replace on, above every other claim
// (C1). Until then every lookup is NotSynced.
func NewIndex(zones []string, fixed ...Record) *Index {
	x := &Index{overlay: zone{serial: new(atomic.Uint32)}}
	for _, name := range zones {
		x.zones = append(x.zones, zone{name: name, serial: new(atomic.Uint32)})
	}
	for _, r := range fixed {
		z := x.zone(r.Name)
		z.fixed = append(z.fixed, r)
	}
	return x
}

// Match returns the longest of the index's zones that name lies in, or "" if there is none
// (M5b). The name is canonical.
func (x *Index) Match(name string) string { return x.zone(name).name }

func (x *Index) zone(name string) *zone {
	best := &x.overlay
	for i := range x.zones {
		if z := &x.zones[i]; len(z.name) > len(best.name) && Within(name, z.name) {
			best = z
		}
	}
	return best
}

// Within reports whether name is zone or lies below it. Both are canonical.
func Within(name, zone string) bool {
	if zone == "." {
		return true
	}
	above, found := strings.CutSuffix(name, zone)
	if !found || above == "" {
		return found
	}
	// The dot that ends the label before must not be one inside a label, "\." (D15).
	labels, found := strings.CutSuffix(above, ".")
	return found && (len(labels)-len(strings.TrimRight(labels, `\`)))%2 == 0
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
	return s.trees[zone].lookup(name)
}

// Synced reports whether the zones can be answered for.
func (x *Index) Synced() bool {
	s := x.snapshot.Load()
	return s != nil && !s.partial
}

// Replace makes records all that there is beside the fixed ones. If partial is set, the
// zones' content is not fully known: lookups in them stay NotSynced, while the overlay is
// served. It must not be called concurrently with itself.
func (x *Index) Replace(records []Record, partial bool) {
	byZone := make(map[*zone][]Record, len(x.zones)+1)
	for i := range x.zones {
		z := &x.zones[i]
		byZone[z] = append(make([]Record, 0, len(records)), z.fixed...)
	}
	for _, r := range records {
		z := x.zone(r.Name)
		byZone[z] = append(byZone[z], r)
	}

	old := x.snapshot.Load()
	next := &snapshot{trees: make(map[string]*tree, len(x.zones)), partial: partial}
	next.overlay = newTree(".", byZone[&x.overlay])
	for i := range x.zones {
		z := &x.zones[i]
		next.trees[z.name] = newTree(z.name, byZone[z])
	}

	var changed []*zone
	if old == nil || !next.overlay.same(old.overlay) {
		changed = append(changed, &x.overlay)
	}
	for i := range x.zones {
		z := &x.zones[i]
		if old == nil || !next.trees[z.name].same(old.trees[z.name]) {
			changed = append(changed, z)
		}
	}
	// Content before serial: who sees the new serial must not get the old content for it.
	// Only the first time nobody may see the content before it has a serial at all.
	if old == nil {
		advance(changed)
	}
	x.snapshot.Store(next)
	if old != nil {
		advance(changed)
	}
}

func advance(zones []*zone) {
	for _, z := range zones {
		z.advance()
	}
}

// Touch says that addresses changed in a Set, so that every zone has new content.
func (x *Index) Touch() {
	x.overlay.advance()
	for i := range x.zones {
		x.zones[i].advance()
	}
}

// Serial returns the serial number of a zone's content, or of the overlay's if zone is "".
// It grows with each change of content, and only then (D24).
func (x *Index) Serial(zone string) uint32 {
	for i := range x.zones {
		if x.zones[i].name == zone {
			return x.zones[i].serial.Load()
		}
	}
	return x.overlay.serial.Load()
}

// advance moves the serial to the clock, or past itself where the clock has not moved on.
func (z *zone) advance() {
	now := uint32(time.Now().Unix())
	for {
		serial := z.serial.Load()
		if z.serial.CompareAndSwap(serial, max(serial+1, now)) {
			return
		}
	}
}
