// Package cluster keeps the objects of one API server that names are made of: a store per kind and namespace, which
// kinds are served, and the snapshot. It knows no DNS.
package cluster

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Cluster keeps stores of the objects up to date, however many plugin blocks read them. What is read of the objects is
// what all of these need: until Run, Require and the methods that return stores add to it.
type Cluster struct {
	*informer.Server
	clients  *Clients
	log      informer.Logger
	onChange []func()
	run      []func(context.Context) // one a goroutine, started by Run

	fields         object.Fields
	namespaceNames bool // some zone has names that are kept for Namespaces (C7)

	services   map[string]*Services
	slices     map[string]*EndpointSlices
	ingresses  map[string]*Ingresses
	gatewayAPI gatewayAPI
	stores     []store // all of them
	snapshot   *keeper // nil if none is kept
}

// New returns the Cluster of the API server that config names. Nothing is dialled before Run.
func New(config *rest.Config, log informer.Logger) (*Cluster, error) {
	clients, err := NewClients(config)
	if err != nil {
		return nil, err
	}
	return NewForClients(clients, log)
}

// NewForClients is New with clients that are there.
func NewForClients(clients *Clients, log informer.Logger) (*Cluster, error) {
	c := &Cluster{
		Server:    &informer.Server{Log: log},
		clients:   clients,
		log:       log,
		services:  map[string]*Services{},
		slices:    map[string]*EndpointSlices{},
		ingresses: map[string]*Ingresses{},
	}
	c.Server.OnChange = c.MarkDirty
	c.Server.OnStatus = func() {
		for _, f := range c.onChange {
			f()
		}
		c.MarkDirty() // it may be all that was missing
	}
	return c, c.newGatewayAPI()
}

// Require adds what a plugin block needs of the objects, with their identity or without. It must be called before Run.
func (c *Cluster) Require(o *config.Options, identity bool) {
	f := &c.fields
	f.Classes = append(f.Classes, o.Class)
	if o.DefaultClass {
		f.Classes = append(f.Classes, "")
	}
	f.Classes = config.Distinct(f.Classes)
	f.HostAnnotations = config.Distinct(slices.Concat(f.HostAnnotations, o.HostAnnotations))
	f.HTTPS = f.HTTPS || o.HTTPS
	f.Nodes = f.Nodes || o.Probe != 0
	f.Identity = f.Identity || identity
	c.namespaceNames = c.namespaceNames || o.Gateways && o.Services && len(o.Zones) > 0
}

// RequireAll adds what an inspection shows beyond that: the nodes of endpoints, hosts of Services that nobody exposes, and
// labels and annotations.
func (c *Cluster) RequireAll() {
	c.fields.Nodes, c.fields.Unexposed, c.fields.Annotations = true, true, true
}

// OnChange lets f be called whenever the State of a watch has changed. It must be called before Run.
func (c *Cluster) OnChange(f func()) { c.onChange = append(c.onChange, f) }

// LogShared makes log the log of what concerns the API server as such, and Services, for a reader to which these matter more
// than the other kinds. It must be called before Run, after the stores were asked for.
func (c *Cluster) LogShared(log informer.Logger) {
	c.Server.Log = log
	for _, s := range c.services {
		s.Log = log
	}
}

// Run watches until the context is cancelled, and returns when everything that it started has ended.
func (c *Cluster) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer c.clients.close()
	defer running.Wait()
	for _, run := range c.run {
		running.Go(func() { run(ctx) })
	}
}

// NeverAnswered reports whether nothing has been heard of the API server since the start.
func (c *Cluster) NeverAnswered() bool { return !c.clients.answered.Load() }

// Trouble returns why the API server, or a kind that no zone can be answered without, cannot be read, "" if that is not
// known.
func (c *Cluster) Trouble() string {
	failure := c.Failure()
	for _, s := range c.Watches() {
		if failure == nil && !s.Optional && !s.Known() {
			failure = s.Failure()
		}
	}
	if failure == nil {
		return ""
	}
	return failure.Text
}

// WatchStatus is the state of one kind's watches.
type WatchStatus struct {
	Kind      string    // "service", "endpointslice", "httproute" and so on
	Synced    bool      // its objects are known, in all namespaces that are watched
	LastEvent time.Time // when the API server last said anything about it, a bookmark included; zero for never
}

// Status returns the state of each kind that is watched, in no particular order. Kinds that the API server does not
// serve are left out.
func (c *Cluster) Status() []WatchStatus {
	byKind := map[string]*WatchStatus{}
	for _, of := range c.stores {
		w := of.status()
		state := w.State()
		if state == informer.NotServed {
			continue
		}
		s := byKind[w.Kind]
		if s == nil {
			s = &WatchStatus{Kind: w.Kind, Synced: true}
			byKind[w.Kind] = s
		}
		s.Synced = s.Synced && state == informer.Listed
		if last := w.LastEvent(); last.After(s.LastEvent) {
			s.LastEvent = last
		}
	}
	var statuses []WatchStatus
	for _, s := range byKind {
		statuses = append(statuses, *s)
	}
	return statuses
}

// There reports whether the object with the UID is in a store, which it can be only with Fields.Identity.
func (c *Cluster) There(kind, namespace, name string, uid types.UID) bool {
	return uid != "" && slices.ContainsFunc(c.stores, func(s store) bool {
		if !strings.EqualFold(s.status().Kind, kind) {
			return false
		}
		is := s.get(cache.NewObjectName(namespace, name))
		return is != nil && is.UID == uid
	})
}

// Lint yields what is wrong with the labels and annotations of objects, if somebody requires their identity.
func (c *Cluster) Lint() iter.Seq[*object.Problem] {
	return func(yield func(*object.Problem) bool) {
		for _, s := range c.stores {
			for _, meta := range s.metadata() {
				for i := range meta.Lint {
					if !yield(&meta.Lint[i]) {
						return
					}
				}
			}
		}
	}
}

// kept returns the store of a namespace, "" for all, which is made for the first that asks.
func kept[T any](stores map[string]T, namespace string, make func(string) T) T {
	store, made := stores[namespace]
	if !made {
		store = make(namespace)
		stores[namespace] = store
	}
	return store
}

// NamespacesOf returns the namespaces that a plugin block is limited to, "" for all of them.
func NamespacesOf(o *config.Options) []string {
	if len(o.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return o.Namespaces
}
