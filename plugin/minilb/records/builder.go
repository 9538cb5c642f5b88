package records

import (
	"cmp"
	"maps"
	"strings"

	"github.com/miekg/dns"
)

// builder makes a changed copy of a tree.
type builder struct {
	*tree
	before *tree
	own    [parts]bool // the parts that are not shared with before

	touched map[string]bool // names that may have changed; true if a node has been put
}

func newBuilder(before *tree) *builder {
	after := *before
	return &builder{tree: &after, before: before, touched: map[string]bool{}}
}

// change returns the part of a name, copied if it is shared.
func (g *builder) change(name string) map[string]existing {
	i := part(name)
	if !g.own[i] {
		g.own[i] = true
		if g.names[i] = maps.Clone(g.names[i]); g.names[i] == nil {
			g.names[i] = map[string]existing{}
		}
	}
	return g.names[i]
}

func (g *builder) set(name string, e existing) { g.change(name)[name] = e }

// put makes a name exist, with the node, which may be nil.
func (g *builder) put(name string, node *Node) {
	e, existed := g.get(name)
	e.node, e.kept = node, node == nil
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
	e.node, e.kept = nil, false
	g.set(name, e)
	for name != "" && e.node == nil && e.children == 0 && !e.kept {
		delete(g.change(name), name)
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
		above.wildcard = cmp.Or(e.node, nothing)
	}
	g.set(parent, above)
}

// parent returns the name above another, "" for the apex.
func (g *builder) parent(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end || name == g.apex {
		return "" // or the root above a tree without a zone
	}
	return name[next:]
}

// changed reports whether the answer to any query changes, apart from metadata.
func (g *builder) changed() bool {
	for name := range g.touched {
		is, exists := g.get(name)
		was, existed := g.before.get(name)
		if is.node == Transparent || was.node == Transparent { // a wildcard may answer there, and below, as before (D24)
			if g.differs(name) || g.differs("*."+name) {
				return true
			}
		} else if exists != existed || !is.node.same(was.node) {
			return true
		}
	}
	return false
}

func (g *builder) differs(name string) bool {
	resultA, nodeA := g.before.lookup(name)
	resultB, nodeB := g.lookup(name)
	return resultA != resultB || !nodeA.same(nodeB)
}
