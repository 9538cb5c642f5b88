package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/snapshot"
)

// KeepIn writes the state to a file after each change, while it is complete and mine reports true. It must be called before
// Run.
func (c *Cluster) KeepIn(path string, mine func() bool) {
	w := snapshot.NewWriter(snapshot.File(path))
	w.Ready = func() bool {
		return !slices.ContainsFunc(c.Watches, func(s *informer.Status) bool { return !s.Complete() }) && mine()
	}
	w.Content = c.content
	w.Answered = func() bool { return c.OutageDuration() == 0 }
	w.OnError = func(err error) {
		if err != nil {
			c.log.Warningf("Writing the snapshot: %v; trying again, and answering all the same", err)
		} else {
			c.log.Infof("The snapshot %s can be written again", path)
		}
	}
	c.Snapshot, c.restored = w, sync.OnceValue(c.read)
	c.run = append(c.run, w.Run)
}

// live reports whether the API server has listed the objects of any kind.
func (c *Cluster) live() bool {
	return slices.ContainsFunc(c.stores, func(s store) bool { return s.State() == informer.Listed })
}

func (c *Cluster) content() *snapshot.State {
	s := &snapshot.State{Header: snapshot.Header{
		Written:         time.Now().Add(-c.OutageDuration()).Unix(),
		Host:            c.clients.Host,
		Classes:         c.fields.Classes,
		HostAnnotations: c.fields.HostAnnotations,
		HTTPS:           c.fields.HTTPS,
		Discovered:      c.discovered(),
	}}
	for _, of := range c.stores {
		if of.State() == informer.Listed {
			s.Stores = append(s.Stores, snapshot.Store{Kind: of.Kind, Scope: of.scope, Objects: of.save()})
		}
	}
	return s
}

// discovered reports whether the API server has answered what it serves of the Gateway API.
func (c *Cluster) discovered() bool {
	return c.discovery != nil && c.discovery.State() == informer.Listed
}

// suits returns why a snapshot has not all that would be read, nil if it has.
func (c *Cluster) suits(s *snapshot.State) error {
	if s.Host != c.clients.Host {
		return fmt.Errorf("it is of the API server %q, and not of %q", s.Host, c.clients.Host)
	}
	for _, class := range c.fields.Classes {
		switch {
		case slices.Contains(s.Classes, class):
		case class == "":
			return errors.New("it was written without default_class")
		default:
			return fmt.Errorf("it was written without the class %q", class)
		}
	}
	for _, name := range c.fields.HostAnnotations {
		if !slices.Contains(s.HostAnnotations, name) {
			return fmt.Errorf("it was written without the host_annotations %q", name)
		}
	}
	if c.fields.HTTPS && !s.HTTPS {
		return errors.New("it was written without https")
	}
	return nil
}

// Restore fills the stores that the API server has not listed from the snapshot, at the first call. It reports whether the
// snapshot could be used; why it could not is logged.
func (c *Cluster) Restore() bool { return c.restored != nil && c.restored() }

func (c *Cluster) read() bool {
	file := c.Snapshot.File
	state, err := file.Read()
	if err == nil {
		err = c.suits(state)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.log.Infof("There is no snapshot %s yet to start with: it is written once the API server has been read", file)
	case err != nil:
		c.log.Warningf("Starting without snapshot %s: %v. It is replaced once the API server has been read", file, err)
	default:
		c.restore(state)
	}
	return err == nil
}

// restore fills optional kinds first, and Services last, before which no zone is answered.
func (c *Cluster) restore(state *snapshot.State) {
	discovery, discovered, live := c.discovery, c.discovered(), c.live()
	required := []string{"endpointslice", labelledService, "service"}
	order := func(a, b store) int { return slices.Index(required, a.Kind) - slices.Index(required, b.Kind) }
	for _, s := range slices.SortedStableFunc(slices.Values(c.stores), order) {
		objects, known := state.Store(s.Kind, s.scope)
		switch {
		case s.State() == informer.NotServed && discovered:
		case known, s.Kind == labelledService: // which older snapshots do not have
			s.seed(objects)
		case s.Optional && s.State() != informer.Listed:
			s.Waive()
		}
	}
	if discovery != nil && !discovered {
		if state.Discovered {
			discovery.Seed()
		} else {
			discovery.Waive()
		}
		discovery.Trigger() // the last one may have come too early to drop what was restored meanwhile
	}
	if !live {
		c.Snapshot.MarkRestored()
		if c.live() { // since a moment ago
			c.Snapshot.MarkDirty()
		}
	}
	if c.Restored() {
		at := time.Unix(state.Written, 0)
		c.Snapshot.Written.Store(state.Written)
		c.log.Warningf("Serving the state of %s from %s, %v old, until the API server answers",
			at.UTC().Format(time.RFC3339), c.Snapshot.File, max(0, time.Since(at)).Round(time.Second))
	}
	for _, f := range c.onChange {
		f()
	}
}
