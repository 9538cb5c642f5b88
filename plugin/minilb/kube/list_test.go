package kube

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// pages is a client that has Services in pages of two. What it is asked for it notes.
type pages struct {
	names   []string
	asked   []metav1.ListOptions
	expired bool // from the second page on
}

func (p *pages) list(_ context.Context, options metav1.ListOptions) (*corev1.ServiceList, error) {
	p.asked = append(p.asked, options)
	from := 0
	fmt.Sscanf(options.Continue, "from-%d", &from)
	if from > 0 && p.expired {
		return nil, apierrors.NewResourceExpired("compacted")
	}
	page := &corev1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	for _, name := range p.names[from:min(from+2, len(p.names))] {
		page.Items = append(page.Items, corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	if from+2 < len(p.names) {
		page.Continue = fmt.Sprintf("from-%d", from+2)
	}
	return page, nil
}

// C7c: a list comes in pages, of which nothing is left but what is kept of their objects. A reflector takes it as any other.
func TestListReduced(t *testing.T) {
	for n := range 6 {
		p := &pages{names: []string{"a", "b", "c", "d", "e"}[:n]}
		seen := 0
		list, err := ListReduced(t.Context(), metav1.ListOptions{ResourceVersion: "0", FieldSelector: "spec.type=LoadBalancer"}, p.list, func(full runtime.Object) runtime.Object {
			if seen++; len(p.asked) != (seen+1)/2 {
				t.Errorf("object %d is reduced after %d pages", seen, len(p.asked))
			}
			return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: full.(*corev1.Service).Name}}
		})
		if err != nil {
			t.Fatal(err)
		}
		objects, err := meta.ExtractListWithAlloc(list)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, object := range objects {
			got = append(got, object.(*corev1.Node).Name)
		}
		if !slices.Equal(got, p.names) || list.ResourceVersion != "7" || list.Continue != "" {
			t.Errorf("got %v as of %q, want %v", got, list.ResourceVersion, p.names)
		}
		for _, options := range p.asked {
			if options.Limit != 50 || options.ResourceVersion != "" || options.FieldSelector == "" {
				t.Errorf("asked for %+v", options)
			}
		}
	}
}

// C7c: pages of what takes more memory are smaller.
func TestPageSize(t *testing.T) {
	nodes, custom := pageSize((*corev1.NodeList)(nil)), pageSize((*unstructured.UnstructuredList)(nil))
	typed, slices := pageSize((*corev1.ServiceList)(nil)), pageSize((*discoveryv1.EndpointSliceList)(nil))
	if nodes >= custom || custom >= typed || typed >= slices {
		t.Errorf("got %d, %d, %d and %d objects", nodes, custom, typed, slices)
	}
}

// What makes a reflector begin anew is passed on to it, and what is no list is none.
func TestListReducedErrors(t *testing.T) {
	p := &pages{names: []string{"a", "b", "c"}, expired: true}
	keep := func(full runtime.Object) runtime.Object { return full }
	if _, err := ListReduced(t.Context(), metav1.ListOptions{}, p.list, keep); !apierrors.IsResourceExpired(err) {
		t.Errorf("got %v", err)
	}
	none := func(context.Context, metav1.ListOptions) (*corev1.ServiceList, error) {
		return &corev1.ServiceList{}, nil
	}
	if _, err := ListReduced(t.Context(), metav1.ListOptions{}, none, keep); err == nil {
		t.Error("an answer without a resourceVersion is a list")
	}
}
