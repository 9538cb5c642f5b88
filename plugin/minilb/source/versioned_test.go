package source

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// What the version before says when the next one answers already, is not remembered as a
// failure of the next.
func TestFeedTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		h := &health{resource: "things", gone: func() {}, settled: func() {}, server: &server{log: log}}
		v := &versioned[*corev1.Namespace, *object.Namespace]{table: &table[*corev1.Namespace, *object.Namespace]{health: h, reduce: func(full *corev1.Namespace) *object.Namespace { return object.NewNamespace(full, nil) }}}
		newFeed := func() *feed[*corev1.Namespace, *object.Namespace] {
			_, cancel := context.WithCancel(t.Context())
			return &feed[*corev1.Namespace, *object.Namespace]{table: v.table, of: v, cancel: cancel}
		}
		before, after := newFeed(), newFeed()
		v.chosen, v.current, v.next = schema.GroupVersionResource{Version: "v1"}, before, after
		h.observe(t.Context(), nil)
		h.observe(t.Context(), errAbsent) // of the version before
		if err := after.Replace(nil, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * vanishing)
		h.observe(t.Context(), errAbsent) // now of the version that is read: it may be deleted
		if lines := log.take(); len(lines) > 0 {
			t.Errorf("it is said at once, without waiting for discovery: %q", lines)
		}
	})
}

// A version that is given up is neither asked any longer nor listened to, whatever it still
// writes; and what it says of requests counts until then.
func TestFeedGivenUp(t *testing.T) {
	log, poked := &testLog{}, 0
	h := &health{resource: "things", gone: func() { poked++ }, settled: func() {}, server: &server{log: log}}
	v := &versioned[*corev1.Namespace, *object.Namespace]{
		table:  &table[*corev1.Namespace, *object.Namespace]{health: h, reduce: func(full *corev1.Namespace) *object.Namespace { return object.NewNamespace(full, nil) }, objects: map[cache.ObjectName]*object.Namespace{}},
		choose: func(o offer) schema.GroupVersionResource { return o.first(gatewayVersions) },
	}
	newFeed := func() (*feed[*corev1.Namespace, *object.Namespace], context.Context) {
		ctx, cancel := context.WithCancel(t.Context())
		return &feed[*corev1.Namespace, *object.Namespace]{table: v.table, of: v, cancel: cancel}, ctx
	}
	current, ofCurrent := newFeed()
	v.chosen, v.current = schema.GroupVersionResource{Version: "v1"}, current
	current.observe(t.Context(), errUnwell)
	if lines := log.take(); len(lines) != 1 {
		t.Errorf("of the version that is read: got the log %q", lines)
	}
	next, ofNext := newFeed()
	v.next = next
	if current.observe(t.Context(), errUnwell); poked > 0 {
		t.Error("a version that fails is taken for gone")
	}
	if current.observe(t.Context(), errAbsent); poked != 1 || len(log.take()) > 0 {
		t.Errorf("of the version before: told %d times that it is gone", poked) // G6
	}
	current.Add(&corev1.Namespace{})
	if len(v.objects) != 1 {
		t.Error("the version before is not listened to while it is read")
	}
	if !v.follow(t.Context(), offer{}) || v.current != nil || v.next != nil || ofCurrent.Err() == nil || ofNext.Err() == nil {
		t.Error("a version is still asked")
	}
	for _, f := range []*feed[*corev1.Namespace, *object.Namespace]{current, next} {
		f.Add(&corev1.Namespace{})
		f.Replace([]any{&corev1.Namespace{}}, "")
	}
	if len(v.objects) > 0 || h.synced.Load() {
		t.Error("a version is still listened to")
	}
}

// While the next version's first list streams in, the version before writes to the table.
func TestFeedTransformer(t *testing.T) {
	b := newBench(t, config.Options{})
	v := &versioned[*corev1.Service, *object.Service]{table: b.services()}
	v.current = &feed[*corev1.Service, *object.Service]{table: v.table, of: v, cancel: func() {}}
	v.next = &feed[*corev1.Service, *object.Service]{table: v.table, of: v}
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 20000 {
			v.current.Update(testService("shop/web", int64(i), ""))
			v.current.Delete(testService("shop/web", int64(i), ""))
		}
	})
	running.Go(func() {
		transform := v.next.Transformer()
		for i := range 20000 {
			if obj, err := transform(testService("shop/web", int64(i), "")); obj.(*object.Service).Name != "web" || err != nil {
				t.Errorf("got %v, %v", obj, err)
			}
		}
	})
	running.Wait()
}
