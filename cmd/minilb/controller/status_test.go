package controller

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// S6, M8
func TestOurs(t *testing.T) {
	ptr := func(s string) *string { return &s }
	ignore := map[string]string{"minilb/ignore": "true"}
	tests := []struct {
		name                string
		kind                corev1.ServiceType
		class               *string
		labels              map[string]string
		want, wantByDefault bool
	}{
		{"our class", "LoadBalancer", ptr("minilb"), nil, true, true},
		{"another class", "LoadBalancer", ptr("metallb"), nil, false, false},
		{"no class", "LoadBalancer", nil, nil, false, true},
		{"another type", "ClusterIP", nil, nil, false, false},
		{"ignored", "LoadBalancer", ptr("minilb"), ignore, false, false},
		{"ignored without class", "LoadBalancer", nil, ignore, false, false},
	}
	for _, tc := range tests {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: tc.labels}, Spec: corev1.ServiceSpec{Type: tc.kind, LoadBalancerClass: tc.class}}
		strict := &Controller{options: Options{Class: "minilb"}}
		if got := strict.transform(service) != nil; got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		generous := &Controller{options: Options{Class: "minilb", DefaultClass: true}}
		if got := generous.transform(service) != nil; got != tc.wantByDefault {
			t.Errorf("%s, default class: got %v, want %v", tc.name, got, tc.wantByDefault)
		}
	}
}

// S12: what we keep of a Service is enough to decide and little enough for many.
func TestTransform(t *testing.T) {
	now, later := metav1.Now(), metav1.NewTime(time.Now().Add(time.Hour))
	full := web(2, "h")
	full.DeletionTimestamp = &now
	full.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "metallb", Time: &now, Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`)},
	}
	full.ManagedFields = append(full.ManagedFields, metav1.ManagedFieldsEntry{Manager: "kubectl", Time: &later, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:ports":{}}}`)})
	before := full.DeepCopy()
	c := &Controller{options: Options{Class: "minilb", Domain: "minilb"}}
	want := service{name: cache.ObjectName{Namespace: "shop", Name: "web"}, uid: "uid-1", version: "2", deleting: true, pending: true, manager: "metallb"}
	if got := c.transform(full); !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if !apiequality.Semantic.DeepEqual(full, before) {
		t.Error("the Service itself was changed")
	}
	written := web(2, "web.shop.minilb")
	written.ManagedFields = full.ManagedFields
	want = service{name: want.name, uid: want.uid, version: want.version}
	if got := c.transform(written); !reflect.DeepEqual(*got, want) {
		t.Errorf("written: got %+v, want %+v", *got, want)
	}
}

// S1, S2, S3, S4, S12
func TestPending(t *testing.T) {
	proxy := corev1.LoadBalancerIPModeProxy
	tests := []struct {
		name string
		have []corev1.LoadBalancerIngress
		want bool
	}{
		{"nothing", nil, false},
		{"empty", []corev1.LoadBalancerIngress{}, false},
		{"ours", []corev1.LoadBalancerIngress{{Hostname: "web.shop.minilb"}}, true},
		{"another domain's", []corev1.LoadBalancerIngress{{Hostname: "web.shop.old"}}, false},
		{"an IP", []corev1.LoadBalancerIngress{{IP: "192.0.2.1", IPMode: &proxy}}, false},
		{"ours and an IP", []corev1.LoadBalancerIngress{{Hostname: "web.shop.minilb"}, {IP: "192.0.2.1", IPMode: &proxy}}, false},
		{"ours with ports", []corev1.LoadBalancerIngress{{Hostname: "web.shop.minilb", Ports: []corev1.PortStatus{{Port: 80, Protocol: "TCP"}}}}, false},
	}
	for _, tc := range tests {
		full := web(1, "")
		full.Status.LoadBalancer.Ingress = tc.have
		c := &Controller{options: Options{Class: "minilb", Domain: "minilb"}}
		if got := !c.transform(full).pending; got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// S8, S11
func TestStaleWrite(t *testing.T) {
	resource := schema.GroupResource{Resource: "services"}
	invalid := func(problem *field.Error) error {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "web", field.ErrorList{problem})
	}
	ingress := field.NewPath("status", "loadBalancer", "ingress")
	tests := []struct {
		name string
		err  error
		uids []types.UID // of the Service as it is
		want bool
	}{
		{"gone", apierrors.NewNotFound(resource, "web"), nil, true},
		{"gone, as a conflict", apierrors.NewConflict(resource, "web", errors.New("uid mismatch: the provided object specified uid a, and no existing object was found")), nil, true},
		{"wrapped", fmt.Errorf("apply: %w", apierrors.NewNotFound(resource, "web")), nil, true},
		{"re-created", invalid(field.Invalid(field.NewPath("metadata", "uid"), "x", "field is immutable")), nil, true},
		{"re-created, as a conflict", apierrors.NewConflict(resource, "web", errors.New("Precondition failed: UID in precondition: a, UID in object meta: b")), []types.UID{"b"}, true},
		{"no LoadBalancer", invalid(field.Forbidden(ingress, "may only be used when `spec.type` is 'LoadBalancer'")), nil, true},
		{"wrapped, no LoadBalancer", fmt.Errorf("apply: %w", invalid(field.Forbidden(ingress, "may only be used when `spec.type` is 'LoadBalancer'"))), nil, true},
		{"another conflict", apierrors.NewConflict(resource, "uid", errors.New("the object has been modified")), []types.UID{"a"}, false},
		{"a hostname that is refused", invalid(field.Invalid(ingress.Index(0).Child("hostname"), "x", "must be a DNS name")), nil, false},
		{"a list that is refused", invalid(field.Invalid(ingress, "x", "must have at most 0 items")), nil, false},
		{"an admission policy", invalid(field.Invalid(field.NewPath(""), "x", "ValidatingAdmissionPolicy denied request")), nil, false},
		{"forbidden", apierrors.NewForbidden(resource, "web", errors.New("no")), nil, false},
		{"unreachable", errors.New("connection refused"), nil, false},
	}
	for _, tc := range tests {
		client := fake.NewClientset()
		for _, uid := range tc.uids {
			if err := client.Tracker().Add(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: uid}}); err != nil {
				t.Fatal(err)
			}
		}
		known := &service{name: cache.ObjectName{Namespace: "shop", Name: "web"}, uid: "a"}
		if got := staleWrite(t.Context(), client, known, tc.err); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
