package probe

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxTimeout bounds the time that a connection may take, which is half the interval.
	maxTimeout = time.Second
	// failures in a row make an endpoint unhealthy. One success makes it healthy again.
	failures = 2
	// maxInFlight bounds the connections that are being made, as does a quarter of the files that may be open; maxRate
	// bounds those begun in a second. Beyond that, endpoints are probed less often. A dead one takes two connections.
	maxInFlight = 1024
	maxRate     = 2000
	// inheritedFor is for how long the results of another Prober count for endpoints that are added.
	inheritedFor = time.Minute
	// The probes are spread over so many ticks of the interval, within these bounds.
	ticks            = 20
	minTick, maxTick = 5 * time.Millisecond, 50 * time.Millisecond
	// stride is the distance in slots of endpoints added one after the other: a prime above their number, to use all.
	stride = 7873
)

// schedule holds the endpoints and the probes in flight. It is not safe for concurrent use.
type schedule struct {
	interval, timeout, tick time.Duration
	sockets                 sockets
	room                    int // connections at a time
	begun                   time.Time

	entries   map[netip.AddrPort]*entry
	slots     [][]*entry // by the tick within the interval at which they are due
	next      int        // slot of the next entry
	turn      int64      // the last tick whose slot has been collected
	waiting   []*entry   // due, the first one first
	flying    []flight
	retries   []retry
	inherited map[netip.AddrPort]entry // as another Prober knew them
	nodes     nodes
	byNode    map[string]*nodeState
	stale     map[string]bool // nodes whose state is to be updated
	changes   []Change        // of this step
	impeded   bool            // an error of this machine has been reported
}

type entry struct {
	Target
	users     int // how many want it to be probed; 0 once nobody does
	slot      int
	at        int  // index in the slot
	reached   bool // its host has answered, be it by refusing
	unhealthy bool
	silent    bool // unhealthy, and the last probe was not refused
	inherited bool // unhealthy by another Prober
	failed    int  // times in a row
	busy      bool // in flight, waiting or to be retried
}

type flight struct {
	*entry
	socket int
	began  time.Time
}

type retry struct {
	*entry
	at time.Time
}

func newSchedule(interval time.Duration) *schedule {
	s := &schedule{
		interval:  interval,
		timeout:   min(interval/2, maxTimeout),
		tick:      min(max(interval/ticks, minTick), maxTick),
		sockets:   newSockets(),
		room:      max(min(maxInFlight, openFiles()/4), 1),
		begun:     time.Now(),
		entries:   map[netip.AddrPort]*entry{},
		inherited: map[netip.AddrPort]entry{},
		byNode:    map[string]*nodeState{},
		stale:     map[string]bool{},
		nodes:     nodes{settled: map[family]bool{}, reached: map[site]bool{}},
	}
	s.slots = make([][]*entry, s.interval/s.tick)
	return s
}

func (s *schedule) inherit(from *schedule) {
	for addr, e := range from.entries {
		if e.unhealthy || e.reached {
			s.inherited[addr] = *e
		}
	}
	maps.Copy(s.nodes.settled, from.nodes.settled)
	maps.Copy(s.nodes.reached, from.nodes.reached)
}

func (s *schedule) add(t Target) {
	if e := s.entries[t.Addr]; e != nil {
		e.users++
		s.place(t)
		return
	}
	e := &entry{Target: t, users: 1, slot: s.next, at: len(s.slots[s.next])}
	if was, known := s.inherited[t.Addr]; known {
		e.reached, e.unhealthy, e.silent, e.inherited = was.reached, was.unhealthy, was.silent, was.unhealthy
		if e.unhealthy {
			e.failed = failures
		}
		s.nodes.note(e)
		delete(s.inherited, t.Addr)
	}
	s.entries[t.Addr] = e
	s.join(e)
	s.slots[e.slot] = append(s.slots[e.slot], e)
	s.next = (s.next + stride) % len(s.slots)
}

// place sets the node of an endpoint. Who does not know the node takes it from nobody who does.
func (s *schedule) place(t Target) {
	if e := s.entries[t.Addr]; e != nil && t.Node != "" && t.Node != e.Node {
		s.leave(e)
		e.Node = t.Node
		s.join(e)
		s.nodes.note(e)
	}
}

func (s *schedule) remove(addr netip.AddrPort) {
	e := s.entries[addr]
	if e == nil {
		return
	}
	if e.users--; e.users > 0 {
		return
	}
	delete(s.entries, addr)
	s.leave(e)
	slot := s.slots[e.slot]
	last := slot[len(slot)-1]
	slot[e.at], last.at = last, e.at
	slot[len(slot)-1] = nil
	s.slots[e.slot] = slot[:len(slot)-1]
}

