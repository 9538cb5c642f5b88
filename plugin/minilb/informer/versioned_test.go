package informer

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var thingVersions = []schema.GroupVersionResource{{Version: "v1", Resource: "things"}}

// newFollower returns one of a Store that nothing fills by itself.
func newFollower(log Logger) (*follower, *Store[*corev1.Service, *thing]) {
	store := newThings(&Server{Log: log})
	d := &Discovery{}
	Follow(d, store, func(s Served) schema.GroupVersionResource { return s.First(thingVersions) },
		func(schema.GroupVersionResource) Client[*corev1.ServiceList] { return &fakeClient{} }, "")
	store.gone = func() {}
	return d.followers[0], store
}

func (f *follower) newVersion(t *testing.T) (*version, context.Context) {
	ctx, cancel := context.WithCancel(t.Context())
	return &version{target: f.store, of: f, cancel: cancel}, ctx
}

// What the version before says when the next one answers already, is not remembered as a
// failure of the next.
func TestVersionedTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		f, store := newFollower(log)
		before, _ := f.newVersion(t)
		after, _ := f.newVersion(t)
		f.chosen, f.current, f.next = thingVersions[0], before, after
		store.Observe(t.Context(), nil)
		store.Observe(t.Context(), errAbsent) // of the version before
		if err := after.Replace(nil, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * notFoundGrace)
		store.Observe(t.Context(), errAbsent) // now of the version that is read: it may be deleted
		if lines := log.take(); len(lines) > 0 {
			t.Errorf("it is said at once, without waiting for discovery: %q", lines)
		}
	})
}

// A version that is given up is neither asked any longer nor listened to, whatever it still
// writes; and what it says of requests counts until then.
func TestVersionedGivenUp(t *testing.T) {
	log, triggered := &testLog{}, 0
	f, store := newFollower(log)
	store.gone = func() { triggered++ }
	current, ofCurrent := f.newVersion(t)
	f.chosen, f.current = thingVersions[0], current
	current.Observe(t.Context(), errUnwell)
	if lines := log.take(); len(lines) != 1 {
		t.Errorf("of the version that is read: got the log %q", lines)
	}
	next, ofNext := f.newVersion(t)
	f.next = next
	if current.Observe(t.Context(), errUnwell); triggered > 0 {
		t.Error("a version that fails is taken for gone")
	}
	if current.Observe(t.Context(), errAbsent); triggered != 1 || len(log.take()) > 0 {
		t.Errorf("of the version before: told %d times that it is gone", triggered) // G6
	}
	current.Add(testService("shop/web", 1))
	if len(store.List()) != 1 {
		t.Error("the version before is not listened to while it is read")
	}
	// Both still write when they are told to end.
	current.running.Go(func() {
		<-ofCurrent.Done()
		current.Add(testService("shop/web", 2))
		current.Replace([]any{testService("shop/web", 3)}, "")
	})
	next.running.Go(func() {
		<-ofNext.Done()
		next.Replace([]any{testService("shop/web", 4)}, "")
	})
	if !f.follow(t.Context(), Served{}) || f.current != nil || f.next != nil || ofCurrent.Err() == nil || ofNext.Err() == nil {
		t.Error("a version is still asked")
	}
	for _, v := range []*version{current, next} {
		v.Replace([]any{testService("shop/web", 1)}, "")
	}
	if len(store.List()) > 0 || store.State() != NotServed {
		t.Error("a version is still listened to")
	}
}

// A version that takes over waits until the one before writes no longer, and one that was given up does not take over.
func TestVersionedInTurn(t *testing.T) {
	f, store := newFollower(&testLog{})
	before, ofBefore := f.newVersion(t)
	after, _ := f.newVersion(t)
	stale, _ := f.newVersion(t)
	f.chosen, f.current, f.next = thingVersions[0], before, after
	before.running.Go(func() {
		<-ofBefore.Done()
		before.Add(testService("shop/old", 1))
		before.Replace([]any{testService("shop/old", 1)}, "")
	})
	after.Replace([]any{testService("shop/web", 1)}, "")
	stale.Replace([]any{testService("shop/stale", 1)}, "")
	if list := store.List(); len(list) != 1 || list[0].name != "web" || f.current != after || f.next != nil {
		t.Errorf("got %v", list)
	}
}

// While the next version's first list streams in, the version before writes to the store.
func TestVersionedTransformer(t *testing.T) {
	f, _ := newFollower(&testLog{})
	f.current, _ = f.newVersion(t)
	f.next, _ = f.newVersion(t)
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 20000 {
			f.current.Update(testService("shop/web", int64(i)))
			f.current.Delete(testService("shop/web", int64(i)))
		}
	})
	running.Go(func() {
		transform := f.next.Transformer()
		for i := range 20000 {
			if obj, err := transform(testService("shop/web", int64(i))); obj.(*item).name.Name != "web" || err != nil {
				t.Errorf("got %v, %v", obj, err)
			}
		}
	})
	running.Wait()
}
