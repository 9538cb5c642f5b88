// Package translator translates the objects of a cluster into DNS names: it fills the index of package records. One Cluster
// reads the objects of an API server; any number of Translators turn them into the names of one plugin block each.
package translator

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/cluster"
	"github.com/minilb/minilb/plugin/minilb/informer"
)

// Translators are those of one Cluster, with what they share: the log of problems and the probes.
type Translators struct {
	*cluster.Cluster
	log      informer.Logger
	reporter *reporter
	probing  map[time.Duration]*probing // by interval
	all      []*Claims
	running  []func(context.Context) // what Run starts beside the Cluster and the probes
}

// New returns the Translators, none yet, of the API server that config names. Nothing is dialled before Run.
func New(config *rest.Config, log informer.Logger) (*Translators, error) {
	c, err := cluster.New(config, log)
	if err != nil {
		return nil, err
	}
	return newTranslators(c, log), nil
}

func newTranslators(c *cluster.Cluster, log informer.Logger) *Translators {
	return &Translators{Cluster: c, log: log, reporter: newReporter(log), probing: map[time.Duration]*probing{}}
}

// Follow copies the suspect endpoints of Translators for the same API server that these replace.
func (ts *Translators) Follow(other *Translators) {
	for _, p := range ts.probing {
		for _, before := range other.probing {
			p.Inherit(before.Prober)
		}
	}
}

// Run runs the Cluster, the Translators and the probes until the context is cancelled, and returns when everything that it
// started has ended.
func (ts *Translators) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { ts.Cluster.Run(ctx) })
	for _, p := range ts.probing {
		running.Go(func() { p.Run(ctx) })
	}
	for _, run := range ts.running {
		running.Go(func() { run(ctx) })
	}
}
