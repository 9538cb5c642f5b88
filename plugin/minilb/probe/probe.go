// Package probe finds out which endpoints accept TCP connections, long before a cluster takes
// notice of a node that is dead. It knows addresses and nothing of what stands behind them; package
// source says which ones to probe and leaves those that are suspect out of the answers.
package probe

import (
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
