package controller

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

func named(name, version string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: version}}
}

// transformNamed takes those for ours that have a resourceVersion.
func transformNamed(full *corev1.Service) *service {
	if full.ResourceVersion == "" {
		return nil
	}
	return &service{name: cache.MetaObjectToName(full), version: full.ResourceVersion}
}

func TestServices(t *testing.T) {
	var changed []string
	lists := 0
	s := newServices(transformNamed, func(name cache.ObjectName) { changed = append(changed, name.Name) }, func() { lists++ })
	expect := func(step, wantChanged, wantHave string) {
		t.Helper()
		slices.Sort(changed)
		if got := strings.Join(changed, " "); got != wantChanged {
			t.Errorf("%s: enqueued %q, want %q", step, got, wantChanged)
		}
		changed = nil
		var have []string
		for _, name := range []string{"a", "b", "c"} {
			if service := s.get(cache.ObjectName{Namespace: "shop", Name: name}); service != nil {
				have = append(have, name+service.version)
			}
		}
		if got := strings.Join(have, " "); got != wantHave {
			t.Errorf("%s: has %q, want %q", step, got, wantHave)
		}
	}
	if s.synced.Load() {
		t.Error("synced before the first list")
	}
	s.Replace([]any{named("a", "1"), named("b", "2")}, "2")
	expect("list", "a b", "a1 b2")
	if !s.synced.Load() {
		t.Error("not synced after the first list")
	}
	s.Update(named("a", "3"))
	expect("update", "a", "a3 b2")
	s.Add(named("c", "4"))
	expect("add", "c", "a3 b2 c4")
	s.Delete(named("b", "5"))
	expect("delete", "b", "a3 c4")
	s.Resync()
	expect("resync", "a c", "a3 c4")
	s.Replace([]any{named("b", "6"), named("c", "4")}, "6")
	expect("list after an outage", "a b c", "b6 c4")
	page := func(full *corev1.Service) any { return &kube.Reduced{Object: s.reduced(full)} }
	s.Replace([]any{page(named("b", "6")), page(named("a", "")), page(named("c", "4"))}, "6")
	expect("a list in pages", "b c", "b6 c4")
	if lists != 3 {
		t.Errorf("told of %d lists, want 3", lists)
	}
	if got := s.count(); got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	s.Update(named("c", "")) // none of ours any more
	expect("taken away", "c", "b6")
	s.Update(named("c", ""))
	s.Delete(named("c", "7"))
	expect("what was never ours", "", "b6")
}
