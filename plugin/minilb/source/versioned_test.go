package source

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What the version before says when the next one answers already, is not remembered as a
// failure of the next.
func TestFeedTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testLog{}
		h := &health{resource: "things", gone: func() {}, settled: func() {}, server: &server{log: log}}
		v := &versioned[*corev1.Namespace, *namespace]{table: &table[*corev1.Namespace, *namespace]{health: h, reduce: reduceNamespace}}
		newFeed := func() *feed[*corev1.Namespace, *namespace] {
			_, cancel := context.WithCancel(t.Context())
			return &feed[*corev1.Namespace, *namespace]{table: v.table, of: v, cancel: cancel}
		}
		before, after := newFeed(), newFeed()
		v.chosen, v.current, v.next = schema.GroupVersionResource{Version: "v1"}, before, after
		h.observe(t.Context(), nil)
		h.observe(t.Context(), errAbsent) // of the version before
		if err := after.Replace(nil, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * patience)
		h.observe(t.Context(), errAbsent) // now of the version that is read: it may be deleted
		if lines := log.take(); len(lines) > 0 {
			t.Errorf("it is said at once, without waiting for discovery: %q", lines)
		}
	})
}
