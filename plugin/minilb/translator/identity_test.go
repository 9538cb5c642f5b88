package translator

import (
	"fmt"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// What is known of the objects' generations is known as long as they are there, whichever way they go.
func TestIdentity(t *testing.T) {
	b, _ := judged(t, config.Options{})
	a, c := testService("shop/a", 1, ""), testService("shop/c", 1, "")
	a.UID, c.UID, a.Generation, c.Generation = "ua", "uc", 3, 4
	steps := []struct {
		name   string
		change func() error
		want   string
	}{
		{"a list", func() error { return b.services().Replace([]any{a, c}, "1") }, "ua 3, uc 4"},
		{"a shorter list", func() error { return b.services().Replace([]any{c}, "2") }, "-, uc 4"},
		{"added", func() error { return b.services().Add(a) }, "ua 3, uc 4"},
		{"deleted", func() error { return b.services().Delete(c) }, "ua 3, -"},
	}
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		of := func(name string) string {
			if is, there := b.services().Get(cache.NewObjectName("shop", name)); there {
				return fmt.Sprint(is.UID, " ", is.Generation)
			}
			return "-"
		}
		if got := of("a") + ", " + of("c"); got != step.want {
			t.Errorf("%s: got %s, want %s", step.name, got, step.want)
		}
	}
	for _, tc := range []struct {
		kind, name string
		uid        types.UID
		want       bool
	}{{"Service", "a", "ua", true}, {"Service", "a", "other", false}, {"Service", "c", "uc", false}, {"Ingress", "a", "ua", false}, {"GatewayClass", "a", "", false}} {
		if got := b.watcher.There(tc.kind, "shop", tc.name, tc.uid); got != tc.want {
			t.Errorf("%+v: got %t", tc, got)
		}
	}
	// Nothing is claimed by a slice, so that its annotations are its own.
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a-1", Annotations: map[string]string{"minilb/hosts": "x"}}}
	b.watcher.EndpointSlices("").Update(slice)
	for _, p := range b.watcher.Lint() {
		t.Errorf("of slices: got %+v", p)
	}
}
