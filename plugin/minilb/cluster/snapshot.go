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

// keeper is the file that the state of a Cluster is kept in.
type keeper struct {
	*snapshot.Writer
	restoring sync.Once
	restored  bool
}

// KeepIn keeps the state in the file of that path, which is written whenever mine says so and the state has changed,
// once it is known completely. It must be called before Run.
func (c *Cluster) KeepIn(path string, mine func() bool) {
	w := snapshot.NewWriter(snapshot.File(path))
	w.Ready = func() bool { return c.complete() && mine() }
	w.Content = c.content
	w.Answered = func() bool { return c.OutageDuration() == 0 }
	w.OnError = func(err error) {
		if err != nil {
			c.log.Warningf("Writing the snapshot: %v; trying again, and answering all the same", err)
		} else {
			c.log.Infof("The snapshot %s can be written again", path)
		}
	}
	c.snapshot = &keeper{Writer: w}
	c.run = append(c.run, w.Run)
}

// SnapshotAge returns for how long what is in the snapshot has not been compared with what the API server has, to the
// second. It reports whether that is known.
func (c *Cluster) SnapshotAge() (age time.Duration, known bool) {
	if c.snapshot == nil {
		return 0, false
	}
	return c.snapshot.Age()
}

// MarkDirty lets the snapshot be written again, as something has changed, or another's may have taken its place.
func (c *Cluster) MarkDirty() {
	if c.snapshot != nil {
		c.snapshot.MarkDirty()
	}
}

// Flush writes the snapshot now, if what is known has changed and is complete.
func (c *Cluster) Flush() error {
	if c.snapshot == nil {
		return nil
	}
	return c.snapshot.Flush()
}

// Kept reports whether the snapshot has all that is known.
func (c *Cluster) Kept() bool { return c.snapshot != nil && c.snapshot.Clean() }

// complete reports whether all that is watched is known as the API server has it, or is known not to be had.
func (c *Cluster) complete() bool {
	return !slices.ContainsFunc(c.Watches(), func(s *informer.Status) bool { return !s.Complete() })
}

// live reports whether the API server has listed the objects of any kind.
func (c *Cluster) live() bool {
	return slices.ContainsFunc(c.stores, func(s store) bool { return s.status().State() == informer.Listed })
}

// content returns what is kept. Each store waits while the list of its objects is copied, and no longer: the objects
// themselves never change.
func (c *Cluster) content() *snapshot.State {
	s := &snapshot.State{Header: snapshot.Header{
		Written:         time.Now().Add(-c.OutageDuration()).Unix(),
		Host:            c.clients.Host,
		Classes:         c.fields.Classes,
		HostAnnotations: c.fields.HostAnnotations,
		HTTPS:           c.fields.HTTPS,
		Discovered:      c.gatewayAPI.discovery != nil && c.gatewayAPI.discovery.State() == informer.Listed,
	}}
	for _, of := range c.stores {
		if w := of.status(); w.State() == informer.Listed {
			s.Stores = append(s.Stores, snapshot.Store{Kind: w.Kind, Scope: of.scope(), Objects: of.save()})
		}
	}
	return s
}

// suits returns why a state cannot stand for what would be read, nil if it can.
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

// Restore takes what the API server has not shown yet from the snapshot, for as long as it does not. It reports whether
// the snapshot could be used; why it could not is logged. It does nothing but once.
func (c *Cluster) Restore() bool {
	k := c.snapshot
	if k == nil {
		return false
	}
	k.restoring.Do(func() {
		state, err := k.File.Read()
		if err == nil {
			err = c.suits(state)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.log.Infof("There is no snapshot %s yet to start with: it is written once the API server has been read", k.File)
		case err != nil:
			c.log.Warningf("Starting without snapshot %s: %v. It is replaced once the API server has been read", k.File, err)
		default:
			c.restore(state)
			k.restored = true
		}
	})
	return k.restored
}

// restore fills the stores that the API server has not listed. Services are last, as nothing of the zones is answered
// before, and routes wait for what there is of the Gateway API.
func (c *Cluster) restore(state *snapshot.State) {
	discovery := c.gatewayAPI.discovery
	discovered := discovery != nil && discovery.State() == informer.Listed
	live := c.live()
	order := func(s *informer.Status) int {
		switch {
		case s.Optional:
			return 0
		case s.Kind == "endpointslice":
			return 1
		}
		return 2
	}
	stores := slices.Clone(c.stores)
	slices.SortStableFunc(stores, func(a, b store) int { return order(a.status()) - order(b.status()) })
	for _, s := range stores {
		w := s.status()
		objects, known := state.Store(w.Kind, s.scope())
		switch {
		case w.State() == informer.NotServed && discovered:
		case known:
			s.seed(objects)
		case w.Optional && w.State() != informer.Listed:
			w.Waive()
		}
	}
	switch {
	case discovered || discovery == nil:
	case state.Discovered:
		discovery.Seed()
	default:
		discovery.Waive()
	}
	if !live {
		c.snapshot.MarkRestored() // what is known comes from there
		if c.live() {             // or did until the API server said something, just now
			c.MarkDirty()
		}
	}
	if discovery != nil && !discovered {
		discovery.Trigger() // its last look may have come too early to drop what was restored meanwhile
	}
	if c.Restored() {
		at := time.Unix(state.Written, 0)
		c.snapshot.SetWritten(state.Written)
		c.log.Warningf("Serving the state of %s from %s, %v old, until the API server answers", at.UTC().Format(time.RFC3339), c.snapshot.File, max(0, time.Since(at)).Round(time.Second))
	}
	for _, f := range c.onChange {
		f()
	}
}
