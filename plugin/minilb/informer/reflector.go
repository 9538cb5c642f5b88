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

// List is any list type of the API.
type List = kube.List

// Client lists and watches one resource, as the typed clients of client-go do.
type Client[L List] interface {
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// Run fills a Store with the objects that a field selector selects until the context is cancelled.
func Run[L List, R Full, T Object](ctx context.Context, s *Store[R, T], client Client[L], selector string) {
	s.begin()
	runReflector(ctx, s, s, client, selector)
}

// target is what a reflector fills: a Store, or one version of it.
type target interface {
	cache.TransformingStore
	cache.ReflectorBookmarkStore
	Observe(context.Context, error)
}

// runReflector writes what the API server lists and watches into a Store's target until the context is cancelled.
func runReflector[L List, R Full, T Object](ctx context.Context, s *Store[R, T], into target, client Client[L], selector string) {
	lw := listWatch(into.Observe, s.listed, func(full runtime.Object) runtime.Object { return s.known(full) }, client, selector)
	expected := reflect.New(reflect.TypeFor[R]().Elem()).Interface()
	reflector := cache.NewReflectorWithOptions(lw, expected, into, cache.ReflectorOptions{Name: s.String(), Backoff: new(kube.Reconnect)})
	reflector.RunWithContext(klog.NewContext(ctx, klog.Logger{})) // its own lines would repeat at each attempt what Status logs once
}

// listWatch wraps a typed client: observe gets the outcome of each request, but listed that of a list that works; lists are
// reduced page by page; and kube.RelistPolicy decides whether a watch is resumed.
func listWatch[L List](
	observe func(context.Context, error), listed func(), reduce func(runtime.Object) runtime.Object, c Client[L], selector string,
) cache.ListerWatcher {
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
				// The server may be too old to stream. With the error's type the reflector would sleep, beyond the end of
				// the context, in place of an ordinary list.
				return nil, fmt.Errorf("stream the first list: %v", err)
			}
			if options.SendInitialEvents == nil { // else it may break off before all is sent: Replace observes the end
				observe(ctx, err)
			}
			return w, err
		},
	}, c)
}
