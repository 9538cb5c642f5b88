package records

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// newTree makes a tree of records.
func newTree(apex string, records []Entry) *tree {
	g := newBuilder(&tree{apex: apex})
	if apex != "." {
		g.put(apex, nil)
	}
	for _, r := range records {
		g.put(r.Name, r.Node)
	}
	return g.tree
}

// replace makes records all that there is beside the fixed ones.
func (x *Index) replace(records []Entry) {
	var gone []string
	for _, t := range x.snapshot.Load().trees {
		for name := range t.all() {
			gone = append(gone, name)
		}
	}
	x.Update(gone, records, false)
}

// equal reports whether both trees are the same, down to what they keep for later changes.
func (t *tree) equal(o *tree) bool {
	return t.apex == o.apex && maps.Equal(maps.Collect(t.all()), maps.Collect(o.all()))
}

// After any number of changes the names are as if they had been put there at once.
func TestUpdateModel(t *testing.T) {
	random := rand.NewChaCha8([32]byte{2})
	for i := range 1000 {
		data := make([]byte, 20+i%150)
		random.Read(data)
		d := draws(data)
		w := d.world()
		// What comes and goes before: the world's names, those above them, and another world's.
		names := slices.Concat(w.records, d.world().records)
		for _, r := range w.records {
			if above := parent(r.Name); above != "." {
				names = append(names, Entry{above, r.Node})
			}
		}
		x := NewIndex(w.zones, w.fixed...)
		r := rand.New(random)
		present := map[string]bool{}
		put := func(records []Entry) {
			var gone []string
			for name := range present {
				if !slices.ContainsFunc(records, func(r Entry) bool { return r.Name == name }) || r.IntN(2) == 0 {
					gone = append(gone, name)
				}
			}
			for _, name := range gone {
				delete(present, name)
			}
			for _, r := range records {
				present[r.Name] = true
			}
			if r.IntN(4) == 0 {
				gone = append(gone, "never.was.minilb.", "minilb.")
			}
			x.Update(gone, records, false)
		}
		for range r.IntN(5) {
			var some []Entry
			for _, at := range r.Perm(len(names)) {
				if r.IntN(2) == 0 {
					some = append(some, Entry{names[at].Name, names[r.IntN(len(names))].Node})
				}
			}
			put(some)
		}
		put(w.records) // of those that were there before, half have another node, and half are put anew
		if w.check(t, x, "minilb."); t.Failed() {
			t.FailNow()
		}
		fresh := w.index().snapshot.Load()
		got := x.snapshot.Load()
		if !maps.EqualFunc(got.trees, fresh.trees, (*tree).equal) {
			t.Fatalf("in world %d, zones %q, fixed %v, records %v", i, w.zones, w.fixed, w.records)
		}
	}
}

// A change copies what it changes and leaves the rest, and those who read it, alone.
func TestUpdateShares(t *testing.T) {
	x := sized(10_000, 1)
	before := x.snapshot.Load()
	want := maps.Collect(before.trees["minilb."].all())
	x.Update([]string{"s000007.shop.minilb."}, []Entry{{"new.shop.minilb.", node("10.9.9.9")}}, false)
	after := x.snapshot.Load()
	if before.trees[""] != after.trees[""] {
		t.Error("a change in the zone copied the overlay")
	}
	if got := maps.Collect(before.trees["minilb."].all()); !maps.Equal(got, want) {
		t.Error("a change of the names is seen by who reads those before")
	}
	copied, all := 0, before.trees["minilb."].names
	for i, part := range after.trees["minilb."].names {
		if reflect.ValueOf(part).Pointer() != reflect.ValueOf(all[i]).Pointer() {
			copied++
		}
	}
	if most := 4; copied == 0 || copied > most {
		t.Errorf("%d of %d parts were copied, want at most %d", copied, len(all), most)
	}
}

// Many names are spread over the parts, and nothing is left of those that go.
func TestUpdateShrinks(t *testing.T) {
	x := NewIndex([]string{"minilb."})
	var many []Entry
	var gone []string
	for i := range 50_000 {
		name := fmt.Sprintf("s%d.shop.minilb.", i)
		many, gone = append(many, Entry{name, node("10.0.0.1")}), append(gone, name)
	}
	x.Update(nil, many, false)
	for _, part := range x.snapshot.Load().trees["minilb."].names {
		if most := 2 * 50_000 / parts; len(part) > most {
			t.Errorf("%d names in one part, want at most %d", len(part), most)
		}
	}
	x.Update(gone[1:], nil, false)
	if got := maps.Collect(x.snapshot.Load().trees["minilb."].all()); len(got) != 3 {
		t.Errorf("%d names are left, want the apex, the namespace and one Service", len(got))
	}
	if result, _ := x.Lookup("minilb.", gone[0]); result != Found {
		t.Errorf("%s: got %v", gone[0], result)
	}
}
