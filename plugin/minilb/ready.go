package minilb

import (
	"bytes"
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// Ready implements the ready.Readiness interface. It stays true while the API server is away (D70, D78).
func (m *Minilb) Ready() bool { return m.ready() }

// readiness is that of all server blocks with plugin ready, which documents their union. In fact it keeps one handler a
// name, and so asks only the last of ours.
type readiness struct {
	blocks  []bool           // whether they have plugin ready, in order; nil if that is not known
	indexes []*records.Index // that must be synced
}

// newReadiness returns that of the Corefile that is being loaded.
func newReadiness() (r readiness) {
	instances := caddy.Instances()
	if len(instances) == 0 {
		return r
	}
	corefile := instances[len(instances)-1].Caddyfile()
	blocks, _ := caddyfile.Parse(corefile.Path(), bytes.NewReader(corefile.Body()), nil) // no error, as it is being executed
	for _, block := range blocks {
		_, has := block.Tokens["ready"]
		r.blocks = append(r.blocks, has)
	}
	return r
}

// add adds the index of a server block, if it counts.
func (r *readiness) add(block int, index *records.Index) {
	if block >= len(r.blocks) || r.blocks[block] {
		r.indexes = append(r.indexes, index)
	}
}

func (r *readiness) ready() bool {
	return !slices.ContainsFunc(r.indexes, func(index *records.Index) bool { return !index.Synced() })
}
