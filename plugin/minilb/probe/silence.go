package probe

import (
	"maps"
	"slices"
)

// nodeState is the endpoints on a node, and what they say about it.
type nodeState struct {
	entries map[*entry]bool
	answers map[family]bool // an endpoint of the family answers
	down    bool            // L7
}

// NodeChange is a node that has gone down, or is no longer down.
type NodeChange struct {
	Node string
	Down bool
}

// neverAnswered reports whether the endpoint has been silent from the start on.
func (e *entry) neverAnswered() bool { return e.silent && !e.reached }

// answers reports whether the endpoint's host has answered, and still does. Before its first answer it says nothing.
func (e *entry) answers() bool { return e.reached && !e.silent }

// join adds an endpoint to those of its node.
func (s *schedule) join(e *entry) {
	if e.Node == "" {
		return
	}
	n := s.byNode[e.Node]
	if n == nil {
		n = &nodeState{entries: map[*entry]bool{}, answers: map[family]bool{}}
		s.byNode[e.Node] = n
	}
	n.entries[e] = true
	s.markStale(e)
}

func (s *schedule) leave(e *entry) {
	if n := s.byNode[e.Node]; n != nil {
		delete(n.entries, e)
		s.markStale(e)
	}
}

func (s *schedule) markStale(e *entry) {
	if e.Node != "" {
		s.stale[e.Node] = true
	}
}

// updateNodes updates the nodes whose endpoints have changed since the last step. It returns the nodes that have gone down or
// are no longer down, and the endpoints that have never answered, on nodes where another endpoint of their family now does.
func (s *schedule) updateNodes() (changes []NodeChange, blocked []Target) {
	for _, name := range slices.Sorted(maps.Keys(s.stale)) {
		n := s.byNode[name]
		before, down := n.answers, n.down
		n.update()
		if n.down != down {
			changes = append(changes, NodeChange{name, n.down})
		}
		for e := range n.entries {
			if e.neverAnswered() && !e.inherited && n.answers[e.family()] && !before[e.family()] {
				blocked = append(blocked, e.Target)
			}
		}
		if len(n.entries) == 0 {
			delete(s.byNode, name)
		}
	}
	clear(s.stale)
	return changes, blocked
}

// update implements L7: a node is down if none of its endpoints answers, and two pods at least have fallen silent. Their
// number is that of addresses in one family: one pod may have several ports, and two addresses.
func (n *nodeState) update() {
	n.answers, n.down = map[family]bool{}, false
	silent := map[family]*entry{}
	for e := range n.entries {
		switch f := e.family(); {
		case e.answers():
			n.answers[f] = true
		case !e.reached: // a NetworkPolicy may be the reason
		case silent[f] == nil:
			silent[f] = e
		case silent[f].Addr.Addr() != e.Addr.Addr():
			n.down = true
		}
	}
	n.down = n.down && len(n.answers) == 0
}

// blocked reports whether none of the endpoints has ever answered, though another one on a node of theirs does.
func (s *schedule) blocked(targets []Target) (blocked bool) {
	for i := range targets {
		e := s.entries[targets[i].Addr]
		if e == nil || !e.neverAnswered() {
			return false
		}
		n := s.byNode[e.Node]
		blocked = blocked || n != nil && n.answers[e.family()]
	}
	return blocked
}
