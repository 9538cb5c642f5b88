package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

// scanDelay is after what time the endpoints of a new or changed Service are read: its pods have
// started by then. It is a variable for tests, which set it when they link.
var scanDelay = "30s"

const (
	// scanInterval is how often all endpoints are read while there are Services of ours: no Service changes when
	// a node loses its podCIDRs, or when pods move. Problems are reported within ten
	// minutes, which includes scanDelay, and some seconds for reading and writing. At 10,000 Services
	// with 10 endpoints each it takes a third of a second of CPU, 0.6 millicores.
	scanInterval = 9 * time.Minute
	// scanShare is the inverse of the share of time for scans because of new Services: one that took a
	// third of a second is not followed by another one for six minutes.
	scanShare = 1000
	// scanTimeout is how long reading may take.
	scanTimeout = 5 * time.Minute
)

// endpointScan decides when all endpoints are read.
type endpointScan struct {
	due   chan struct{} // holds a token while there are Services that no scan has seen as they are
	delay time.Duration // scanDelay

	mu    sync.Mutex
	known map[cache.ObjectName]*service  // Services that are ours
	empty map[cache.ObjectName]time.Time // since when they have no endpoint, as far as is known
	next  time.Duration                  // when the next scan is due if no Service changes
}

func newEndpointScan() (*endpointScan, error) {
	delay, err := time.ParseDuration(scanDelay)
	if err != nil {
		return nil, fmt.Errorf("delay of scans: %w", err)
	}
	return &endpointScan{
		due: make(chan struct{}, 1), delay: delay,
		known: map[cache.ObjectName]*service{}, empty: map[cache.ObjectName]time.Time{}, next: scanInterval,
	}, nil
}

// forget drops a Service that is not ours, or no longer.
func (s *endpointScan) forget(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
	delete(s.empty, name)
}

// note takes a Service that is ours, and makes a scan due if that can find other problems than the last one.
func (s *endpointScan) note(now *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.known[now.name]
	s.known[now.name] = now
	if last == nil || last.uid != now.uid {
		s.empty[now.name] = time.Now()
	}
	if last == nil || last.uid != now.uid || !slices.Equal(last.namedPorts(), now.namedPorts()) {
		s.trigger()
	}
}

// trigger makes a scan due.
func (s *endpointScan) trigger() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// starving reports whether a Service in which a scan has found no endpoint has had none for scanDelay: pods are
// replaced all the time. It makes a scan due soon, to report that there are none, or, when there have been none for twice
// as long, that there are some again.
func (s *endpointScan) starving(name cache.ObjectName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[name] == nil {
		return false
	}
	since, empty := s.empty[name]
	if !empty {
		s.empty[name] = time.Now()
	}
	if !empty || time.Since(since) < s.delay {
		s.trigger()
		return false
	}
	s.next = min(s.next, time.Since(since))
	return true
}

// fed notes that a scan has found an endpoint of a Service.
func (s *endpointScan) fed(name cache.ObjectName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.empty, name)
}

// pause returns when the next scan is due if no Service changes, and resets that.
func (s *endpointScan) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next
	s.next = scanInterval
	return next
}

// scanEndpoints reads the endpoints of our Services until ctx ends: whether routes lead there
// (R3), whether there are any (D18), and which numbers named ports have (S5). It does so soon after a Service
// is new or has changed, as often as scanShare allows, and every scanInterval.
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
