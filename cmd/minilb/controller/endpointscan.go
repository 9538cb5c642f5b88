package controller

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

// setupDelay is how long an object is most often being set up. After it the endpoints of a new or changed Service are read, as
// its pods have started by then, and hosts that lead nowhere and ends of problems are reported. Tests set it when they link.
var setupDelay = "30s"

const (
	// scanInterval is how often all endpoints are read while there are Services of ours: no Service changes when a node loses
	// its podCIDRs, or when pods move. With setupDelay, problems are reported within ten minutes. A scan of 10,000 Services with
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
	delay time.Duration // setupDelay
	next  time.Duration // when the next scan is due after the last one if no Service changes
	empty sync.Map      // since when a Service of ours has no endpoint, as far as is known: a time.Time by cache.ObjectName
}

// changed makes a scan due if that can find other problems of a Service than the last one.
func (s *endpointScan) changed(old, new *service) {
	if !new.answered() {
		s.empty.Delete(cmp.Or(old, new).name)
		return
	}
	if !old.answered() || old.uid != new.uid {
		s.empty.Store(new.name, time.Now())
	} else if slices.Equal(old.namedPorts, new.namedPorts) {
		return
	}
	select {
	case s.due <- struct{}{}:
	default:
	}
}

// starving takes whether a scan has found no endpoint of a Service, and reports whether it has had none for setupDelay: pods
// are replaced all the time. It makes the next scan due soon, to report that there are none, or, when there have been none for
// twice as long, that there are some again.
func (s *endpointScan) starving(name cache.ObjectName, none bool) bool {
	if !none {
		s.empty.Delete(name)
		return false
	}
	since, _ := s.empty.LoadOrStore(name, time.Now())
	lasting := time.Since(since.(time.Time))
	s.next = min(s.next, lasting)
	return lasting >= s.delay
}

// scanEndpoints reads the endpoints of our Services until ctx ends: whether routes lead there (R3), whether there are any (D18),
// and which numbers named ports have (S5). It does so soon after a Service has changed, as often as scanShare allows, and every
// scanInterval.
func (c *Controller) scanEndpoints(ctx context.Context) {
	var ended time.Time // of the last scan
	rest := 2 * c.scan.delay
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.scan.due:
			if !sleep(ctx, max(c.scan.delay, time.Until(ended.Add(rest)))) {
				return
			}
		case <-time.After(max(rest, c.scan.next)):
			if c.count((*service).answered) == 0 {
				continue
			}
		}
		if !c.waitIdle(ctx) {
			return
		}
		c.scan.next = scanInterval
		began := time.Now()
		if err := c.scanOnce(ctx); err != nil {
			c.log.Debug("endpoints not read: " + err.Error())
		}
		ended = time.Now()
		rest = min(max(2*c.scan.delay, scanShare*ended.Sub(began)), scanInterval)
	}
}
