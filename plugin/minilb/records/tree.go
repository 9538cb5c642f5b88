package records

import (
	"hash/maphash"
	"iter"
	"math"
	"slices"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Node is the data of a name: addresses, or the name of an external target. Only the addresses in its AddressSet change.
type Node struct {
	Addrs  *AddressSet // nil if Target, Ports or Pointers is set
	Target string      // canonical name outside the cluster that this name is an alias of (D30), or ""

	TTL        *uint16    // of its records but PTR, in seconds; nil for the server's (L2)
	NoHTTPS    bool       // there is no HTTPS record, even if the addresses have parameters for one
	NamesBelow bool       // its endpoints and named ports have names below it (D16)
	Ports      []Port     // of a named port's name
	ServedBy   *Addresses // of the Service that has the Ports
	Pointers   []string   // names of the endpoints at the address of a reverse name (D60)

	Source             string // kind of the object that the name comes from, such as "service" or "httproute"
	Namespace, Service string // the Service that answers, or the owner's namespace and "" if none or several do
}

// SvcParams returns the data of the name's HTTPS record, nil if it has none (D50).
func (n *Node) SvcParams() *SvcParams {
	if n.Addrs == nil || n.NoHTTPS {
		return nil
	}
	return n.Addrs.Load().HTTPS
}

// TTLOr returns the TTL of the node's records, or otherwise if it has none of its own.
func (n *Node) TTLOr(otherwise uint32) uint32 {
	if n.TTL == nil {
		return otherwise
	}
	return uint32(*n.TTL)
}

// same reports whether both are answered alike, apart from metadata.
func (n *Node) same(o *Node) bool {
	if n == o {
		return true
	}
	if n == nil || o == nil || n.Target != o.Target || (n.Addrs == nil) != (o.Addrs == nil) || n.TTLOr(math.MaxUint32) != o.TTLOr(math.MaxUint32) {
		return false
	}
	if n.Addrs == o.Addrs && n.NamesBelow == o.NamesBelow && n.NoHTTPS == o.NoHTTPS {
		return true
	}
	a, b := n.Addrs.Load(), o.Addrs.Load()
	if !slices.Equal(a.V4, b.V4) || !slices.Equal(a.V6, b.V6) || !a.Shares.equal(b.Shares) || !n.SvcParams().equal(o.SvcParams()) || n.hasChildren() != o.hasChildren() {
		return false
	}
	return !n.hasChildren() || a.Endpoints.equal(b.Endpoints)
}

// Entry puts a Node at a name, which is absolute, in lower case, and a wildcard if its first label is "*".
type Entry struct {
	Name string
	Node *Node
}

// Result is the outcome of a lookup.
type Result int

// The Results for a name.
const (
	NameError Result = iota // neither exists nor is covered by a wildcard: NXDOMAIN in a zone
	NoData                  // exists because others exist below it (D12), or is a zone's apex: NODATA
	Found                   // has a Node, or a wildcard stands for it
	NotSynced               // may exist or not: the cluster has not been read yet (D72)
)

// tree is a zone as RFC 4592 defines it: all names from the apex down, with empty non-terminals, as a wildcard's reach
// depends on every name that exists (§2.2.2, §3.3.1). It is immutable.
type tree struct {
	apex string // "." for one without a zone
	names
}

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

// existing is a name that exists. Without a node it is an empty non-terminal.
type existing struct {
	node     *Node
	wildcard *Node // node of the name "*" directly below, the source of synthesis (RFC 4592 §3.3.1); nil if there is no such name
	children int32 // number of names that exist directly below
	kept     bool  // exists even without a node and children
}

// nothing is the node of a wildcard that is an empty non-terminal.
var nothing = &Node{}

// Transparent is the Node of a name outside the zones that exists only because of names below it, directly below a
// wildcard's parent. That wildcard covers it, and what does not exist below it, as if it did not exist (C7b).
var Transparent = &Node{}

// lookup looks up a canonical name below the apex by RFC 4592 §3.3: the name itself, else the wildcard directly below its
// closest encloser (D10–D14). Names below a Service's take precedence over claims on the same names (C1).
func (t *tree) lookup(name string) (Result, *Node) {
	e, exists := t.get(name)
	if exists && (e.node == nil || !e.node.NamesBelow) {
		if result, node := t.belowService(name); result != NameError {
			return result, node
		}
	}
	absent := NameError
	if exists {
		if absent = NoData; !t.passes(e) {
			return found(e.node)
		}
	}
	hidden := exists && e.node != Transparent
	for offset, end := dns.NextLabel(name, 0); !end; offset, end = dns.NextLabel(name, offset) {
		encloser, ok := t.get(name[offset:])
		if !ok {
			continue
		}
		if encloser.node != nil && encloser.node.NamesBelow {
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

// passes reports whether wildcards further up may cover this name: outside the zones, if only names below make it exist.
func (t *tree) passes(e existing) bool {
	return t.apex == "." && !e.kept && (e.node == nil || e.node == Transparent)
}

func found(node *Node) (Result, *Node) {
	if node == nil || node == nothing {
		return NoData, nil
	}
	return Found, node
}

// belowService looks an existing name up among the endpoints and ports of the nearest Service above it. Outside the zones
// Services have no names.
func (t *tree) belowService(name string) (Result, *Node) {
	if t.apex == "." {
		return NameError, nil
	}
	for offset, end := dns.NextLabel(name, 0); !end && len(name)-offset >= len(t.apex); offset, end = dns.NextLabel(name, offset) {
		if above, _ := t.get(name[offset:]); above.node != nil && above.node.NamesBelow {
			result, node, _ := above.node.below(name[:offset-1])
			return result, node
		}
	}
	return NameError, nil
}

// records yields every name with data, including those below the Services' names.
func (t *tree) records() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for name, e := range t.all() {
			if e.node == nil {
				continue
			}
			if _, node := t.lookup(name); node != e.node {
				continue // a claim on a name that a Service has below its own
			}
			if !yield(Entry{name, e.node}) {
				return
			}
			if !e.node.NamesBelow {
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
