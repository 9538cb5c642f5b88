package controller

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

func named(name, version string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: version}}
}

func TestServices(t *testing.T) {
	var changed []string
	s := newServices(func(name cache.ObjectName) { changed = append(changed, name.Name) })
	expect := func(step, wantChanged, wantHave string) {
		t.Helper()
		slices.Sort(changed)
		if got := strings.Join(changed, " "); got != wantChanged {
			t.Errorf("%s: told of %q, want %q", step, got, wantChanged)
		}
		changed = nil
		var have []string
		for _, name := range []string{"a", "b", "c"} {
			if service := s.get(cache.ObjectName{Namespace: "shop", Name: name}); service != nil {
				have = append(have, name+service.ResourceVersion)
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
	if got := s.count(func(service *corev1.Service) bool { return service.Name == "c" }); got != 1 {
		t.Errorf("counted %d, want 1", got)
	}
}

// S12: what we keep of a Service is enough to decide and little enough for many.
func TestTrim(t *testing.T) {
	now, class := metav1.Now(), "minilb"
	full := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web", UID: "1", ResourceVersion: "2", DeletionTimestamp: &now,
			Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"big": "one"}, Finalizers: []string{"x/y"},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "kubectl", Time: &now, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:ports":{}}}`)},
				{Manager: "metallb", Time: &now, Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`)},
				{Manager: "odd"},
			},
		},
		Spec: corev1.ServiceSpec{
			Type: "LoadBalancer", LoadBalancerClass: &class, Selector: map[string]string{"a": "b"},
			Ports: []corev1.ServicePort{{Port: 80}}, ClusterIP: "10.0.0.1",
		},
		Status: corev1.ServiceStatus{
			LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{Hostname: "h"}}},
			Conditions:   []metav1.Condition{{Type: "x"}},
		},
	}
	want := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web", UID: "1", ResourceVersion: "2", DeletionTimestamp: &now,
			Labels:        map[string]string{"a": "b"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "metallb", Time: &now}},
		},
		Spec:   corev1.ServiceSpec{Type: "LoadBalancer", LoadBalancerClass: &class},
		Status: corev1.ServiceStatus{LoadBalancer: full.Status.LoadBalancer},
	}
	before := full.DeepCopy()
	if got := trim(full); !apiequality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !apiequality.Semantic.DeepEqual(full, before) {
		t.Error("the Service itself was changed")
	}
}
