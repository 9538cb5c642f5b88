package records

import (
	"hash/maphash"
	"iter"
)

// parts is how many parts names are split into.
const parts = 512

// names is an immutable map of names. It is split into parts: a changed copy shares those that do not change. Most updates
// change a few names of many: of 10,000 hosts, one costs 10 µs (BenchmarkUpdate), and 480 µs and 0.8 MB of garbage with
// maps.Clone.
type names [parts]map[string]existing

var seed = maphash.MakeSeed()

func part(name string) int { return int(maphash.String(seed, name) % parts) }

func (n *names) get(name string) (existing, bool) {
	e, exists := n[part(name)][name]
	return e, exists
}

func (n *names) all() iter.Seq2[string, existing] {
	return func(yield func(string, existing) bool) {
		for _, part := range n {
			for name, e := range part {
				if !yield(name, e) {
					return
				}
			}
		}
	}
}
