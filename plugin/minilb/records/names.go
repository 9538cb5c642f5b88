package records

import (
	"hash/maphash"
	"iter"
	"maps"
)

// names is an immutable map of names. It is split into parts, which a changed copy shares where
// nothing has changed: a change costs a part, and a list of them.
type names struct {
	parts []map[string]entry // as many as a power of two
	count int
}

// maxPart is how many names a part holds on average before there are to be more parts.
const maxPart = 64

var seed = maphash.MakeSeed()

func (n *names) part(name string) int {
	return int(maphash.String(seed, name)) & (len(n.parts) - 1)
}

func (n *names) get(name string) (entry, bool) {
	e, exists := n.parts[n.part(name)][name]
	return e, exists
}

// all yields every name.
func (n *names) all() iter.Seq2[string, entry] {
	return func(yield func(string, entry) bool) {
		for _, part := range n.parts {
			for name, e := range part {
				if !yield(name, e) {
					return
				}
			}
		}
	}
}

// draft is a changed copy of names in the making.
type draft struct {
	names
	own []bool // which parts are not shared
}

func newDraft(n names) *draft {
	d := &draft{names: names{parts: make([]map[string]entry, max(1, len(n.parts))), count: n.count}}
	copy(d.parts, n.parts)
	d.own = make([]bool, len(d.parts))
	return d
}

// change returns the part of a name, to be written to.
func (d *draft) change(name string) map[string]entry {
	i := d.part(name)
	if !d.own[i] {
		if d.parts[i] = maps.Clone(d.parts[i]); d.parts[i] == nil {
			d.parts[i] = map[string]entry{}
		}
		d.own[i] = true
	}
	return d.parts[i]
}

func (d *draft) set(name string, e entry) {
	if _, exists := d.get(name); !exists {
		if d.count++; d.count > maxPart*len(d.parts) {
			d.split(2 * len(d.parts))
		}
	}
	d.change(name)[name] = e
}

func (d *draft) delete(name string) {
	if _, exists := d.get(name); !exists {
		return
	}
	delete(d.change(name), name)
	if d.count--; len(d.parts) > 1 && d.count < len(d.parts)*maxPart/8 {
		d.split(len(d.parts) / 2)
	}
}

// split makes n parts of all names.
func (d *draft) split(n int) {
	before := d.names
	d.parts, d.own = make([]map[string]entry, n), make([]bool, n)
	for name, e := range before.all() {
		d.change(name)[name] = e
	}
}
