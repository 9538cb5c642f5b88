package source

import (
	"context"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Translator turns the objects of a Watcher into the names of one index. What decides on
// names is published by its run loop; what changes addresses alone goes straight into the
// Service's address set, so that it is answered at once.
type Translator struct {
	options    config.Options
	hooks      Hooks
	index      *records.Index
	reporter   *reporter
	watcher    *Watcher
	claimsOnly bool          // names have no addresses, as nobody asks for them
	wake       chan struct{} // holds a token while names may have changed

	unresolved atomic.Bool // what claims lead to may have changed

	services *services
	watching []*health // the watches of Services
	slices   []*health // and of EndpointSlices
	optional []*health // and of kinds that add names

	mu             sync.Mutex
	annotated      map[cache.ObjectName]*claim.Claim  // of Services
	claims         map[cache.ObjectName]*claim.Claim  // of Ingresses
	gatewayChanges map[object.KindName]gateway.Object // objects of the Gateway API since the last publication; nil for one that went
	stats          Stats

	// What follows is touched by the run loop alone.
	routes      *gateway.Routes
	unavailable map[object.KindName]gateway.Cause // as of when the routes were computed
	routeClaims map[object.KindName][]*claim.Claim
	last        publication
}

// Hooks are called by a Translator; each may be nil.
type Hooks struct {
	// Covered reports whether a name can be asked for at all, as a server block exists for it (D8).
	Covered func(host string) bool
	// OnResolved is given the results of all claims whenever they were resolved, in place of the log
	// lines about those with problems. It must not keep them once it has returned.
	OnResolved func(iter.Seq[claim.Result])
	// ObserveLatency is given, for each change of a Service's endpoints, how long ago it was triggered in the cluster.
	ObserveLatency func(time.Duration)
}

// NewTranslator makes the Watcher, which must not run yet, fill index as the options say.
func NewTranslator(w *Watcher, options config.Options, index *records.Index, hooks Hooks) *Translator {
	return newTranslator(w, options, index, hooks, false)
}

// NewClaims returns a Translator that resolves claims only: its names have no addresses, endpoints are not
// watched, and there is no index.
func NewClaims(w *Watcher, options config.Options, hooks Hooks) *Translator {
	options.HTTPS, options.Probe = false, 0
	return newTranslator(w, options, records.NewIndex(slices.Concat(options.Zones, options.ReverseZones)), hooks, true)
}

func newTranslator(w *Watcher, options config.Options, index *records.Index, hooks Hooks, claimsOnly bool) *Translator {
	if hooks.Covered == nil {
		hooks.Covered = func(string) bool { return true }
	}
	if hooks.ObserveLatency == nil {
		hooks.ObserveLatency = func(time.Duration) {}
	}
	t := &Translator{
		options:    options,
		hooks:      hooks,
		claimsOnly: claimsOnly,
		index:      index,
		reporter:   w.reporter,
		watcher:    w,
		wake:       make(chan struct{}, 1),

		annotated:      map[cache.ObjectName]*claim.Claim{},
		claims:         map[cache.ObjectName]*claim.Claim{},
		gatewayChanges: map[object.KindName]gateway.Object{},
		routeClaims:    map[object.KindName][]*claim.Claim{},
	}
	t.routes = gateway.New(&t.options)
	t.services = newServices(&t.options, index, claimsOnly, t.publishSoon, t.observe)
	t.services.state.probing = w.probingFor(t)
	w.add(t)
	return t
}

// Follow lets the serials go on from those of a Translator whose place this one takes.
func (t *Translator) Follow(other *Translator) { t.index.Continue(other.index) }

// Follow takes over what another Watcher of the same cluster, whose place this one takes, has found
// out: endpoints that it suspects are suspect here.
func (w *Watcher) Follow(other *Watcher) {
	for _, p := range w.probing {
		for _, before := range other.probing {
			p.Follow(before.Prober)
		}
	}
}

func (t *Translator) exposes(s *object.Service) bool {
	return s.Exposed(t.options.Class, t.options.DefaultClass)
}

// onService takes in a Service that appeared, changed or (new is nil) went.
func (t *Translator) onService(old, new *object.Service) {
	wasExposed, isExposed := t.exposes(old), t.exposes(new)
	if !wasExposed && !isExposed {
		return
	}
	if !isExposed {
		t.services.unexpose(old.Key())
		t.annotate(old.Key(), nil)
		return
	}
	t.services.expose(new)
	if !wasExposed || old.Created != new.Created || !maps.Equal(old.Hosts, new.Hosts) || !slices.Equal(old.Truncated, new.Truncated) || !old.ServicePorts.Equal(new.ServicePorts) {
		t.annotate(new.Key(), claim.FromService(&t.options, new))
	}
}

// annotate takes in what a Service claims, nil for nothing.
func (t *Translator) annotate(service cache.ObjectName, c *claim.Claim) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.annotated[service] == nil && c == nil || !t.options.Services {
		return
	}
	if c != nil {
		t.annotated[service] = c
	} else {
		delete(t.annotated, service)
	}
	t.changed()
}

