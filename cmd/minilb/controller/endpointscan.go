package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

// scanDelay is after what time the endpoints of a new or changed Service are read: its pods have started by then. Tests set
// it when they link.
var scanDelay = "30s"

const (
	// scanInterval is how often all endpoints are read while there are Services of ours: no Service changes when a node loses
	// its podCIDRs, or when pods move. With scanDelay, problems are reported within ten minutes. A scan of 10,000 Services with
	// 10 endpoints each takes a third of a second of CPU.
	scanInterval = 9 * time.Minute
	// scanShare is the inverse of the share of time for scans because of new Services: one that took a third of a second is not
	// followed by another one for six minutes.
	scanShare   = 1000
	scanTimeout = 5 * time.Minute
)

// endpointScan decides when all endpoints are read.
type endpointScan struct {
	due   chan struct{} // holds a token while there are Services that no scan has seen as they are
	delay time.Duration // scanDelay

	mu    sync.Mutex
	known map[cache.ObjectName]*scanned // Services that are ours
	next  time.Duration                 // when the next scan is due if no Service changes
}

// scanned is a Service that is ours.
type scanned struct {
	*service
	empty time.Time // since when it has no endpoint, as far as is known; zero if it has
}

func (s *endpointScan) forget(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
}

// note takes a Service that is ours, and makes a scan due if that can find other problems than the last one.
func (s *endpointScan) note(now *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.known[now.name]
	if last == nil || last.uid != now.uid {
		last = &scanned{&service{}, time.Now()}
		s.trigger()
	} else if !slices.Equal(last.namedPorts, now.namedPorts) {
		s.trigger()
	}
	s.known[now.name] = &scanned{now, last.empty}
}

func (s *endpointScan) trigger() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// starving takes whether a scan has found no endpoint of a Service, and reports whether it has had none for scanDelay: pods
// are replaced all the time. It makes a scan due soon, to report that there are none, or, when there have been none for twice
// as long, that there are some again.
func (s *endpointScan) starving(name cache.ObjectName, none bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known[name]
	switch {
	case known == nil:
		return false
	case !none:
		known.empty = time.Time{}
		return false
	case known.empty.IsZero():
		known.empty = time.Now()
	}
	lasting := time.Since(known.empty)
	if lasting < s.delay {
		s.trigger()
		return false
	}
	s.next = min(s.next, lasting)
	return true
}

// pause returns when the next scan is due if no Service changes, and resets that.
func (s *endpointScan) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next
	s.next = scanInterval
	return next
}

// scanEndpoints reads the endpoints of our Services until ctx ends: whether routes lead there (R3), whether there are any (D18),
// and which numbers named ports have (S5). It does so soon after a Service has changed, as often as scanShare allows, and every
// scanInterval.
func (c *Controller) scanEndpoints(ctx context.Context) {
	var ended time.Time // of the last scan
	var took time.Duration
	for {
		rest := min(max(2*c.scan.delay, scanShare*took), scanInterval)
		pause := max(rest, c.scan.pause())
		select {
		case <-ctx.Done():
			return
		case <-c.scan.due:
			if !sleep(ctx, max(c.scan.delay, time.Until(ended.Add(rest)))) {
				return
			}
		case <-time.After(pause):
			if c.count((*service).ours) == 0 {
				continue
			}
		}
		if !c.waitIdle(ctx) {
			return
		}
		began := time.Now()
		if err := c.scanOnce(ctx); err != nil {
			c.log.Debug("endpoints not read: " + err.Error())
		}
		ended = time.Now()
		took = ended.Sub(began)
	}
}
