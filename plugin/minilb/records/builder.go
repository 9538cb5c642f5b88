package records

import (
	"strings"

	"github.com/miekg/dns"
)

// builder makes a changed copy of a tree.
type builder struct {
	apex string
	*draft
	before names
}

// newBuilder begins with the zone's tree in a snapshot, or, if that is nil, with its apex.
func newBuilder(z *zone, s *snapshot) *builder {
	g := &builder{apex: z.apex()}
	if s != nil {
		g.before = s.trees[z.name].names
	}
	g.draft = newDraft(g.before)
	if s == nil && z.name != "" {
		g.set(g.apex, existing{kept: true})
	}
	return g
}

func (g *builder) tree() *tree { return &tree{g.apex, g.names} }

// put makes a name exist, with the node, which may be nil.
func (g *builder) put(name string, node *Node) {
	e, existed := g.get(name)
	e.node, e.kept = node, node == nil || name == g.apex
	g.set(name, e)
	g.cover(name)
	for child := name; !existed; child = name {
		if name = g.parent(child); name == "" {
			return
		}
		e, existed = g.get(name)
		e.children++
		g.set(name, e)
		g.cover(child)
	}
}

// remove removes a name's node, and the names that exist only because of it.
func (g *builder) remove(name string) {
	e, existed := g.get(name)
	if !existed {
		return
	}
	e.node, e.kept = nil, name == g.apex
	g.set(name, e)
	for name != "" && e.node == nil && e.children == 0 && !e.kept {
		g.delete(name)
		g.cover(name)
		if name = g.parent(name); name != "" {
			e, _ = g.get(name)
			e.children--
			g.set(name, e)
		}
	}
	if name != "" {
		g.cover(name)
	}
}

// cover updates the parent of a wildcard that has been changed or removed.
func (g *builder) cover(name string) {
	if !strings.HasPrefix(name, "*.") {
		return
	}
	parent := g.parent(name)
	above, exists := g.get(parent) // no name is ""
	if !exists {
		return
	}
	above.wildcard = nil
	if e, exists := g.get(name); exists {
		above.wildcard = e.sourceOfSynthesis()
	}
	g.set(parent, above)
}

// parent returns the name above another, "" for the apex.
func (g *builder) parent(name string) string {
	if name == g.apex {
		return ""
	}
	next, end := dns.NextLabel(name, 0)
	if end {
		return "" // the root above a tree without a zone
	}
	return name[next:]
}

// changed reports whether the answer to a query for the name changes, apart from metadata.
func (g *builder) changed(name string) bool {
	is, exists := g.get(name)
	if len(g.before.parts) == 0 {
		return exists
	}
	was, existed := g.before.get(name)
	if is.node == Transparent || was.node == Transparent { // a wildcard may answer there, and below, as before (D24)
		before, after := &tree{g.apex, g.before}, g.tree()
		return differ(before, after, name) || differ(before, after, "*."+name)
	}
	return exists != existed || !is.node.same(was.node)
}

func differ(a, b *tree, name string) bool {
	resultA, nodeA := a.lookup(name)
	resultB, nodeB := b.lookup(name)
	return resultA != resultB || !nodeA.same(nodeB)
}
