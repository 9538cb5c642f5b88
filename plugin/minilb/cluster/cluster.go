// Package cluster keeps the objects of one API server: a store per kind and namespace, which kinds are served, and the
// snapshot. It knows no DNS.
package cluster

import (
	"context"
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
	Snapshot *snapshot.Writer // of no file before KeepIn

	clients  *Clients
	log      informer.Logger
	onChange []func()
	run      []func(context.Context) // one a goroutine, started by Run

	fields         object.Fields
	namespaceNames bool // some zone has names that are kept for Namespaces (C7)

	made      map[string]any // what the methods that return stores have returned, by kind and namespace
	stores    []store
	discovery *informer.Discovery // of the Gateway API, nil unless there is a store of it
	restored  func() bool         // restores the snapshot once, and reports whether it could be used
}

// New returns the Cluster of the API server that config names. Nothing is dialled before Run.
func New(config *rest.Config, log informer.Logger) (*Cluster, error) {
	clients, err := NewClients(config)
	if err != nil {
		return nil, err
	}
	return NewForClients(clients, log), nil
}

// NewForClients is New with clients that are there.
func NewForClients(clients *Clients, log informer.Logger) *Cluster {
	c := &Cluster{clients: clients, log: log, made: map[string]any{}, Snapshot: &snapshot.Writer{}}
	c.Server = &informer.Server{Log: log, OnChange: func() { c.Snapshot.MarkDirty() }}
	c.OnStatus = func() {
		for _, f := range c.onChange {
			f()
		}
		c.Snapshot.MarkDirty() // it may be all that was missing
	}
	return c
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
	f.Nodes = f.Nodes || o.Probe != 0 || o.ExcludeNodes != nil || o.NearNodes()
	f.Zones = f.Zones || o.NearZones()
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
		if s.Kind == "service" {
			s.Log = log
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
	if failure := c.Failure(); failure != nil {
		return failure.Text
	}
	for _, s := range c.Watches {
		if failure := s.Failure(); failure != nil && !s.Optional && !s.Known() {
			return failure.Text
		}
	}
	return ""
}

// WatchStatus is the state of one watch.
type WatchStatus struct {
	Kind      string    // "service", "endpointslice", "httproute" and so on
	Synced    bool      // the API server has listed it
	LastEvent time.Time // of any kind, a bookmark included; zero for never, or if it says nothing
}

// Status returns the state of each watch of a kind that is served.
func (c *Cluster) Status() (all []WatchStatus) {
	for _, s := range c.stores {
		switch state := s.State(); {
		case state == informer.NotServed:
		case s.Kind == labelledService: // of which there may be none for days
			all = append(all, WatchStatus{Kind: "service", Synced: state == informer.Listed})
		default:
			all = append(all, WatchStatus{s.Kind, state == informer.Listed, s.LastEvent()})
		}
	}
	return all
}

// There reports whether the object with the UID is in a store. It needs Fields.Identity.
func (c *Cluster) There(kind, namespace, name string, uid types.UID) bool {
	return uid != "" && slices.ContainsFunc(c.stores, func(s store) bool {
		return strings.EqualFold(s.Kind, kind) && s.uid(cache.NewObjectName(namespace, name)) == uid
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
