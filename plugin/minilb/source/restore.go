package source

import (
	"iter"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/plugin/minilb/claim"
	"github.com/minilb/minilb/plugin/minilb/snapshot"
)

// stored is a table of any type, as snapshots and verdicts know it.
type stored interface {
	edition(kind, namespace, name string) (edition, bool)
	slips() iter.Seq[claim.Result]
	state() *health
	namespaceOf() string
	save() []snapshot.Object
	restore([]snapshot.Object)
	load([]runtime.Object)
}

// state returns the health of the watch.
func (t *table[R, T]) state() *health { return t.health }

// namespaceOf returns the namespace that the objects are limited to, in snapshots.
func (t *table[R, T]) namespaceOf() string { return t.scope }

// save returns the objects as snapshots keep them.
func (t *table[R, T]) save() []snapshot.Object {
	var objects []snapshot.Object
	for _, object := range t.list() {
		objects = append(objects, object)
	}
	return objects
}

// list returns the objects that are in the table, in no particular order.
func (t *table[R, T]) list() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	objects := make([]T, 0, len(t.objects))
	for _, object := range t.objects {
		objects = append(objects, object)
	}
	return objects
}

// restore fills the table with objects of a snapshot, unless the API server has said by now what
// there is.
func (t *table[R, T]) restore(objects []snapshot.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.synced.Load() || t.optional && t.refused.Load() {
		return
	}
	for _, o := range objects {
		if object, ok := o.(T); ok {
			t.set(object)
		}
	}
	t.setRestored()
}

// discard takes out what was restored, of a kind that the API server does not serve any longer,
// or refuses to show.
func (t *table[R, T]) discard() {
	t.mu.Lock()
	if t.restored.Load() {
		t.clear()
		t.unrestore()
	}
	t.mu.Unlock()
	t.settled()
}

// setRestored notes that the objects are known as a snapshot has them, unless the API server has said
// by now what there is: whichever of the two notes comes last takes the other into account.
func (h *health) setRestored() {
	h.absent.Store(false)
	if !h.restored.Swap(true) {
		h.server.restored.Add(1)
	}
	if h.synced.Load() {
		h.unrestore()
	}
}

// unrestore notes that the objects are no longer a snapshot's.
func (h *health) unrestore() {
	if h.restored.Swap(false) && h.server.restored.Add(-1) == 0 {
		h.server.log.Infof("All that was served from the snapshot is now as the API server has it")
	}
}

// listed reports whether the objects are all known: as the API server has listed them, or as
// they were in a snapshot.
func (h *health) listed() bool { return h.synced.Load() || h.restored.Load() }

// listed reports whether the objects of all these watches are known.
func listed(watches []*health) bool {
	return !slices.ContainsFunc(watches, func(h *health) bool { return !h.listed() })
}

// whole reports whether all that is watched is known as the API server has it, or is known not to
// be had.
func (w *Watcher) whole() bool {
	known := func(h *health) bool {
		return h.synced.Load() || h.optional && (h.refused.Load() || h.absent.Load())
	}
	if w.gatewayAPI.tables != nil && !known(w.gatewayAPI.health) {
		return false
	}
	return !slices.ContainsFunc(w.stored, func(t stored) bool { return !known(t.state()) })
}

// live reports whether the API server has listed the objects of any kind.
func (w *Watcher) live() bool {
	return slices.ContainsFunc(w.stored, func(t stored) bool { return t.state().synced.Load() })
}

// Unreachable reports whether the API server cannot be reached, as far as the last attempt tells.
func (w *Watcher) Unreachable() bool { return w.server.unreachable() }

// Silent reports whether nothing at all has been heard of the API server since the start.
func (w *Watcher) Silent() bool { return !w.contact.made.Load() }

// Restored reports whether some of what is known is as the snapshot has it: the API server has
// not said yet what has become of it.
func (w *Watcher) Restored() bool { return w.server.restored.Load() > 0 }

// restore fills the tables that are not synced. Services are last, as nothing of the zones is
// answered before, and the routes' judgement waits for what there is of the Gateway API.
func (w *Watcher) restore(state *snapshot.State) {
	discovery := w.gatewayAPI.health
	discovered := discovery.synced.Load()
	live := w.live()
	order := func(h *health) int {
		switch {
		case h.optional:
			return 0
		case h.kind == "endpointslice":
			return 1
		}
		return 2
	}
	tables := slices.Clone(w.stored)
	slices.SortStableFunc(tables, func(a, b stored) int { return order(a.state()) - order(b.state()) })
	for _, t := range tables {
		h := t.state()
		objects, known := state.Store(h.kind, t.namespaceOf())
		switch {
		case h.absent.Load() && discovered: // the API server has said so
		case known:
			t.restore(objects)
		case h.optional && !h.synced.Load():
			h.late.Store(true) // and so not waited for
		}
	}
	switch {
	case discovered || w.gatewayAPI.tables == nil:
	case state.Discovered:
		discovery.setRestored()
	default:
		discovery.late.Store(true)
	}
	if !live {
		w.server.snapshot.MarkRestored() // what is known comes from there
		if w.live() {                    // or did until the API server said something, just now
			w.server.touch()
		}
	}
	if !discovered && w.gatewayAPI.tables != nil {
		w.gatewayAPI.poke() // its last look may have come too early to drop what was restored meanwhile
	}
	if w.Restored() {
		at := time.Unix(state.Written, 0)
		w.server.snapshot.SetWritten(state.Written)
		w.server.log.Warningf("Serving the state of %s from %s, %v old, until the API server answers", at.UTC().Format(time.RFC3339), w.server.snapshot.File, max(0, time.Since(at)).Round(time.Second))
	}
	for _, t := range w.translators {
		t.changed()
	}
}
