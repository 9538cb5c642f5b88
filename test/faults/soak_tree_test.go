package faults_test

import (
	"slices"
	"strings"
)

// soakTree is a zone by names. Those above a name exist, too.
type soakTree struct {
	apex  string
	nodes map[string]soakNode
	above map[string]bool // empty non-terminals, and names with data that have others below them
	// under has the namespaces of the names below each, outside the zones.
	under map[string]map[string]bool
}

// soakNode is the data of a name by type, as verdicts write it.
type soakNode struct {
	data  map[uint16][]string
	extra map[uint16][]string // what is to be added to it
	alias string              // a name outside of all that is known here
	owner string              // the namespace that claims it
}

func newSoakTree(apex string) *soakTree {
	t := &soakTree{apex: apex, nodes: map[string]soakNode{}, above: map[string]bool{}, under: map[string]map[string]bool{}}
	if apex != "." {
		t.above[apex] = true
	}
	return t
}

func (t *soakTree) put(name string, node soakNode) {
	t.nodes[name] = node
	for name != t.apex {
		_, rest, _ := strings.Cut(name, ".")
		if name = rest; name == "" {
			return
		}
		t.above[name] = true
		if t.under[name] == nil {
			t.under[name] = map[string]bool{}
		}
		t.under[name][node.owner] = true
	}
}

// find is RFC 4592 §4.3.2 without delegations (D10–D14).
func (t *soakTree) find(name string) (node soakNode, exists bool) {
	if node, ok := t.nodes[name]; ok {
		return node, true
	}
	if t.above[name] {
		return soakNode{}, true
	}
	for encloser := name; encloser != ""; {
		_, encloser, _ = strings.Cut(encloser, ".")
		wildcard := "*." + encloser
		if _, ok := t.nodes[encloser]; ok || t.above[encloser] {
			node, ok := t.nodes[wildcard]
			return node, ok || t.above[wildcard]
		}
	}
	return soakNode{}, false
}

// findClaimed is the same where nobody has a zone, but that what others have below a name makes it exist for no
// wildcard (C7b). A name without data is none, as nothing is answered for it (D3).
func (t *soakTree) findClaimed(name string) (node soakNode, exists bool) {
	if node, ok := t.nodes[name]; ok {
		return node, true
	}
	between := []string{name}
	for encloser := name; encloser != ""; between = append(between, encloser) {
		_, encloser, _ = strings.Cut(encloser, ".")
		node, ok := t.nodes["*."+encloser]
		if !ok {
			continue
		}
		return node, !slices.ContainsFunc(between, func(name string) bool {
			_, claimed := t.nodes[name]
			return claimed || t.under[name][node.owner]
		})
	}
	return soakNode{}, false
}
