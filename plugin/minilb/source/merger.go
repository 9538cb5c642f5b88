package source

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// atOnce is up to how many endpoints and ports a Service's addresses are merged within the event of
// a slice. Those of a larger one, which take longer than other events may wait, are merged aside, and
// events that come meanwhile coalesce.
const atOnce = 2048

// merger merges the slices of large Services, one Service at a time.
type merger struct {
	due  map[cache.ObjectName]int64 // Services, and when the last of their changes was triggered of which that is known, in Unix nanoseconds, 0 if of none
	wake chan struct{}              // holds a token while there may be some
	busy sync.Mutex
}

func newMerger() merger {
	return merger{due: map[cache.ObjectName]int64{}, wake: make(chan struct{}, 1)}
}

// update lets the addresses of a Service follow its slices, at once, or soon if it is large. A Service
// that is not exposed has none. It is called with the lock held.
func (t *Translator) update(service cache.ObjectName, triggered int64) {
	e := t.exposed[service]
	if e == nil || t.claimsOnly {
		return
	}
	t.changes++
	size := strings.Count(e.Named, ".")
	for _, s := range t.slicesOf[service] {
		size += s.Endpoints.Len() + len(s.Ports)
	}
	if size > atOnce {
		t.merger.due[service] = cmp.Or(triggered, t.merger.due[service])
		select {
		case t.merger.wake <- struct{}{}:
		default:
		}
		return
	}
	delete(t.merger.due, service)
	e.asOf = t.changes
	u, states := t.answering(service, e, t.slicesOf[service])
	t.store(service, e, addressesOf(&t.options, &u, e.ServicePorts), states, triggered)
}

// answering returns the entries of the slices that an exposed Service is to be answered with, and
// that are trusted. It is called with the lock held.
func (t *Translator) answering(service cache.ObjectName, e *exposure, slicesOf []*object.EndpointSlice) (usable, states) {
	u, states := usableOf(slicesOf)
	if t.probing != nil {
		t.trust(service, e, &u, &states)
	}
	return u, states
}

// store puts addresses that were merged into the Service's set, and lets it have its names once that
// was done. It is called with the lock held.
func (t *Translator) store(service cache.ObjectName, e *exposure, addrs *records.Addresses, states states, triggered int64) {
	if t.refresh(service, e, addrs, states) && triggered != 0 && synced(t.slices) {
		t.observe(time.Since(time.Unix(0, triggered)))
	}
	if !e.merged {
		e.merged = true
		t.rename(service)
	}
}

// mergeDue merges the Services that are due when it is called, without the lock but to look for what
// there is and to store what came of it. A Service that changes meanwhile is due again.
func (t *Translator) mergeDue() {
	t.merger.busy.Lock()
	defer t.merger.busy.Unlock()
	t.mu.Lock()
	due := slices.SortedFunc(maps.Keys(t.merger.due), byName)
	t.mu.Unlock()
	for _, service := range due {
		t.mergeAside(service)
	}
}

func (t *Translator) mergeAside(service cache.ObjectName) {
	t.mu.Lock()
	triggered, isDue := t.merger.due[service]
	delete(t.merger.due, service)
	e, asOf := t.exposed[service], t.changes
	if e == nil || !isDue {
		t.mu.Unlock()
		return
	}
	slicesOf, offered := slices.Clone(t.slicesOf[service]), e.ServicePorts
	var u usable
	var states states
	if t.probing != nil { // which keeps account of what is probed
		u, states = t.answering(service, e, slicesOf)
	}
	t.mu.Unlock()

	if t.probing == nil {
		u, states = usableOf(slicesOf)
	}
	addrs := addressesOf(&t.options, &u, offered)

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exposed[service] == e && e.asOf <= asOf { // else it has become small, and was merged at once
		e.asOf = asOf
		t.store(service, e, addrs, states, triggered)
	}
}

// runMerger merges whatever is due until the context is cancelled.
func (t *Translator) runMerger(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.merger.wake:
			t.mergeDue()
		}
	}
}
