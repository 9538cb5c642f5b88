package controller

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// owned returns what the API server notes of a manager who has applied a status.
func owned(manager string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: "status",
		FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`),
	}
}

// S13, S6, M5, M8: whose status is removed.
func TestWritten(t *testing.T) {
	now := metav1.Now()
	tests := []struct {
		name                string
		change              func(*corev1.Service)
		want, wantByDefault bool
	}{
		{"ours", func(*corev1.Service) {}, true, true},
		{"of another domain", func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].Hostname = "web.shop.old" }, true, true},
		{"ignored", func(s *corev1.Service) { s.Labels = map[string]string{"minilb/ignore": "true"} }, true, true},
		{"deleted", func(s *corev1.Service) { s.DeletionTimestamp = &now }, true, true},
		{"owned with others", func(s *corev1.Service) { s.ManagedFields = append(s.ManagedFields, owned("rival")) }, true, true},
		{"without class", func(s *corev1.Service) { s.Spec.LoadBalancerClass = nil }, false, true},
		{"of another class", func(s *corev1.Service) { *s.Spec.LoadBalancerClass = "metallb" }, false, false},
		{"of another type", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }, false, false},
		{"never written", func(s *corev1.Service) { s.ManagedFields = nil }, false, false},
		{"a rival's", func(s *corev1.Service) { s.ManagedFields[0].Manager = "rival" }, false, false},
		{"not applied", func(s *corev1.Service) { s.ManagedFields[0].Operation = metav1.ManagedFieldsOperationUpdate }, false, false},
		{"not through the status", func(s *corev1.Service) { s.ManagedFields[0].Subresource = "" }, false, false},
		{"conditions alone", func(s *corev1.Service) {
			s.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:status":{"f:conditions":{"f:ingress":{}}}}`)
		}, false, false},
		{"given up before", func(s *corev1.Service) {
			s.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:status":{"f:loadBalancer":{}}}`)
		}, false, false},
		{"malformed", func(s *corev1.Service) { s.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`[]`) }, false, false},
		{"without fields", func(s *corev1.Service) { s.ManagedFields[0].FieldsV1 = nil }, false, false},
	}
	for _, tc := range tests {
		service := web(1, "web.shop.minilb")
		service.ManagedFields = []metav1.ManagedFieldsEntry{owned("minilb")}
		tc.change(service)
		if got := written(service, Options{Class: "minilb"}); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		if got := written(service, Options{Class: "minilb", DefaultClass: true}); got != tc.wantByDefault {
			t.Errorf("%s, default class: got %v, want %v", tc.name, got, tc.wantByDefault)
		}
	}
}

// S13: what goes over the wire and what is told.
func TestCleanup(t *testing.T) {
	resource := schema.GroupResource{Resource: "services"}
	forbidden := apierrors.NewForbidden(resource, "web", errors.New("no"))
	refused := apierrors.NewConflict(resource, "web", errors.New("the policy\nsays no"))
	tests := []struct {
		name     string
		services string                                   // the names of those that are ours
		patch    func(name string) (left string, _ error) // what stays
		out, err string                                   // err is contained in the error
	}{
		{"none", "", nil, "nothing to do: no Service of class minilb has a status that minilb has applied\n", ""},
		{"two", "api web", func(string) (string, error) { return "", nil },
			"service shop/api: status removed\nservice shop/web: status removed\nremoved the status of 2 of 2 Services of class minilb\n", ""},
		{"another's, too", "web", func(string) (string, error) { return "rival", nil },
			"service shop/web: status kept, for it is also that of rival\nremoved the status of 0 of 1 Services of class minilb\n", ""},
		{"gone", "web", func(string) (string, error) { return "", apierrors.NewNotFound(resource, "web") },
			"service shop/web: deleted or of another type meanwhile\nremoved the status of 0 of 1 Services of class minilb\n", ""},
		{"forbidden", "api web", func(string) (string, error) { return "", forbidden },
			"removed the status of 0 of 2 Services of class minilb\n", "services/status: patch is forbidden: "},
		{"one refused", "api web", func(name string) (string, error) {
			if name == "api" {
				return "", refused
			}
			return "", nil
		}, "service shop/web: status removed\nremoved the status of 1 of 2 Services of class minilb\n", "service shop/api: services/status: cannot patch: "},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			list := &corev1.ServiceList{Items: []corev1.Service{*web(1, "192.0.2.7"), *web(1, "other")}}
			*list.Items[1].Spec.LoadBalancerClass = "metallb"
			for name := range strings.FieldsSeq(tc.services) {
				service := web(1, name+".shop.old")
				service.Name, service.ManagedFields = name, []metav1.ManagedFieldsEntry{owned("minilb")}
				list.Items = append(list.Items, *service)
			}
			client := fake.NewClientset()
			client.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) { return true, list, nil })
			client.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
				patch := action.(clienttesting.PatchActionImpl)
				want := `{"kind":"Service","apiVersion":"v1","metadata":{"name":"` + patch.Name + `","namespace":"shop","uid":"uid-1"}}`
				if string(patch.Patch) != want || patch.Subresource != "status" || patch.PatchOptions.FieldManager != "minilb" {
					t.Errorf("got a patch %s of %q by %q, want %s", patch.Patch, patch.Subresource, patch.PatchOptions.FieldManager, want)
				}
				rival, err := tc.patch(patch.Name)
				service := web(2, "web.shop.old")
				service.ManagedFields = []metav1.ManagedFieldsEntry{owned(rival)}
				if rival == "" {
					service.Status.LoadBalancer.Ingress, service.ManagedFields = nil, nil
				}
				return true, service, err
			})
			var out strings.Builder
			err := Cleanup(t.Context(), client, Options{Class: "minilb"}, &out)
			if out.String() != tc.out {
				t.Errorf("got\n%swant\n%s", &out, tc.out)
			}
			if (err == nil) != (tc.err == "") || err != nil && (!strings.HasPrefix(err.Error(), tc.err) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("got error %v, want one line with %q", err, tc.err)
			}
		})
	}
}

// A cleanup that is interrupted is not done.
func TestCleanupInterrupted(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, context.Canceled
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Cleanup(ctx, client, Options{Class: "minilb"}, new(strings.Builder))
	if err == nil || errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "interrupted") {
		t.Errorf("got error %v, want one of our own", err)
	}
}
