package source

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// snapshot is the file that the state of a Watcher is kept in, so that it can be served after a
// restart without the API server.
type snapshot struct {
	path string
	mine func() bool // whether the file is to have this Watcher's state, and not that of one that took its place
	log  Logger

	dirty   atomic.Bool   // what is known differs from what is in the file
	changed chan struct{} // holds a token when it has become so
	written atomic.Int64  // when the API server had what is in the file, unix seconds; 0 if it is not known

	writing *sync.Mutex // held while the file is written, by whichever Watcher
	failing bool

	restoring sync.Once
	restored  bool
}

// writers are the locks of all files, by their paths: while one load of the Corefile takes the place
// of another, both of them have one.
var writers sync.Map

const (
	// interval is between two times that the file is written.
	interval = 2 * time.Second
	// retry is the pause after a failure, unless that is errTooLarge.
	retry = 10 * time.Second
	// refresh is after how long the file is written though nothing has changed, so that its age
	// says how old what it holds can be.
	refresh = time.Hour
)

// Keep keeps the state in the file of that path, which is written whenever mine says so and the state has
// changed, once it is known completely. It must be called before Run.
func (w *Watcher) Keep(path string, mine func() bool) {
	writing, _ := writers.LoadOrStore(path, &sync.Mutex{})
	s := &snapshot{path: path, writing: writing.(*sync.Mutex), mine: mine, log: w.server.log, changed: make(chan struct{}, 1)}
	w.server.snapshot = s
	w.run = append(w.run, func(ctx context.Context) { s.run(ctx, w) })
}

// SnapshotAge returns for how long what is in the snapshot has not been compared with what the
// API server has, to the second. It reports whether that is known.
func (w *Watcher) SnapshotAge() (age time.Duration, known bool) {
	if w.server.snapshot == nil {
		return 0, false
	}
	written := w.server.snapshot.written.Load()
	return max(0, time.Since(time.Unix(written, 0))), written != 0
}

// Touch lets the snapshot be written again, after another's may have been put in its place.
func (w *Watcher) Touch() { w.server.touch() }

// Flush writes the snapshot now, if what is known has changed and is complete.
func (w *Watcher) Flush() error {
	if w.server.snapshot == nil {
		return nil
	}
	_, err := w.server.snapshot.flush(w)
	return err
}

// Kept reports whether the snapshot has all that is known.
func (w *Watcher) Kept() bool {
	return w.server.snapshot != nil && !w.server.snapshot.dirty.Load()
}

// touch notes that something has changed that is kept.
func (s *server) touch() {
	if s != nil && s.snapshot != nil {
		s.snapshot.dirty.Store(true)
		s.snapshot.wake()
	}
}

func (s *snapshot) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run writes the file at once when something has changed, but not often, until the context is
// cancelled, and then for the last time.
func (s *snapshot) run(ctx context.Context, w *Watcher) {
	defer s.flush(w)
	aging := time.NewTicker(refresh)
	defer aging.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-aging.C:
			if w.server.away() > 0 {
				continue
			}
			s.dirty.Store(true)
		case <-s.changed:
		}
		pause := interval
		switch wrote, err := s.flush(w); {
		case err != nil:
			pause = pauseAfter(err)
			s.wake()
		case !wrote:
			continue // whatever changes that tells
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// pauseAfter returns how long to wait after a failure. A snapshot that is too large is so until objects go, and
// each attempt wears the disk by as much as may be written.
func pauseAfter(err error) time.Duration {
	if errors.Is(err, errTooLarge) {
		return refresh
	}
	return retry
}

// flush writes the file if there is anything new, and all is known. It reports whether it did. A
// failure is logged once, for as long as it lasts.
func (s *snapshot) flush(w *Watcher) (wrote bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if !s.dirty.Load() || !w.whole() || !s.mine() {
		return false, nil
	}
	s.dirty.Store(false) // first: what changes from now on may be missing
	h := w.header()
	err = s.Write(func(out io.Writer) error { return w.encode(out, h) })
	if err != nil {
		s.dirty.Store(true)
		if !s.failing {
			s.log.Warningf("Writing the snapshot: %v; trying again, and answering all the same", err)
		}
	} else {
		s.written.Store(h.written)
		if s.failing {
			s.log.Infof("The snapshot %s can be written again", s.path)
		}
	}
	s.failing = err != nil
	return err == nil, err
}

// write puts a file in place of the one there is, which stays as it was until the new one is
// complete, on the disk too.
func (s *snapshot) Write(content func(io.Writer) error) error {
	temporary := s.path + ".tmp"
	// One that a crash has left behind, or that somebody has put there.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = content(&limited{file, maxSnapshot})
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temporary, s.path)
	}
	if err != nil {
		os.Remove(temporary)
		return err
	}
	if directory, err := os.Open(filepath.Dir(s.path)); err == nil { // so that the rename lasts, where that can be
		directory.Sync()
		directory.Close()
	}
	return nil
}
