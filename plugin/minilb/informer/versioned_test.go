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

// newVersions returns a store that nothing fills by itself.
func newVersions(log Logger) *Versioned[*corev1.Service, *thing] {
	store := newThings(&Server{Log: log})
	store.gone = func() {}
	return NewVersioned(store, func(s Served) schema.GroupVersionResource { return s.First(thingVersions) },
		func(schema.GroupVersionResource) Client[*corev1.ServiceList] { return &fakeClient{} }, "")
}

func (v *Versioned[R, T]) newVersion(t *testing.T) (*versionStore[R, T], context.Context) {
	ctx, cancel := context.WithCancel(t.Context())
	return &versionStore[R, T]{Store: v.Store, of: v, cancel: cancel}, ctx
}

// What the version before says when the next one answers already, is not remembered as a
// failure of the next.
func TestVersionedTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		v := newVersions(log)
		before, _ := v.newVersion(t)
		after, _ := v.newVersion(t)
		v.chosen, v.current, v.next = thingVersions[0], before, after
		v.Observe(t.Context(), nil)
		v.Observe(t.Context(), errAbsent) // of the version before
		if err := after.Replace(nil, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * notFoundGrace)
		v.Observe(t.Context(), errAbsent) // now of the version that is read: it may be deleted
		if lines := log.take(); len(lines) > 0 {
			t.Errorf("it is said at once, without waiting for discovery: %q", lines)
		}
	})
}

// A version that is given up is neither asked any longer nor listened to, whatever it still
// writes; and what it says of requests counts until then.
func TestVersionedGivenUp(t *testing.T) {
	log, triggered := &testLog{}, 0
	v := newVersions(log)
	v.gone = func() { triggered++ }
	current, ofCurrent := v.newVersion(t)
	v.chosen, v.current = thingVersions[0], current
	current.Observe(t.Context(), errUnwell)
	if lines := log.take(); len(lines) != 1 {
		t.Errorf("of the version that is read: got the log %q", lines)
	}
	next, ofNext := v.newVersion(t)
	v.next = next
	if current.Observe(t.Context(), errUnwell); triggered > 0 {
		t.Error("a version that fails is taken for gone")
	}
	if current.Observe(t.Context(), errAbsent); triggered != 1 || len(log.take()) > 0 {
		t.Errorf("of the version before: told %d times that it is gone", triggered) // G6
	}
	current.Add(testService("shop/web", 1))
	if len(v.List()) != 1 {
		t.Error("the version before is not listened to while it is read")
	}
	if !v.follow(t.Context(), Served{}) || v.current != nil || v.next != nil || ofCurrent.Err() == nil || ofNext.Err() == nil {
		t.Error("a version is still asked")
	}
	for _, f := range []*versionStore[*corev1.Service, *thing]{current, next} {
		f.Add(testService("shop/web", 1))
		f.Replace([]any{testService("shop/web", 1)}, "")
	}
	if len(v.List()) > 0 || v.State() != NotServed {
		t.Error("a version is still listened to")
	}
}

// While the next version's first list streams in, the version before writes to the store.
func TestVersionedTransformer(t *testing.T) {
	v := newVersions(&testLog{})
	v.current, _ = v.newVersion(t)
	v.next, _ = v.newVersion(t)
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 20000 {
			v.current.Update(testService("shop/web", int64(i)))
			v.current.Delete(testService("shop/web", int64(i)))
		}
	})
	running.Go(func() {
		transform := v.next.Transformer()
		for i := range 20000 {
			if obj, err := transform(testService("shop/web", int64(i))); obj.(*item).name.Name != "web" || err != nil {
				t.Errorf("got %v, %v", obj, err)
			}
		}
	})
	running.Wait()
}
