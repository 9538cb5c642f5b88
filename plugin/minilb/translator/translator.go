package translator

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// Translator turns the objects of a Cluster into the names of one index. The run loop publishes names; what changes
// only addresses goes straight into the Service's address set, so that it is answered at once.
type Translator struct {
	*Claims
	hooks    Hooks
	index    *records.Index
	reporter *reporter
	slices   []*informer.Status // the watches of EndpointSlices
	stats    atomic.Pointer[Stats]

	// The run loop owns these.
	unions        map[string]*union         // by key
	changedUnions map[*union]bool           // whose uses have changed since they were published
	late          map[cache.ObjectName]bool // Services whose names have come or gone while claims were resolved
	last          publication
}

// Hooks are called by a Translator; each may be nil.
type Hooks struct {
	// Covered reports whether a name can be asked for at all, as a server block exists for it (D8).
	Covered func(host string) bool
	// ObserveLatency is given, for each change of a Service's endpoints, how long ago it was triggered in the cluster.
	ObserveLatency func(time.Duration)
}

// NewTranslator adds a Translator that fills index as the options say. The Cluster must not run yet.
func NewTranslator(ts *Translators, options config.Options, index *records.Index, hooks Hooks) *Translator {
	t := &Translator{
		Claims:        newClaims(ts, &options, index, nil),
		hooks:         hooks,
		index:         index,
		reporter:      ts.reporter,
		unions:        map[string]*union{},
		changedUnions: map[*union]bool{},
		last: publication{
			partial: true, hosts: map[string]*records.Node{}, resolved: map[string]resolvedHost{}, rejected: map[string]int{},
			names: map[string]int{"ingress": 0, "httproute": 0, "grpcroute": 0, "tlsroute": 0, "service": 0},
		},
	}
	t.services.state.observe, t.services.state.probing = t.observe, ts.probingFor(t)
	for _, namespace := range cluster.NamespacesOf(&options) {
		slices := t.cluster.EndpointSlices(namespace)
		slices.Subscribe(t.onSlice)
		t.slices = append(t.slices, slices.Status)
	}
	t.required = append(t.required, t.slices...)
	if options.ExcludeNodes != nil {
		nodes := t.cluster.Nodes(options.ExcludeNodes)
		nodes.Subscribe(t.onNode)
		t.optional = append(t.optional, nodes.Status)
	}
	ts.running = append(ts.running, func(ctx context.Context) { t.run(ctx, t.publish) })
	return t
}

// Follow continues the serials of a Translator that this one replaces.
func (t *Translator) Follow(other *Translator) { t.index.InheritSerials(other.index) }

func (t *Translator) onSlice(old, new *object.EndpointSlice) {
	if old != nil && old.Ignored { // M8
		old = nil
	}
	if new != nil && new.Ignored {
		new = nil
	}
	t.services.with(func(s *serviceState) { s.setSlice(old, new) })
	same := slices.EqualFunc(old.ProblemsOf(), new.ProblemsOf(), func(a, b object.Problem) bool { return a.Text == b.Text })
	if !same || new.ProblemsOf() != nil && old.Service != new.Service {
		t.changed() // to be logged and counted, or no longer
	}
}

func (t *Translator) onNode(old, new *object.Node) {
	node := cmp.Or(new, old)
	t.services.with(func(s *serviceState) { s.exclude(node.Name, new != nil) })
}

// observe reports the latency of a change that was triggered then, in Unix nanoseconds, unless it is implausible: anyone may
// write the annotation, and clocks differ.
func (t *Translator) observe(triggered int64) {
	const skew, longest = time.Minute, 24 * time.Hour
	took := time.Since(time.Unix(0, triggered))
	if t.hooks.ObserveLatency == nil || took <= -skew || took >= longest {
		return
	}
	if !slices.ContainsFunc(t.slices, func(s *informer.Status) bool { return s.State() != informer.Listed }) {
		t.hooks.ObserveLatency(max(0, took))
	}
}
