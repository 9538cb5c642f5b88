package records

import "maps"

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
