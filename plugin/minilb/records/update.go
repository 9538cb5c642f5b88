package records

import "maps"

// Update removes the names that are gone, and then puts records. Of several for one name the first with a node counts;
// one without a node makes its name exist, as a Transparent one does. Fixed records stay. With partial, lookups in zones
// stay NotSynced, while the overlay is served. The cost depends only on the number of changes. It must not be called
// concurrently with itself.
func (x *Index) Update(gone []string, records []Entry, partial bool) {
	old := x.snapshot.Load()
	u := &update{index: x, old: old, zones: map[*zone]*builder{}, touched: map[string]bool{}}
	if old == nil {
		u.begin()
	}
	for _, name := range gone {
		u.remove(name)
	}
	for _, r := range records {
		u.put(r)
	}
	changed := u.changed()
	// Content before serial: with the new serial nobody may get the old content. Only the first content comes after its.
	if old == nil {
		x.change(changed)
	}
	x.snapshot.Store(u.snapshot(partial))
	if old != nil {
		x.change(changed)
	}
	if old == nil || old.partial != partial {
		x.announce() // more names can be looked up
	}
}

// update makes a snapshot.
type update struct {
	index   *Index
	old     *snapshot // nil for none
	zones   map[*zone]*builder
	touched map[string]bool // changed names; true if a node has been put
}

// begin puts the fixed records.
func (u *update) begin() {
	for _, z := range append([]*zone{&u.index.overlay}, u.index.zones...) {
		if z.prefix.IsValid() {
			continue
		}
		g := u.builder(z)
		for _, r := range z.fixed {
			if e, _ := g.get(r.Name); e.node == nil {
				g.put(r.Name, r.Node)
			}
		}
	}
}

func (u *update) builder(z *zone) *builder {
	g := u.zones[z]
	if g == nil {
		g = newBuilder(z, u.old)
		u.zones[z] = g
	}
	return g
}

func (u *update) remove(name string) {
	z := u.index.zone(name)
	if z.prefix.IsValid() {
		return
	}
	u.touched[name] = false
	switch node, fixed := z.fixedAt(name); {
	case !fixed:
		u.builder(z).remove(name)
	case node == nil:
		u.builder(z).put(name, nil)
	}
}

func (u *update) put(r Entry) {
	z := u.index.zone(r.Name)
	if u.touched[r.Name] || z.prefix.IsValid() {
		return
	}
	if node, _ := z.fixedAt(r.Name); node != nil {
		return
	}
	u.touched[r.Name] = r.Node != nil
	u.builder(z).put(r.Name, r.Node)
}

// changed returns the zones whose content changes, all the first time.
func (u *update) changed() []*zone {
	if u.old == nil {
		return append([]*zone{&u.index.overlay}, u.index.zones...)
	}
	differs := map[*zone]bool{}
	var changed []*zone
	for name := range u.touched {
		z := u.index.zone(name)
		if !differs[z] && u.zones[z] != nil && u.zones[z].changed(name) {
			differs[z] = true
			changed = append(changed, z)
		}
	}
	return changed
}

func (u *update) snapshot(partial bool) *snapshot {
	next := &snapshot{trees: map[string]*tree{}, partial: partial}
	if u.old != nil {
		maps.Copy(next.trees, u.old.trees)
	}
	for z, g := range u.zones {
		next.trees[z.name] = g.tree()
	}
	return next
}
