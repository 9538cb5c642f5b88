package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// ListThenWatch keeps a reflector from streaming its first list: while the API server is away a
// stream's retry sleeps through the end of the context, a list's does not.
type ListThenWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is what the reflector asks.
func (ListThenWatch) IsWatchListSemanticsUnSupported() bool { return true }

// pageSize returns how many objects a request for such a list asks for. A list in one piece has no bound at all:
// whoever may create objects could make it larger than the memory of its readers, which is 512 MB by the shipped
// manifests. etcd keeps no object of more than 1.5 MB; most have a thousandth of that.
func pageSize(list any) int64 {
	switch list.(type) {
	case *unstructured.UnstructuredList:
		// 330 MB: short keys take ten times their JSON as maps, beside that.
		return 20
	case *corev1.NodeList:
		// 120 MB: those who read Nodes have 256 MB.
		return 10
	case *discoveryv1.EndpointSliceList:
		// 215 MB: a controller puts 1,000 endpoints at most into one, of 160 bytes and 270 when decoded. Tenants
		// write none (E15), and there are most of them, so that round trips count.
		return 500
	}
	// 410 MB: short labels take 4.5 times what they do in protobuf, beside that.
	return 50
}

// Reduced is what is kept of an object of a list, in the form in which a reflector hands lists over.
type Reduced struct{ Object any }

// GetObjectKind implements the runtime.Object interface.
func (r *Reduced) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements the runtime.Object interface. Nobody changes what is kept.
func (r *Reduced) DeepCopyObject() runtime.Object { return r }

// ListReduced makes the requests for a list, page by page, and returns what reduce keeps of its objects, as
// *Reduced. An object must not be kept itself. The list is as the API server has it now: its cache, which a
// resourceVersion lets it answer from, has no pages. An error for which apierrors.IsResourceExpired holds lets a
// reflector begin the list anew.
func ListReduced[L interface {
	runtime.Object
	metav1.ListInterface
}](ctx context.Context, options metav1.ListOptions, request func(context.Context, metav1.ListOptions) (L, error), reduce func(runtime.Object) any) (*metainternalversion.List, error) {
	options.ResourceVersion, options.ResourceVersionMatch, options.Limit = "", "", pageSize(*new(L))
	all := &metainternalversion.List{}
	for {
		page, err := request(ctx, options)
		if err = Listed(page, err); err != nil {
			return nil, err
		}
		err = meta.EachListItem(page, func(object runtime.Object) error {
			all.Items = append(all.Items, &Reduced{reduce(object)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		all.ResourceVersion = page.GetResourceVersion()
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return all, nil
		}
	}
}
