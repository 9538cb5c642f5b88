package informer

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// follower fills the Store of a kind that the API server may begin to serve, serve in another version, or cease to serve
// (G5, G6). The Discovery's goroutine owns what is not locked.
type follower struct {
	status *Status
	store  interface {
		target
		forget()
	}
	choose func(Served) schema.GroupVersionResource // the version to read, the zero value for none
	watch  func(ctx context.Context, version schema.GroupVersionResource, into target)
	chosen schema.GroupVersionResource
	missed int // answers in a row without the kind, which is read or restored

	mu      sync.Mutex
	current *version // fills the Store
	next    *version // replaces current once its first list is complete
}

// Follow makes the client for the version that choose picks fill a Store. That is NotServed until d runs, which it must not
// do yet.
func Follow[L List, R Full, T Object](
	d *Discovery, s *Store[R, T], choose func(Served) schema.GroupVersionResource,
	client func(schema.GroupVersionResource) Client[L], selector string,
) {
	s.state, s.last, s.gone = NotServed, NotServed, d.Trigger
	f := &follower{status: s.Status, store: s, choose: choose}
	f.watch = func(ctx context.Context, version schema.GroupVersionResource, into target) {
		runReflector(ctx, s, into, client(version), selector)
	}
	d.followers = append(d.followers, f)
}

// follow watches the version that choose picks until the context is cancelled. It reports whether that is a new one.
func (f *follower) follow(ctx context.Context, served Served) bool {
	chosen := f.choose(served)
	if chosen == f.chosen {
		f.drop()
		return false
	}
	f.chosen = chosen
	if chosen.Empty() {
		f.stop()
		f.store.forget()
		return true
	}
	f.status.begin()
	v := &version{target: f.store, of: f}
	ctx, v.cancel = context.WithCancel(ctx)
	f.mu.Lock()
	before := f.next
	f.next = v
	f.mu.Unlock()
	before.stop()
	v.running.Go(func() { f.watch(ctx, chosen, v) })
	return true
}

// drop removes what was restored of a kind that is not read.
func (f *follower) drop() {
	if f.chosen.Empty() && f.status.State() == Restored {
		f.store.forget()
	}
}

// loses reports whether a kind that is read or restored is not served any longer.
func (f *follower) loses(served Served) bool {
	return (!f.chosen.Empty() || f.status.State() == Restored) && f.choose(served).Empty()
}

// stop ends all watches.
func (f *follower) stop() {
	f.mu.Lock()
	current, next := f.current, f.next
	f.current, f.next = nil, nil
	f.mu.Unlock()
	current.stop()
	next.stop()
}

// version is the target of one version's reflector. The previous version fills the Store until this one has listed all
// its objects, so that no name goes missing in between: an upgraded cluster serves both for a while.
type version struct {
	target
	of      *follower
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// stop ends the watch. When it returns, nothing of this version will reach the Store any longer.
func (v *version) stop() {
	if v != nil {
		v.cancel()
		v.running.Wait()
	}
}

// Observe records a request's outcome. Requests for the current version do not count any longer while there is a next one.
func (v *version) Observe(ctx context.Context, err error) {
	v.of.mu.Lock()
	outgoing := v.of.next != nil && v.of.next != v
	v.of.mu.Unlock()
	switch {
	case !outgoing:
		v.target.Observe(ctx, err)
	case apierrors.IsNotFound(err):
		v.of.status.gone()
	}
}

// Replace makes this version the current one, with its first list.
func (v *version) Replace(list []any, resourceVersion string) error {
	v.of.mu.Lock()
	var before *version
	if v.of.next == v {
		before, v.of.current, v.of.next = v.of.current, v, nil
	}
	current := v.of.current == v
	v.of.mu.Unlock()
	before.stop()
	if !current {
		return nil
	}
	return v.target.Replace(list, resourceVersion)
}
