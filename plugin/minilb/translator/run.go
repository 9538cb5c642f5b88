package translator

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// changed wakes the run loop. A burst of changes coalesces behind what is being published.
func (c *Claims) changed() {
	c.unresolved.Store(true)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// publish resolves the claims that have changed, and gives the problems of all if some may be others than before.
func (c *Claims) publish() {
	all := c.unresolved.Swap(false)
	changes := c.resolve(!c.known(), c.services.takeRenamed())
	if all || len(changes.Come)+len(changes.Gone) > 0 {
		c.onResolved(slices.Concat(c.resolver.Problems(), c.objects, c.cluster.Lint()))
	}
}

// run publishes whenever claims may have changed, until the context is cancelled.
func (c *Claims) run(ctx context.Context, publish func()) {
	begun, pause := false, 200*time.Millisecond
	for {
		var later <-chan time.Time
		if slices.ContainsFunc(c.optional, func(s *informer.Status) bool { return !s.Decided() }) {
			later = time.After(pause) // a watch may become decided without an event
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-later:
		}
		if !begun && !c.settled() {
			continue // D72: nothing may be concluded from a part of the objects
		}
		begun, pause = true, time.Second // kinds that become known later delay nothing (G7)
		publish()
	}
}

// known reports whether the objects of all required watches are known.
func (c *Claims) known() bool {
	return !slices.ContainsFunc(c.required, func(s *informer.Status) bool { return !s.Known() })
}

// settled reports whether each kind is known, or known to be out of reach.
func (c *Claims) settled() bool {
	return !slices.ContainsFunc(slices.Concat(c.required, c.optional), (*informer.Status).Awaited)
}

// leftOut reports whether an object is of a kind that is not listed yet: it does not count, as the list may have an
// older claim (C2).
func (c *Claims) leftOut(kind, namespace string) bool {
	return slices.ContainsFunc(c.pending, func(of *informer.Status) bool {
		return strings.EqualFold(of.Kind, kind) && (of.Namespace == "" || of.Namespace == namespace)
	})
}

// parents returns the kinds that routes attach to, or that decide on it, of which nothing is known, with the namespaces
// that they are read in and the reason. It reports whether that is certain: until then routes are not recomputed.
func (c *Claims) parents() (unavailable map[object.KindName]gateway.Cause, certain bool) {
	unavailable, certain = map[object.KindName]gateway.Cause{}, true
	for _, h := range c.optional {
		switch h.Kind {
		case "node", "ingress", "httproute", "grpcroute", "tlsroute":
			continue
		}
		certain = certain && h.Decided()
		switch name := (object.KindName{Kind: h.Kind, Namespace: h.Namespace}); {
		case h.Known():
		case h.State() == informer.NotServed:
			unavailable[name] = gateway.CauseUnserved
		default:
			unavailable[name] = gateway.CauseUnavailable
		}
	}
	return unavailable, certain
}

// Unsynced returns the kinds of objects that must be known before the zones can be answered for, and are not yet. A kind
// that only adds names, such as Ingress, is left out if the API server refuses to list it, or fails to (G7).
func (c *Claims) Unsynced() []string {
	var kinds []string
	for _, h := range c.required {
		if !h.Known() && !slices.Contains(kinds, h.String()) { // there are two of Services
			kinds = append(kinds, h.String())
		}
	}
	for _, h := range c.optional {
		if h.Awaited() {
			kinds = append(kinds, h.String())
		}
	}
	return kinds
}
