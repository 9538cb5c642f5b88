package records

import (
	"iter"
	"slices"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Node is what stands at a name: addresses, or the name of an external target. It is
// immutable, but for the addresses in its Set.
type Node struct {
	Addrs  *Set   // nil if Target, Ports or Pointers is set
	Target string // canonical name outside the cluster that this name is an alias of (D30), or ""

	Plain    bool       // it has no HTTPS record, whatever is said of its addresses
	Parental bool       // its endpoints and named ports have names below it (D16)
	Ports    []Port     // those that a named port's name stands for, of which
	Of       *Addresses // are the endpoints
	Pointers []string   // names of the endpoints that a reverse name stands for (D60)

	Source             string // kind of object that the name comes from, such as "service" or "httproute"
	Namespace, Service string // the Service that answers, or the owner's namespace and "" if it is none or several
}

// Binding returns what the name's HTTPS record says, nil if it has none (D50).
func (n *Node) Binding() *Binding {
	if n.Addrs == nil || n.Plain {
		return nil
	}
	return n.Addrs.Load().HTTPS
}

// same reports whether a query would be answered alike by both, apart from metadata.
func (n *Node) same(o *Node) bool {
	if n == o {
		return true
	}
	if n == nil || o == nil || n.Target != o.Target || (n.Addrs == nil) != (o.Addrs == nil) {
		return false
	}
	if n.Addrs == o.Addrs && n.Parental == o.Parental && n.Plain == o.Plain {
		return true
	}
	a, b := n.Addrs.Load(), o.Addrs.Load()
	if !slices.Equal(a.V4, b.V4) || !slices.Equal(a.V6, b.V6) || !n.Binding().equal(o.Binding()) || n.hasChildren() != o.hasChildren() {
		return false
	}
	return !n.hasChildren() || a.Endpoints.equal(b.Endpoints)
}

// Record puts a Node at a name. The name is canonical: absolute, lower case, and a wildcard
// if its first label is "*".
type Record struct {
	Name string
	Node *Node
}

// Result says what a lookup found.
type Result int

const (
	// NotFound is a name that neither exists nor is covered by a wildcard: NXDOMAIN in a zone.
	NotFound Result = iota
	// Empty is a name that exists because others exist below it (D12), or a zone's apex: NODATA.
	Empty
	// Found is a name with a Node, or one that a wildcard stands for.
	Found
	// NotSynced means that the cluster has not been read yet: nothing may be concluded (D72).
	NotSynced
)

// tree is a zone as RFC 4592 sees it: all names from the apex down, those without data included.
// It is immutable.
type tree struct {
	apex string // "." for one without a zone
	names
}

// entry is an existing name. Without a node it is an empty non-terminal.
type entry struct {
	node     *Node
	wildcard *Node // that of the name "*" directly below, which covers what does not exist there; nil if there is no such name
	children int32 // how many names exist directly below
	kept     bool  // it exists without a node and children, too
}

// covering returns the node of a wildcard for its parent's entry.
func (e entry) covering() *Node {
	if e.node == nil {
		return nothing
	}
	return e.node
}

// nothing stands for the node of a wildcard that is an empty non-terminal.
var nothing = &Node{}

// Transparent is the Node of a name outside the zones that stands directly below where a wildcard does, exists only
// because of names below it, and keeps that wildcard neither off itself nor off what does not exist below it (C7b).
var Transparent = &Node{}

// lookup finds name, which is canonical and below the apex, by RFC 4592 §3.3: the name
// itself, else the wildcard directly below its closest encloser (D10–D14). Names that a Service
// has below its own exist before any claimed there (C1).
func (t *tree) lookup(name string) (Result, *Node) {
	e, exists := t.get(name)
	if exists && (e.node == nil || !e.node.Parental) {
		if result, node := t.belowService(name); result != NotFound {
			return result, node
		}
	}
	absent := NotFound
	if exists {
		if absent = Empty; !t.passes(e) {
			return found(e.node)
		}
	}
	hidden := exists && e.node != Transparent
	for offset, end := dns.NextLabel(name, 0); !end; offset, end = dns.NextLabel(name, offset) {
		encloser, ok := t.get(name[offset:])
		if !ok {
			continue
		}
		if encloser.node != nil && encloser.node.Parental {
			if result, node, known := encloser.node.below(name[:offset-1]); known {
				return result, node
			}
		}
		switch {
		case encloser.wildcard != nil && !hidden && !hostname.IsSought(name):
			return found(encloser.wildcard)
		case encloser.wildcard != nil, !t.passes(encloser):
			return absent, nil
		}
		hidden = encloser.node != Transparent
	}
	return absent, nil
}

// passes reports whether it is the name directly below where the next wildcard above stands that says if this name
// keeps it off: outside the zones names do that exist only because of others below.
func (t *tree) passes(e entry) bool {
	return t.apex == "." && !e.kept && (e.node == nil || e.node == Transparent)
}

// found is what stands at a name that exists, or that a wildcard covers.
func found(node *Node) (Result, *Node) {
	if node == nil || node == nothing {
		return Empty, nil
	}
	return Found, node
}

// belowService finds what an existing name stands for below that of the nearest Service above it,
// if there is one. Outside of the zones Services have no names.
func (t *tree) belowService(name string) (Result, *Node) {
	if t.apex == "." {
		return NotFound, nil
	}
	for offset, end := dns.NextLabel(name, 0); !end && len(name)-offset >= len(t.apex); offset, end = dns.NextLabel(name, offset) {
		if above, _ := t.get(name[offset:]); above.node != nil && above.node.Parental {
			result, node, _ := above.node.below(name[:offset-1])
			return result, node
		}
	}
	return NotFound, nil
}

// records yields every name with data, those below the Services' names included.
func (t *tree) records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for name, e := range t.all() {
			if e.node == nil {
				continue
			}
			if _, node := t.lookup(name); node != e.node {
				continue // a claim on a name that a Service has below its own
			}
			if !yield(Record{name, e.node}) {
				return
			}
			if !e.node.Parental {
				continue
			}
			for r := range e.node.children(name) {
				if !yield(r) {
					return
				}
			}
		}
	}
}
