// Package probe finds out which endpoints accept TCP connections, long before a cluster takes
// notice of a node that is dead. It knows addresses and nothing of what stands behind them; package
// source says which ones to probe and leaves those that are suspect out of the answers.
package probe

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// What an interval may be.
const (
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Minute
	DefaultInterval = time.Second
)

const (
	// maxTimeout is how long a connection may take at most; else it is half the interval.
	maxTimeout = time.Second
	// failures in a row make an endpoint suspect. One success makes it trusted again.
	failures = 2
	// maxInFlight is how many connections are being made at a time, unless that would take more than
	// a quarter of the files that may be open, and maxRate how many are begun in a second: endpoints
	// beyond that are probed less often than the interval says. One that is dead takes two.
	maxInFlight = 1024
	maxRate     = 2000
	// followed is for how long what another Prober has found out matters to endpoints that are added.
	followed = time.Minute
	// The interval has so many ticks, within these bounds, over which the probes are spread.
	ticks            = 20
	minTick, maxTick = 5 * time.Millisecond, 50 * time.Millisecond
)

// Target is an endpoint to probe.
type Target struct {
	Addr netip.AddrPort
	Node string // that it runs on, "" if unknown
}

// Change is an endpoint that has become suspect, or trusted again.
type Change struct {
	Target
	Suspect bool
	Reason  error // why it is suspect, or trusted though it has not accepted a connection
}

// Observer is told what the probes find out, by one goroutine and one after the other.
type Observer interface {
	// Changed tells of an endpoint that has become suspect or trusted.
	Changed(Change)
	// Unreached tells that of all nodes but one at most no endpoint has ever answered: there is no
	// way to them from here. It gets one endpoint of each such node, in order. While it returns
	// false, as what is known of the nodes may be out of date, it is told again if that is still so.
	Unreached([]Target) bool
	// Impeded tells, once, that probes cannot be made, which says nothing about endpoints.
	Impeded(error)
}

// Prober probes endpoints.
type Prober struct {
	interval, timeout, tick time.Duration
	sockets                 sockets
	room                    int // connections at a time
	observer                Observer
	begun                   time.Time
	wake                    chan struct{} // holds a token when there may be something to do

	// Touched by Run alone.
	flying  []flight
	waiting []*entry // due, the first one first
	retries []retry
	turn    int64     // which tick was the last one
	looked  time.Time // when nodes were last looked at
	impeded bool

	mu      sync.Mutex
	told    map[bool]bool // that nodes cannot be reached, or that some can, by whether it is about IPv6; set by Run alone
	reached map[site]bool // nodes of which an endpoint has answered, until that has been told
	entries map[netip.AddrPort]*entry
	slots   [][]*entry              // by the tick within the interval at which they are probed
	next    int                     // slot of the next entry
	before  map[netip.AddrPort]bool // suspect where others probed before
}

// entry is an endpoint that is probed.
type entry struct {
	Target
	users   int // how many want it to be probed; 0 once nobody does
	slot    int
	at      int  // where in the slot
	reached bool // its host has answered, be it by refusing
	suspect bool
	failed  int  // times in a row
	busy    bool // in flight, waiting or to be tried again; touched by Run alone
}

// flight is a connection that is being made.
type flight struct {
	*entry
	socket int
	began  time.Time
}

// retry is a second attempt.
type retry struct {
	*entry
	at time.Time
}

// New returns a Prober which probes each endpoint once in the interval, from MinInterval to
// MaxInterval. Nothing is probed before Run.
func New(interval time.Duration, observer Observer) *Prober {
	p := &Prober{
		interval: interval,
		timeout:  min(interval/2, maxTimeout),
		tick:     min(max(interval/ticks, minTick), maxTick),
		sockets:  newSockets(),
		room:     max(min(maxInFlight, openFiles()/4), 1),
		observer: observer,
		begun:    time.Now(),
		wake:     make(chan struct{}, 1),
		told:     map[bool]bool{},
		reached:  map[site]bool{},
		entries:  map[netip.AddrPort]*entry{},
		before:   map[netip.AddrPort]bool{},
	}
	p.slots = make([][]*entry, p.interval/p.tick)
	return p
}

// Follow takes over what another Prober, whose place this one takes, has found out: endpoints that
// are suspect there are so here from when they are added, and nodes that it has reached or told of
// are not told of here. It is called before Run.
func (p *Prober) Follow(other *Prober) {
	other.mu.Lock()
	defer other.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for addr, e := range other.entries {
		if e.suspect {
			p.before[addr] = true
		}
	}
	maps.Copy(p.told, other.told)
	maps.Copy(p.reached, other.reached)
}

// Add lets an endpoint be probed, until it has been removed as often as added.
func (p *Prober) Add(t Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[t.Addr]; e != nil {
		e.users++
		p.place(e, t.Node)
		return
	}
	e := &entry{Target: t, users: 1, slot: p.next}
	if e.suspect = p.before[t.Addr]; e.suspect {
		e.failed = failures
		delete(p.before, t.Addr)
	}
	p.next = (p.next + p.stride()) % len(p.slots)
	p.entries[t.Addr] = e
	e.at = len(p.slots[e.slot])
	p.slots[e.slot] = append(p.slots[e.slot], e)
	p.rouse()
}

// stride is how many slots lie between endpoints that are added one after the other. It has no
// divisor in common with their number, so that all have their turn.
func (p *Prober) stride() int {
	n := len(p.slots)
	for stride := max(n*5/8, 1); ; stride++ {
		a, b := n, stride
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return stride
		}
	}
}

