package podnetworks

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/minilb/minilb/plugin/minilb/informer"
)

// discoveryInterval is the least time between two discoveries of resources that come or go, beside those that a watch triggers.
const discoveryInterval = 5 * time.Minute

// Watcher watches what the API server's own resources say of pod networks (R21).
type Watcher struct {
	provider  Provider
	discovery *informer.Discovery // nil if Nodes say it all
	stores    map[schema.GroupVersionResource]*informer.Store[*unstructured.Unstructured, *Object]
}

// NewWatcher returns a Watcher for a provider, for Auto of all of them. The server's hooks are called for it.
func NewWatcher(clients *Clients, server *informer.Server, provider Provider) *Watcher {
	w := &Watcher{provider: provider, stores: map[schema.GroupVersionResource]*informer.Store[*unstructured.Unstructured, *Object]{}}
	for _, k := range kinds {
		if provider != Auto && provider != k.provider {
			continue
		}
		if w.discovery == nil {
			w.discovery = informer.NewDiscovery(server, "/apis", clients.Served, discoveryInterval)
			w.discovery.OnDiscovered, w.discovery.OnVersion = func() {}, func(*informer.Status, string, string) {}
		}
		resource := informer.Resource{Kind: k.kind, Name: k.resource.Resource, Group: k.resource.Group, Optional: true}
		store := informer.NewStore(server.Watch(resource, nil), k.reduce)
		informer.Follow(w.discovery, store,
			func(served informer.Served) schema.GroupVersionResource {
				if !k.wanted(provider, served) {
					return schema.GroupVersionResource{}
				}
				return k.resource
			},
			func(resource schema.GroupVersionResource) informer.Client[*unstructured.UnstructuredList] {
				return clients.Dynamic.Resource(resource)
			}, "")
		w.stores[k.resource] = store
	}
	return w
}

// Run watches until the context is cancelled.
func (w *Watcher) Run(ctx context.Context) {
	if w.discovery != nil {
		w.discovery.Run(ctx)
	}
}

// Known reports whether all is known that the provider needs: what is forbidden is not, unless another one may be chosen. A
// resource that fails is awaited, as what others say could be wrong.
func (w *Watcher) Known() bool {
	if w.discovery == nil {
		return true
	}
	known := func(state informer.State) bool {
		return state == informer.Listed || state == informer.NotServed || state == informer.Forbidden && w.provider == Auto
	}
	if state := w.discovery.State(); state != informer.Listed {
		return known(state)
	}
	for _, store := range w.stores {
		if !known(store.State()) {
			return false
		}
	}
	return true
}

// Found returns what is known.
func (w *Watcher) Found() Found {
	found := Found{Objects: map[schema.GroupVersionResource][]*Object{}}
	if w.discovery != nil && w.discovery.State() == informer.Forbidden {
		found.Unread = append(found.Unread, apiGroups)
	}
	for _, k := range kinds {
		store := w.stores[k.resource]
		switch {
		case store == nil:
		case store.State() == informer.Forbidden:
			found.Unread = append(found.Unread, k.resource.GroupResource().String())
		case store.Known():
			found.Objects[k.resource] = store.List()
		}
	}
	return found
}

// Sources returns which resources are known: when others are, another provider may be the right one.
func (w *Watcher) Sources() (known []string) {
	for resource, store := range w.stores {
		if store.Known() {
			known = append(known, resource.String())
		}
	}
	slices.Sort(known)
	return known
}