// pause returns for how long there is nothing to do, false for ever.
func (s *schedule) pause(now time.Time) (time.Duration, bool) {
	if len(s.flying)+len(s.waiting)+len(s.retries) > 0 {
		return s.tick, true
	}
	for ahead := range int64(len(s.slots)) {
		if turn := s.turn + 1 + ahead; len(s.slots[turn%int64(len(s.slots))]) > 0 {
			return max(s.begun.Add(time.Duration(turn)*s.tick).Sub(now), 0), true
		}
	}
	return 0, false
}

// step does what is due, and returns the endpoints whose health has changed and, once, the first
// error of this machine that has prevented a probe.
func (s *schedule) step(now time.Time) (changes []Change, localErr error) {
	s.changes = nil
	s.finish(now)
	s.collect(now)
	localErr = s.launch(now)
	return s.changes, localErr
}

// finish concludes the probes in flight. An answer counts even after the timeout: this process may have been held up.
func (s *schedule) finish(now time.Time) {
	outcomes := s.sockets.outcomes(s.flying)
	rest := s.flying[:0]
	for i, f := range s.flying {
		err := outcomes[i]
		if err == errPending {
			if now.Sub(f.began) < s.timeout {
				rest = append(rest, f)
				continue
			}
			err = fmt.Errorf("no answer within %v", s.timeout)
		}
		s.sockets.close(f.socket)
		s.conclude(f.entry, f.began, err)
	}
	clear(s.flying[len(rest):])
	s.flying = rest
}

func (s *schedule) conclude(e *entry, began time.Time, err error) {
	e.busy = false
	if e.users == 0 {
		return
	}
	if !e.reached && (err == nil || refused(err)) {
		e.reached = true
		s.nodes.note(e)
		s.markStale(e)
	}
	switch {
	case err == nil:
		e.failed = 0
		s.setHealth(e, false, nil)
	case e.failed+1 >= failures:
		e.failed = failures
		s.setHealth(e, true, err)
	default:
		e.failed++
		e.busy = true
		s.retries = append(s.retries, retry{e, began.Add(s.interval / 2)})
	}
}

func (s *schedule) setHealth(e *entry, unhealthy bool, reason error) {
	if silent := unhealthy && !refused(reason); e.silent != silent {
		e.silent = silent
		s.markStale(e)
	}
	if e.unhealthy != unhealthy {
		e.unhealthy = unhealthy
		s.changes = append(s.changes, Change{e.Target, unhealthy, reason})
	}
}

func (s *schedule) collect(now time.Time) {
	s.retries = slices.DeleteFunc(s.retries, func(r retry) bool {
		due := !now.Before(r.at)
		if due {
			s.waiting = append(s.waiting, r.entry)
		}
		return due
	})
	if now.Sub(s.begun) > inheritedFor {
		s.inherited = nil
	}
	turn, all := int64(now.Sub(s.begun)/s.tick), int64(len(s.slots))
	for t := max(s.turn+1, turn-all+1); t <= turn; t++ {
		for _, e := range s.slots[t%all] {
			if !e.busy {
				e.busy = true
				s.waiting = append(s.waiting, e)
			}
		}
	}
	s.turn = max(s.turn, turn)
}

func (s *schedule) launch(now time.Time) (localErr error) {
	quota := max(int(maxRate*s.tick/time.Second), 1)
	done := 0
	for _, e := range s.waiting {
		if quota == 0 || len(s.flying) == s.room {
			break
		}
		done++
		if e.users == 0 {
			continue
		}
		quota--
		socket, err := s.sockets.connect(e.Addr)
		switch {
		case err == nil:
			s.flying = append(s.flying, flight{e, socket, now})
		case local(err):
			if !s.impeded {
				s.impeded, localErr = true, err
			}
			s.skip(e, err)
		default:
			s.conclude(e, now, err)
		}
	}
	s.waiting = append(s.waiting[:0], s.waiting[done:]...)
	return localErr
}

// skip records that an error of this machine prevented a probe. When that has happened as often as makes an endpoint
// unhealthy, it counts as healthy: it could not prove itself.
func (s *schedule) skip(e *entry, err error) {
	e.busy = false
	if e.failed = max(e.failed-1, 0); e.failed == 0 {
		s.setHealth(e, false, err)
	}
}

func (s *schedule) stop() {
	for _, f := range s.flying {
		s.sockets.close(f.socket)
	}
	s.sockets.stop()
}
