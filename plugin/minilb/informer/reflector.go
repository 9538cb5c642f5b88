package informer

import (
	"context"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/plugin/minilb/kube"
)

// List is what all list types of the API have in common.
type List interface {
	runtime.Object
	metav1.ListInterface
}

// Client lists and watches one resource, as the typed clients of client-go do.
type Client[L List] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// Run fills a Store from the API server, with the objects that a field selector selects, until the context is cancelled.
func Run[L List, R Full, T Object](ctx context.Context, s *Store[R, T], client Client[L], selector string) {
	s.begin()
	runReflector[R](ctx, s.String(), listWatch(s.Observe, s.listed, func(full runtime.Object) any { return s.known(full) }, client, selector), s)
}

// runReflector writes what the API server lists and watches into a store until the context is cancelled.
func runReflector[R Full](ctx context.Context, name string, lw cache.ListerWatcher, store cache.ReflectorStore) {
	backoff := kube.Reconnect
	expected := reflect.New(reflect.TypeFor[R]().Elem()).Interface()
	reflector := cache.NewReflectorWithOptions(lw, expected, store, cache.ReflectorOptions{Name: name, Backoff: &backoff})
	reflector.RunWithContext(klog.NewContext(ctx, klog.Logger{})) // its own lines would repeat at each attempt what Status logs once
}

// listWatch wraps a typed client so that observe sees the outcome of each request, but listed that of a list that works,
// that a list is reduced page by page, and that a watch is resumed only if it is the same API server's. After a broken
// connection that is not certain, so that the objects are listed anew: kube.RelistPolicy says why.
func listWatch[L List](observe func(context.Context, error), listed func(), reduce func(runtime.Object) any, c Client[L], selector string) cache.ListerWatcher {
	resumption := &kube.RelistPolicy{}
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := kube.ListReduced(resumption.Listing(ctx, &options), options, c.List, reduce)
			if err != nil {
				observe(ctx, err)
			} else {
				listed()
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			w, err := resumption.Watch(ctx, options, c.Watch)
			if err != nil && options.SendInitialEvents != nil {
				// A server that cannot stream its first list may just be old. The reflector turns to an ordinary list at
				// once; with the error as it is it would rather sleep, beyond the end of the context, while the server is
				// away.
				return nil, fmt.Errorf("stream the first list: %v", err)
			}
			if err == nil && options.SendInitialEvents != nil {
				return w, nil // it may yet break off before all is sent; Replace observes that it has been
			}
			observe(ctx, err)
			return w, err
		},
	}, c)
}
