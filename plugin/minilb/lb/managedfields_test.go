package lb

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S12, S13
func TestStatusWriter(t *testing.T) {
	ingress, ports := metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`), metav1.NewFieldsV1(`{"f:spec":{"f:ports":{}}}`)
	emptied := metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{}}}`)
	at := func(seconds int64) *metav1.Time { t := metav1.Unix(seconds, 0); return &t }
	for _, tc := range []struct {
		name    string
		entries []metav1.ManagedFieldsEntry
		want    string
	}{
		{"nobody", nil, ""},
		{"no time", []metav1.ManagedFieldsEntry{{Manager: "a", FieldsV1: ingress}}, ""},
		{"the last", []metav1.ManagedFieldsEntry{{Manager: "a", Time: at(1), FieldsV1: ingress}, {Manager: "b", Time: at(3), FieldsV1: ingress}, {Manager: "c", Time: at(2), FieldsV1: ingress}}, "b"},
		{"who emptied it", []metav1.ManagedFieldsEntry{{Manager: "a", Time: at(1), FieldsV1: ingress}, {Manager: "b", Time: at(2), FieldsV1: emptied}}, "b"},
		{"of the status", []metav1.ManagedFieldsEntry{{Manager: "a", Time: at(1), FieldsV1: ingress}, {Manager: "kubectl", Time: at(2), FieldsV1: ports}, {Manager: "odd", Time: at(3)}}, "a"},
		{"malformed", []metav1.ManagedFieldsEntry{{Manager: "a", Time: at(1), FieldsV1: metav1.NewFieldsV1(`["f:loadBalancer"]`)}}, ""},
	} {
		if got := StatusWriter(tc.entries); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	for fields, want := range map[*metav1.FieldsV1]bool{nil: false, ingress: true, emptied: false, ports: false} {
		if got := OwnsIngress(metav1.ManagedFieldsEntry{FieldsV1: fields}); got != want {
			t.Errorf("%v: got %v", fields, got)
		}
	}
}
