// Package probe finds out which endpoints accept TCP connections, long before the cluster notices that a node is dead.
// The translator chooses the endpoints to probe, and leaves the unhealthy ones out of the answers.
package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the interval.
const (
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Minute
	DefaultInterval = time.Second
)

// Target is an endpoint to probe.
type Target struct {
	Addr netip.AddrPort
	Node string // that it runs on, "" if unknown
}

// Change is an endpoint that has become unhealthy, or healthy again.
type Change struct {
	Target
	Unhealthy bool
	Reason    error // why it is unhealthy, or is taken for healthy though it has not accepted a connection
}

// Observer receives the results of the probes. Its methods are called by Run, one after the other.
type Observer interface {
	// Changed reports an endpoint whose health has changed.
	Changed(Change)
	// NodeChanged reports a node that has gone down, or is no longer down (L7).
	NodeChanged(NodeChange)
	// OthersAnswer reports endpoints that have never answered and may be blocked: another one of their node now answers.
	OthersAnswer([]Target)
	// NodesUnreachable reports that no endpoint has ever answered on any node, or on any but one: there is no route to
	// them from here. It gets one endpoint of each such node, sorted by node. If it returns false, as the state of the
	// nodes may be out of date, it is called again after an interval if that still holds.
	NodesUnreachable([]Target) bool
	// LocalError reports, once, an error of this machine that prevents probes. It says nothing about endpoints.
	LocalError(error)
}

// Prober probes endpoints. It is safe for concurrent use.
type Prober struct {
	observer Observer
	wake     chan struct{} // holds a token when there may be something to do

	mu       sync.Mutex
	schedule *schedule
}

// New returns a Prober that probes each endpoint once in the interval, from MinInterval to MaxInterval.
func New(interval time.Duration, observer Observer) *Prober {
	return &Prober{observer: observer, wake: make(chan struct{}, 1), schedule: newSchedule(interval)}
}

func (p *Prober) with(f func(s *schedule)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p.schedule)
}

// Inherit takes over the results of another Prober, which this one replaces: its unhealthy endpoints are unhealthy here
// once added, and nodes that it has reached or reported are not reported again. It is called before Run.
func (p *Prober) Inherit(other *Prober) {
	other.with(func(from *schedule) { p.with(func(s *schedule) { s.inherit(from) }) })
}

// Add has an endpoint probed, until it has been removed as often as added.
func (p *Prober) Add(t Target) { p.change(func(s *schedule) { s.add(t) }) }

// SetNode sets the node of an endpoint that has been added.
func (p *Prober) SetNode(t Target) { p.change(func(s *schedule) { s.place(t) }) }

// Remove takes back one Add.
func (p *Prober) Remove(addr netip.AddrPort) { p.change(func(s *schedule) { s.remove(addr) }) }

// change changes the endpoints, and wakes Run, as their nodes may have changed with them.
func (p *Prober) change(f func(*schedule)) {
	p.with(f)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Unhealthy reports whether an endpoint is known to accept no connections.
func (p *Prober) Unhealthy(addr netip.AddrPort) (unhealthy bool) {
	p.with(func(s *schedule) {
		e := s.entries[addr]
		unhealthy = e != nil && e.unhealthy
	})
	return unhealthy
}

// NodeDown reports whether a node is down: none of its endpoints answers any longer, and these are two pods at least (L7).
func (p *Prober) NodeDown(node string) (down bool) {
	p.with(func(s *schedule) {
		n := s.byNode[node]
		down = n != nil && n.down
	})
	return down
}

// Blocked reports whether none of the endpoints has ever answered, though another one on a node of theirs does: something
// between this machine and the endpoints drops the probes.
func (p *Prober) Blocked(targets []Target) (blocked bool) {
	p.with(func(s *schedule) { blocked = s.blocked(targets) })
	return blocked
}

// Run probes until the context ends.
func (p *Prober) Run(ctx context.Context) {
	defer p.with((*schedule).stop)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		if pause, more := p.step(time.Now()); more {
			timer.Reset(pause)
		}
	}
}

// step does what is due, and returns what pause does.
func (p *Prober) step(now time.Time) (pause time.Duration, more bool) {
	var changes []Change
	var localErr error
	var nodes []NodeChange
	var blocked []Target
	var unreached [][]Target
	p.with(func(s *schedule) {
		changes, localErr = s.step(now)
		nodes, blocked = s.updateNodes()
		unreached = s.unreachedNodes(now)
		pause, more = s.pause(now)
	})
	if localErr != nil {
		p.observer.LocalError(localErr)
	}
	for _, change := range changes {
		p.observer.Changed(change)
	}
	for _, change := range nodes {
		p.observer.NodeChanged(change)
	}
	if len(blocked) > 0 {
		p.observer.OthersAnswer(blocked)
	}
	for _, targets := range unreached {
		if p.observer.NodesUnreachable(targets) {
			p.with(func(s *schedule) { s.nodes.settled[targets[0].family()] = true })
		}
	}
	return pause, more
}
