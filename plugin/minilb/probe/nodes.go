package probe

import (
	"maps"
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
	reached, pending := map[string]bool{}, false
	examples := map[string]Target{}
	for _, e := range s.entries {
		switch {
		case e.Node == "" || e.family() != f:
			continue
		case s.nodes.reached[site{e.Node, f}]:
			reached[e.Node] = true
			continue
		case !e.reached && !e.unhealthy:
			pending = true
		}
		if example, known := examples[e.Node]; !known || e.Addr.Addr().Less(example.Addr.Addr()) {
			examples[e.Node] = e.Target
		}
	}
	if len(reached) > 1 || pending {
		return nil, len(reached) > 1
	}
	return slices.SortedFunc(maps.Values(examples), func(a, b Target) int { return strings.Compare(a.Node, b.Node) }), false
}
