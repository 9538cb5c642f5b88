package records

import (
	"iter"
	"slices"
	"strings"

	"github.com/miekg/dns"
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
type tree struct {
	entries map[string]entry
	below   map[string]string // names that exist below a Service's, by claims: the Service's name
}

// entry is an existing name. Without a node it is an empty non-terminal.
type entry struct {
	node     *Node
	wildcard *entry // the name "*" directly below, which covers what does not exist there
}

// newTree builds the tree below apex, "." for one without a zone. The first record of a name counts.
func newTree(apex string, records []Record) *tree {
	t := &tree{entries: make(map[string]entry, len(records)+1)}
	if apex != "." {
		t.entries[apex] = entry{}
	}
	var wildcards, claimed []string
	for _, r := range records {
		if e, exists := t.entries[r.Name]; exists && e.node != nil {
			continue
		}
		t.entries[r.Name] = entry{node: r.Node}
		if apex != "." {
			name := r.Name
			if r.Node != nil && r.Node.Parental { // it has its name by itself, but not those above
				next, _ := dns.NextLabel(name, 0)
				name = name[next:]
			}
			claimed = append(claimed, name)
		}
		for name := r.Name; name != apex; {
			if strings.HasPrefix(name, "*.") {
				wildcards = append(wildcards, name)
			}
			next, end := dns.NextLabel(name, 0)
			if end {
				break // the root above a tree without a zone
			}
			name = name[next:]
			if _, exists := t.entries[name]; exists {
				break // and so do those above it
			}
			t.entries[name] = entry{}
		}
	}
	for _, name := range claimed {
		t.noteParent(name)
	}
	// Now that all names are in, let each parent of a wildcard point to it.
	for _, name := range wildcards {
		parent := name[len("*."):]
		e, wildcard := t.entries[parent], t.entries[name]
		e.wildcard = &wildcard
		t.entries[parent] = e
	}
	return t
}

// noteParent notes the name, and those above it, if they lie below a Service's.
func (t *tree) noteParent(name string) {
	for above, end := dns.NextLabel(name, 0); !end; above, end = dns.NextLabel(name, above) {
		parent := name[above:]
		if e := t.entries[parent]; e.node == nil || !e.node.Parental {
			continue
		}
		if t.below == nil {
			t.below = map[string]string{}
		}
		for ; name != parent; name = name[above:] {
			t.below[name] = parent
			above, _ = dns.NextLabel(name, 0)
		}
		return
	}
}

// lookup finds name, which is canonical and below the apex, by RFC 4592 §3.3: the name
// itself, else the wildcard directly below its closest encloser (D10–D14). Names that a Service
// has below its own exist before any claimed there (C1).
func (t *tree) lookup(name string) (Result, *Node) {
	e, exists := t.entries[name]
	if parent := t.below[name]; parent != "" {
		if result, node, _ := t.entries[parent].node.below(name[:len(name)-len(parent)-1]); result != NotFound {
			return result, node
		}
	}
	for offset, end := 0, false; !exists; {
		if offset, end = dns.NextLabel(name, offset); end {
			return NotFound, nil
		}
		encloser, ok := t.entries[name[offset:]]
		if !ok {
			continue
		}
		if encloser.node != nil && encloser.node.Parental {
			if result, node, known := encloser.node.below(name[:offset-1]); known {
				return result, node
			}
		}
		if encloser.wildcard == nil {
			return NotFound, nil
		}
		e, exists = *encloser.wildcard, true
	}
	if e.node == nil {
		return Empty, nil
	}
	return Found, e.node
}

// records yields every name with data, those below the Services' names included.
func (t *tree) records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for name, e := range t.entries {
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

// same reports whether both trees hold the same names with the same data.
func (t *tree) same(o *tree) bool {
	if o == nil || len(t.entries) != len(o.entries) {
		return false
	}
	for name, e := range t.entries {
		other, exists := o.entries[name]
		if !exists || !e.node.same(other.node) {
			return false
		}
	}
	return true
}
