package source

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/snapshot"
)

// keeper is the file that the state of a Watcher is kept in.
type keeper struct {
	*snapshot.Writer
	restoring sync.Once
	restored  bool
}

// Keep keeps the state in the file of that path, which is written whenever mine says so and the state has
// changed, once it is known completely. It must be called before Run.
func (w *Watcher) Keep(path string, mine func() bool) {
	log := w.server.log
	file := snapshot.NewWriter(snapshot.File(path))
	file.Ready = func() bool { return w.whole() && mine() }
	file.Content = w.content
	file.Answered = func() bool { return w.server.away() == 0 }
	file.OnError = func(err error) {
		if err != nil {
			log.Warningf("Writing the snapshot: %v; trying again, and answering all the same", err)
		} else {
			log.Infof("The snapshot %s can be written again", path)
		}
	}
	w.server.snapshot = &keeper{Writer: file}
	w.run = append(w.run, file.Run)
}

// SnapshotAge returns for how long what is in the snapshot has not been compared with what the
// API server has, to the second. It reports whether that is known.
func (w *Watcher) SnapshotAge() (age time.Duration, known bool) {
	if w.server.snapshot == nil {
		return 0, false
	}
	return w.server.snapshot.Age()
}

// Touch lets the snapshot be written again, after another's may have been put in its place.
func (w *Watcher) Touch() { w.server.touch() }

// Flush writes the snapshot now, if what is known has changed and is complete.
func (w *Watcher) Flush() error {
	if w.server.snapshot == nil {
		return nil
	}
	return w.server.snapshot.Flush()
}

// Kept reports whether the snapshot has all that is known.
func (w *Watcher) Kept() bool { return w.server.snapshot != nil && w.server.snapshot.Clean() }

// touch notes that something has changed that is kept.
func (s *server) touch() {
	if s != nil && s.snapshot != nil {
		s.snapshot.MarkDirty()
	}
}

// content returns the state of the tables. Each of them waits while the list of its objects is
// copied, and no longer: the objects themselves never change.
func (w *Watcher) content() *snapshot.State {
	s := &snapshot.State{Header: snapshot.Header{
		Written:         time.Now().Add(-w.server.away()).Unix(),
		Host:            w.host,
		Classes:         w.CodecFields.Classes,
		HostAnnotations: w.CodecFields.HostAnnotations,
		HTTPS:           w.CodecFields.HTTPS,
		Discovered:      w.gatewayAPI.health.synced.Load(),
	}}
	for _, t := range w.stored {
		if h := t.state(); h.synced.Load() {
			s.Stores = append(s.Stores, snapshot.Store{Kind: h.kind, Scope: t.namespaceOf(), Objects: t.save()})
		}
	}
	return s
}

// suits returns why a state cannot stand for what the Watcher would read, nil if it can.
func (w *Watcher) suits(s *snapshot.State) error {
	if s.Host != w.host {
		return fmt.Errorf("it is of the API server %q, and not of %q", s.Host, w.host)
	}
	for _, class := range w.CodecFields.Classes {
		switch {
		case slices.Contains(s.Classes, class):
		case class == "":
			return errors.New("it was written without default_class")
		default:
			return fmt.Errorf("it was written without the class %q", class)
		}
	}
	for _, name := range w.CodecFields.HostAnnotations {
		if !slices.Contains(s.HostAnnotations, name) {
			return fmt.Errorf("it was written without the host_annotations %q", name)
		}
	}
	if w.CodecFields.HTTPS && !s.HTTPS {
		return errors.New("it was written without https")
	}
	return nil
}

// Restore takes what the API server has not told yet from the snapshot, for as long as it does
// not. It reports whether the snapshot could be used; why it could not is logged. It does nothing
// but once.
func (w *Watcher) Restore() bool {
	s := w.server.snapshot
	if s == nil {
		return false
	}
	s.restoring.Do(func() {
		log := w.server.log
		state, err := s.File.Read()
		if err == nil {
			err = w.suits(state)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			log.Infof("There is no snapshot %s yet to start with: it is written once the API server has been read", s.File)
		case err != nil:
			log.Warningf("Starting without snapshot %s: %v. It is replaced once the API server has been read", s.File, err)
		default:
			w.restore(state)
			s.restored = true
		}
	})
	return s.restored
}