// onIngress takes in an Ingress that appeared, changed or went.
func (t *Translator) onIngress(old, new *object.Ingress) {
	var was, is *claim.Claim
	if old != nil {
		was = claim.FromIngress(&t.options, old)
	}
	if new != nil {
		is = claim.FromIngress(&t.options, new)
	}
	if reflect.DeepEqual(was, is) {
		return // nothing that a name depends on, or nothing at all
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if is != nil {
		t.claims[new.Key()] = is
	} else {
		delete(t.claims, old.Key())
	}
	t.changed()
}

// onSlice takes in an EndpointSlice that appeared, changed or went. It touches the Service
// that the slice belongs to, and the one it belonged to (E1).
func (t *Translator) onSlice(old, new *object.EndpointSlice) {
	if old != nil && old.Ignored { // M8
		old = nil
	}
	if new != nil && new.Ignored {
		new = nil
	}
	t.services.setSlice(old, new)
	same := slices.EqualFunc(old.ProblemsOf(), new.ProblemsOf(), func(a, b object.Problem) bool { return a.Text == b.Text })
	if !same || new.ProblemsOf() != nil && old.Service != new.Service {
		t.publishSoon() // to be logged and counted, or no longer
		t.unresolved.CompareAndSwap(false, t.hooks.OnResolved != nil)
	}
}

// observe is given when a change that is answered now was triggered, in Unix nanoseconds. It reports how long that
// took, if it can be: the annotation that says so is whatever its writer says, and clocks differ.
func (t *Translator) observe(triggered int64) {
	const skew, longest = time.Minute, 24 * time.Hour
	took := time.Since(time.Unix(0, triggered))
	if synced(t.slices) && -skew < took && took < longest {
		t.hooks.ObserveLatency(max(0, took))
	}
}

// synced reports whether the first lists of all these watches have arrived.
func synced(watches []*health) bool {
	return !slices.ContainsFunc(watches, func(h *health) bool { return !h.synced.Load() })
}

// await adds a kind that gives names of its own to those that the first names wait for. It
// reports whether it was not there yet.
func (t *Translator) await(h *health) bool {
	if slices.Contains(t.optional, h) {
		return false
	}
	t.optional = append(t.optional, h)
	return true
}

// changed lets all claims be looked at anew. A burst coalesces behind what is being published.
func (t *Translator) changed() {
	t.unresolved.Store(true)
	t.publishSoon()
}

func (t *Translator) publishSoon() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run publishes at once whenever names may have changed, until the context is cancelled.
func (t *Translator) run(ctx context.Context) {
	begun, pause := false, 200*time.Millisecond
	for {
		var later <-chan time.Time
		if slices.ContainsFunc(t.optional, func(h *health) bool { return !h.decided() }) {
			later = time.After(pause) // nobody may ever tell
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-later:
			t.unresolved.Store(true)
		}
		if !begun && !t.settled() {
			continue // D72: nothing may be concluded from a part of the objects
		}
		begun, pause = true, time.Second // what comes to be known later holds nothing up (G7)
		t.publish()
	}
}

// settled reports whether each kind is known, or known to be out of reach.
func (t *Translator) settled() bool {
	return !slices.ContainsFunc(slices.Concat(t.watching, t.slices, t.optional), func(h *health) bool {
		return !h.listed() && !h.waived()
	})
}

// unlisted returns what tells the objects whose first list is not complete: what is known of it
// does not count until it is, as an older claim may follow (C2).
func (t *Translator) unlisted() func(kind, namespace string) bool {
	var pending []*health // as a rule none
	for _, h := range t.optional {
		if !h.listed() && !h.absent.Load() {
			pending = append(pending, h)
		}
	}
	return func(kind, namespace string) bool {
		return slices.ContainsFunc(pending, func(h *health) bool {
			return strings.EqualFold(h.kind, kind) && (h.namespace == "" || h.namespace == namespace)
		})
	}
}

// Unsynced returns the kinds of objects that must be known before the zones can be answered
// for, and are not yet: empty once they are. A kind that only adds names, such as Ingress,
// is left out if the API server refuses to show it, or fails to (G7).
func (t *Translator) Unsynced() []string {
	var kinds []string
	for _, h := range slices.Concat(t.watching, t.slices) {
		if !h.listed() {
			kinds = append(kinds, h.what())
		}
	}
	for _, h := range t.optional {
		if !h.listed() && !h.waived() {
			kinds = append(kinds, h.what())
		}
	}
	return kinds
}
