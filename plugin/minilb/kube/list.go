package kube

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// pageSize returns the limit of a request for such a list. Without one, whoever may create objects could make the list
// larger than the memory of its readers, 512 MB in the shipped manifests. etcd stores objects of up to 1.5 MB. The
// numbers below are the memory that a page of the largest objects takes.
func pageSize(list any) int64 {
	switch list.(type) {
	case *unstructured.UnstructuredList:
		// 330 MB: as maps, short keys take ten times their JSON.
		return 20
	case *corev1.NodeList:
		// 120 MB: readers of Nodes have 256 MB.
		return 10
	case *discoveryv1.EndpointSliceList:
		// 215 MB: a controller puts at most 1,000 endpoints into one, of 270 bytes when decoded. Tenants cannot
		// write them (E15), and there are more of them than of any other kind.
		return 500
	}
	// 410 MB: short labels take 4.5 times their protobuf.
	return 50
}

// List is any list type of the API.
type List interface {
	runtime.Object
	metav1.ListInterface
}

// ListReduced requests a list page by page, and returns the results of reduce, which must not retain the object. The list is
// the current one: the API server's cache, which answers requests with a resourceVersion, has no pages. On an error for
// which apierrors.IsResourceExpired holds a reflector starts the list again.
func ListReduced[L List](
	ctx context.Context, options metav1.ListOptions, request func(context.Context, metav1.ListOptions) (L, error),
	reduce func(runtime.Object) runtime.Object,
) (*metainternalversion.List, error) {
	options.ResourceVersion, options.ResourceVersionMatch, options.Limit = "", "", pageSize(*new(L))
	all := &metainternalversion.List{}
	for {
		page, err := request(ctx, options)
		if err != nil {
			return nil, err
		}
		if page.GetResourceVersion() == "" { // client-go takes any JSON object without a kind for an empty list
			return nil, errors.New("the answer is no list of an API server: it has no resourceVersion")
		}
		err = meta.EachListItem(page, func(object runtime.Object) error {
			all.Items = append(all.Items, reduce(object))
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
