package probe

import (
	"context"
	"fmt"
	"time"
)

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
