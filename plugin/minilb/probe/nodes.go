package probe

import (
	"slices"
	"strings"
	"time"
)

// family is a version of IP: true for IPv6.
type family bool

func (t *Target) family() family { return family(t.Addr.Addr().Is6()) }

type site struct {
	node   string
	family family
}

// nodes holds which nodes have been reached, for each family until it is settled.
type nodes struct {
	settled map[family]bool // some nodes have been reached, or it has been reported that none can be
	reached map[site]bool   // nodes of which an endpoint has answered, though it may be gone
	checked time.Time
}

// note records the node of an endpoint that has answered, as endpoints come and go.
func (n *nodes) note(e *entry) {
	if e.reached && e.Node != "" && !n.settled[e.family()] {
		n.reached[site{e.Node, e.family()}] = true
	}
}

// unreachedNodes returns, for each family that is not settled, an endpoint of each node if there is no route to the
// nodes. An outage differs: it begins with nodes that have been reached. It checks once in the interval at most.
func (s *schedule) unreachedNodes(now time.Time) (unreached [][]Target) {
	n := &s.nodes
	if n.settled[false] && n.settled[true] || now.Sub(n.checked) < s.interval {
		return nil
	}
	n.checked = now
	for _, f := range []family{false, true} {
		if n.settled[f] {
			continue
		}
		targets, several := s.unreached(f)
		if n.settled[f] = several; targets != nil {
			unreached = append(unreached, targets)
		}
	}
	return unreached
}

// unreached returns an endpoint of each node of which none has ever answered, sorted by node, if these are all nodes but
// one at most, and whether more than one has answered.
func (s *schedule) unreached(f family) (targets []Target, several bool) {
	reached, pending := 0, false
	for _, n := range s.onNodes(f) {
		switch {
		case n.reached:
			reached++
		case n.pending:
			pending = true
		default:
			targets = append(targets, n.example)
		}
	}
	if reached > 1 || pending {
		return nil, reached > 1
	}
	slices.SortFunc(targets, func(a, b Target) int { return strings.Compare(a.Node, b.Node) })
	return targets, false
}

type onNode struct {
	reached bool // one of them has answered
	pending bool // the result of one of them is not known yet
	example Target
}

func (s *schedule) onNodes(f family) map[string]*onNode {
	byName := map[string]*onNode{}
	for _, e := range s.entries {
		if e.Node == "" || e.family() != f {
			continue
		}
		n := byName[e.Node]
		if n == nil {
			n = &onNode{reached: s.nodes.reached[site{e.Node, f}], example: e.Target}
			byName[e.Node] = n
		}
		n.pending = n.pending || !e.reached && !e.unhealthy
		if e.Addr.Addr().Less(n.example.Addr.Addr()) {
			n.example = e.Target
		}
	}
	return byName
}
