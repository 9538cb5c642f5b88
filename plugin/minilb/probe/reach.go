package probe

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// site is a node in one family.
type site struct {
	node string
	six  bool
}

func (e *entry) site() site { return site{e.Node, e.Addr.Addr().Is6()} }

// note takes down that a node has been reached, as its endpoints come and go. It is called with the
// lock held.
func (p *Prober) note(e *entry) {
	if at := e.site(); e.reached && e.Node != "" && !p.told[at.six] {
		p.reached[at] = true
	}
}

// Place tells on which node an endpoint is that has been added.
func (p *Prober) Place(t Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[t.Addr]; e != nil {
		p.place(e, t.Node)
	}
}

// place is called with the lock held. Who does not know the node takes it from nobody who does.
func (p *Prober) place(e *entry, node string) {
	if node != "" && e.Node != node {
		e.Node = node
		p.note(e)
	}
}

// onNode is what is known of the endpoints of one node in one family.
type onNode struct {
	reached bool // one of them has answered
	pending bool // one of them has not been judged yet
	example Target
}

// lookAtNodes finds out whether there is no way from here to the nodes. An outage is no sign of
// that: it begins with nodes that have been reached, however much comes and goes on them while it
// lasts. It looks once in the interval at most, and not at all once it knows.
func (p *Prober) lookAtNodes(now time.Time) {
	if p.told[false] && p.told[true] || now.Sub(p.looked) < p.interval {
		return
	}
	p.looked = now
	for _, six := range []bool{false, true} {
		if p.told[six] {
			continue
		}
		unreached, reached := p.unreached(six)
		if reached || unreached != nil && p.observer.Unreached(unreached) {
			p.mu.Lock() // another Prober may be about to follow
			p.told[six] = true
			p.mu.Unlock()
		}
	}
}

// unreached returns an endpoint of each node of which none has ever answered, in order, if these
// are all nodes but one at most, and whether more than one has answered.
func (p *Prober) unreached(six bool) (targets []Target, several bool) {
	reached, pending := 0, false
	for _, n := range p.nodes(six) {
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

// nodes returns what is known of the nodes that have endpoints of a family.
func (p *Prober) nodes(six bool) []*onNode {
	p.mu.Lock()
	defer p.mu.Unlock()
	byName := map[string]*onNode{}
	for _, e := range p.entries {
		if e.Node == "" || e.Addr.Addr().Is6() != six {
			continue
		}
		n := byName[e.Node]
		if n == nil {
			n = &onNode{reached: p.reached[e.site()], example: e.Target}
			byName[e.Node] = n
		}
		n.pending = n.pending || !e.reached && !e.suspect
		if e.Addr.Addr().Less(n.example.Addr.Addr()) {
			n.example = e.Target
		}
	}
	return slices.Collect(maps.Values(byName))
}
