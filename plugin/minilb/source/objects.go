package source

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
)

// InspectObjects returns the Inspections of a cluster that has these objects and no others, without
// any API server. Services, EndpointSlices, Ingresses and Namespaces are of their Go types, objects of
// the Gateway API are *unstructured.Unstructured; all else is not looked at. A kind of the Gateway API
// is served in the versions that its objects have, and not at all if there are none.
func InspectObjects(objects []runtime.Object, hooks Hooks, options ...config.Options) ([]*Inspection, error) {
	w, all, err := newInspections(&rest.Config{}, hooks, options)
	if err != nil {
		return nil, err
	}
	w.load(objects)
	for _, i := range all {
		i.judge()
	}
	return all, nil
}

// load fills all tables as if the API server had listed these objects.
func (w *Watcher) load(objects []runtime.Object) {
	offered := offer{}
	for _, object := range objects {
		if custom, ok := object.(*unstructured.Unstructured); ok {
			kind := custom.GroupVersionKind()
			offered[kind.GroupVersion().WithResource(resources[kind.Kind])] = true
		}
	}
	for _, table := range w.gatewayAPI.tables {
		table.offer(offered)
	}
	w.gatewayAPI.health.setSynced()
	for _, table := range w.stored {
		table.load(objects)
	}
}

// offer chooses the version of those that are served, which nothing watches.
func (v *versioned[R, T]) offer(offered offer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.chosen = v.choose(offered)
	v.absent.Store(v.chosen.Empty())
}

// load takes those of the objects that a list for the table would have.
func (t *table[R, T]) load(objects []runtime.Object) {
	if t.absent.Load() {
		return
	}
	var list []any
	for _, object := range objects {
		full, ok := object.(R)
		if !ok {
			continue
		}
		if kind := object.GetObjectKind().GroupVersionKind(); kind != (schema.GroupVersionKind{}) && !strings.EqualFold(kind.Kind, t.kind) {
			continue
		}
		key := t.reduced(full).Key()
		if t.scope == "" || t.scope == key.Namespace || key == cache.NewObjectName("", t.scope) { // a Namespace's scope is its name
			list = append(list, full)
		}
	}
	t.replace(list)
}
