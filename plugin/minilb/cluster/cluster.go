// Package cluster keeps the objects of one API server: a store per kind and namespace, which kinds are served, and the
// snapshot. It knows no DNS.
package cluster

import (
	"context"
	"fmt"
	"maps"
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
	"github.com/minilb/minilb/plugin/minilb/snapshot"
)

// Cluster keeps the stores that several plugin blocks share. Require and the methods that return stores add to what is read;
// they must be called before Run.
type Cluster struct {
	*informer.Server
	clients  *Clients
	log      informer.Logger
	onChange []func()
	run      []func(context.Context) // one a goroutine, started by Run

	fields         object.Fields
	namespaceNames bool // some zone has names that are kept for Namespaces (C7)

	made      map[string]any // what the methods that return stores have returned, by kind and namespace
	stores    []store
	discovery *informer.Discovery // of the Gateway API, nil unless there is a store of it
	interval  time.Duration       // of discovery

	snapshot *snapshot.Writer // nil if none is kept
	restored func() bool      // restores the snapshot once, and reports whether it could be used
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
	interval, err := time.ParseDuration(discoveryInterval)
	if err != nil {
		return nil, fmt.Errorf("discovery interval: %w", err)
	}
	c := &Cluster{Server: &informer.Server{Log: log}, clients: clients, log: log, made: map[string]any{}, interval: interval}
	c.Server.OnChange = c.MarkDirty
	c.Server.OnStatus = func() {
		for _, f := range c.onChange {
			f()
		}
		c.MarkDirty() // it may be all that was missing
	}
	return c, nil
}

// Require adds what a plugin block needs of the objects, and their identity if that is true.
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

// RequireAll adds what only an inspection needs.
func (c *Cluster) RequireAll() {
	c.fields.Nodes, c.fields.Unexposed, c.fields.Annotations = true, true, true
}

// OnChange makes f be called after each change of a watch's State. It must be called before Run.
func (c *Cluster) OnChange(f func()) { c.onChange = append(c.onChange, f) }

// LogShared sets the log of the API server as such, and of the Services that were asked for. It must be called before Run.
func (c *Cluster) LogShared(log informer.Logger) {
	c.Server.Log = log
	for _, s := range c.stores {
		if status := s.status(); status.Kind == "service" {
			status.Log = log
		}
	}
}

// Run watches until the context is cancelled, and returns when everything that it started has ended.
func (c *Cluster) Run(ctx context.Context) {
	var running sync.WaitGroup
	if dialer := c.clients.dialer; dialer != nil {
		defer dialer.CloseAll() // those of cancelled requests are not idle yet, and would stay for 90 s
	}
	defer running.Wait()
	for _, run := range c.run {
		running.Go(func() { run(ctx) })
	}
}

// NeverAnswered reports whether the API server has not answered since the start.
func (c *Cluster) NeverAnswered() bool { return !c.clients.answered.Load() }

// Trouble returns why the API server, or a kind that every zone needs, cannot be read, "" if that is not known.
func (c *Cluster) Trouble() string {
	failure := c.Failure()
	for _, s := range c.Watches {
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
	Synced    bool      // the API server has listed it in all namespaces that are watched
	LastEvent time.Time // of any kind, a bookmark included; zero for never
}

// Status returns the state of each kind that is watched and served, in no particular order.
func (c *Cluster) Status() []WatchStatus {
	byKind := map[string]WatchStatus{}
	for _, of := range c.stores {
		w := of.status()
		state := w.State()
		if state == informer.NotServed {
			continue
		}
		s, seen := byKind[w.Kind]
		s.Kind = w.Kind
		s.Synced = (s.Synced || !seen) && state == informer.Listed
		if last := w.LastEvent(); last.After(s.LastEvent) {
			s.LastEvent = last
		}
		byKind[w.Kind] = s
	}
	return slices.Collect(maps.Values(byKind))
}

// There reports whether the object with the UID is in a store. It needs Fields.Identity.
func (c *Cluster) There(kind, namespace, name string, uid types.UID) bool {
	return uid != "" && slices.ContainsFunc(c.stores, func(s store) bool {
		if !strings.EqualFold(s.status().Kind, kind) {
			return false
		}
		is := s.get(cache.NewObjectName(namespace, name))
		return is != nil && is.UID == uid
	})
}

// Lint returns what is wrong with the labels and annotations of objects, if somebody requires their identity.
func (c *Cluster) Lint() (all []object.Problem) {
	for _, s := range c.stores {
		for _, object := range s.save() {
			all = append(all, object.Metadata().Lint...)
		}
	}
	return all
}

// NamespacesOf returns the namespaces of a plugin block, "" for all.
func NamespacesOf(o *config.Options) []string {
	if len(o.Namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return o.Namespaces
}
