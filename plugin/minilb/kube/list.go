package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// pageSize is how many objects a request for a list asks for. etcd keeps none of more than 1.5 MB, so that
// a page is at most 150 MB while it is decoded; most are a thousandth of that. A list in one piece has no
// bound at all: whoever may create objects could make it larger than the memory of its readers.
const pageSize = 100

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
	options.ResourceVersion, options.ResourceVersionMatch, options.Limit = "", "", pageSize
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