// Remove takes back one Add.
func (p *Prober) Remove(addr netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[addr]
	if e == nil {
		return
	}
	if e.users--; e.users > 0 {
		return
	}
	delete(p.entries, addr)
	slot := p.slots[e.slot]
	last := slot[len(slot)-1]
	slot[e.at], last.at = last, e.at
	slot[len(slot)-1] = nil
	p.slots[e.slot] = slot[:len(slot)-1]
}

// Suspect reports whether an endpoint accepts no connections, as far as is known.
func (p *Prober) Suspect(addr netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[addr]
	return e != nil && e.suspect
}

func (p *Prober) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run probes until the context ends.
func (p *Prober) Run(ctx context.Context) {
	defer func() {
		for _, f := range p.flying {
			p.sockets.close(f.socket)
		}
		p.sockets.stop()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		now := time.Now()
		for _, change := range p.step(now) {
			p.observer.Changed(change)
		}
		p.lookAtNodes(now)
		if pause, ok := p.pause(now); ok {
			timer.Reset(pause)
		}
	}
}

// pause returns for how long there is nothing to do, if there ever will be anything.
func (p *Prober) pause(now time.Time) (time.Duration, bool) {
	if len(p.flying)+len(p.waiting)+len(p.retries) > 0 {
		return p.tick, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for ahead := range int64(len(p.slots)) {
		if turn := p.turn + 1 + ahead; len(p.slots[turn%int64(len(p.slots))]) > 0 {
			return max(p.begun.Add(time.Duration(turn)*p.tick).Sub(now), 0), true
		}
	}
	return 0, false
}

// step does what is to be done by now, and returns which endpoints have changed.
func (p *Prober) step(now time.Time) []Change {
	changes := p.settle(now)
	p.collect(now)
	return append(changes, p.launch(now)...)
}

// settle looks what has become of the connections that are being made. What has come in counts
// before the time does that it took: we may have been held up.
func (p *Prober) settle(now time.Time) (changes []Change) {
	outcomes := p.sockets.outcomes(p.flying)
	rest := p.flying[:0]
	for i, f := range p.flying {
		err := outcomes[i]
		if err == errPending {
			if now.Sub(f.began) < p.timeout {
				rest = append(rest, f)
				continue
			}
			err = fmt.Errorf("no answer within %v", p.timeout)
		}
		p.sockets.close(f.socket)
		changes = append(changes, p.conclude(f.entry, f.began, err)...)
	}
	clear(p.flying[len(rest):])
	p.flying = rest
	return changes
}

// conclude takes note of the outcome of one probe.
func (p *Prober) conclude(e *entry, began time.Time, err error) []Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.busy = false
	if e.users == 0 {
		return nil
	}
	if !e.reached && (err == nil || refused(err)) {
		e.reached = true
		p.note(e)
	}
	if err == nil {
		was := e.suspect
		e.failed, e.suspect = 0, false
		if was {
			return []Change{{Target: e.Target}}
		}
		return nil
	}
	if e.failed < failures {
		e.failed++
	}
	switch {
	case e.suspect:
		return nil
	case e.failed == failures:
		e.suspect = true
		return []Change{{Target: e.Target, Suspect: true, Reason: err}}
	}
	e.busy = true
	p.retries = append(p.retries, retry{e, began.Add(p.interval / 2)})
	return nil
}

// collect adds to those that wait whose turn it is.
func (p *Prober) collect(now time.Time) {
	rest := p.retries[:0]
	for _, r := range p.retries {
		if now.Before(r.at) {
			rest = append(rest, r)
		} else {
			p.waiting = append(p.waiting, r.entry)
		}
	}
	clear(p.retries[len(rest):])
	p.retries = rest

	turn := int64(now.Sub(p.begun) / p.tick)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.begun) > followed {
		p.before = nil
	}
	all := int64(len(p.slots))
	for t := max(p.turn+1, turn-all+1); t <= turn; t++ {
		for _, e := range p.slots[t%all] {
			if !e.busy {
				e.busy = true
				p.waiting = append(p.waiting, e)
			}
		}
	}
	p.turn = max(p.turn, turn)
}

// launch begins to connect to those that wait, within the limits.
func (p *Prober) launch(now time.Time) (changes []Change) {
	quota := max(int(maxRate*p.tick/time.Second), 1)
	done := 0
	for _, e := range p.waiting {
		if quota == 0 || len(p.flying) == p.room {
			break
		}
		done++
		if p.abandoned(e) {
			continue
		}
		quota--
		socket, err := p.sockets.connect(e.Addr)
		switch {
		case err == nil:
			p.flying = append(p.flying, flight{e, socket, now})
		case local(err):
			changes = append(changes, p.unable(e, err)...)
		default:
			changes = append(changes, p.conclude(e, now, err)...)
		}
	}
	p.waiting = append(p.waiting[:0], p.waiting[done:]...)
	return changes
}

// abandoned reports whether nobody wants the endpoint to be probed any longer.
func (p *Prober) abandoned(e *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return e.users == 0
}

// unable takes note that a probe could not be made for want of something here. When that has happened
// as often as makes an endpoint suspect, one that is so is trusted: it could not prove itself.
func (p *Prober) unable(e *entry, err error) []Change {
	e.busy = false
	if !p.impeded {
		p.impeded = true
		p.observer.Impeded(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e.failed = max(e.failed-1, 0)
	if e.users == 0 || !e.suspect || e.failed > 0 {
		return nil
	}
	e.suspect = false
	return []Change{{Target: e.Target, Reason: err}}
}
