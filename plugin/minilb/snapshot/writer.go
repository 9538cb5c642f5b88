package snapshot

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// writeInterval is between two times that the file is written.
	writeInterval = 2 * time.Second
	// retryInterval is the pause after a failure, unless that is errTooLarge.
	retryInterval = 10 * time.Second
	// refreshInterval is after how long the file is written though nothing has changed, so that its age says how old
	// what it holds can be.
	refreshInterval = time.Hour
)

// Writer keeps the file up to date. The functions are set before it is used.
type Writer struct {
	File File
	// Ready reports whether all is known that is to be written, and the file is not another Writer's.
	Ready func() bool
	// Content returns what is to be written.
	Content func() *State
	// Answered reports whether what is known is what the API server has.
	Answered func() bool
	// OnError is called when writing begins to fail, and with nil when it works again.
	OnError func(error)

	dirty   atomic.Bool   // what is known differs from what is in the file
	changed chan struct{} // holds a token when it has become so
	written atomic.Int64  // when the API server had what is in the file, unix seconds; 0 if it is not known
	writing *sync.Mutex   // held while the file is written, by whichever Writer
	failing bool
}

// writing has the locks of all files, by their paths: while one load of the Corefile takes the place of another, both
// of them have a Writer.
var writing sync.Map

// NewWriter returns the Writer of a file.
func NewWriter(file File) *Writer {
	lock, _ := writing.LoadOrStore(file, &sync.Mutex{})
	return &Writer{File: file, writing: lock.(*sync.Mutex), changed: make(chan struct{}, 1)}
}

// MarkDirty notes that something has changed that is kept.
func (w *Writer) MarkDirty() {
	w.dirty.Store(true)
	w.wake()
}

// MarkRestored notes that what is known comes from the file, as the API server had it at some time.
func (w *Writer) MarkRestored() { w.dirty.Store(false) }

// SetWritten notes when the API server had what is in the file, in unix seconds.
func (w *Writer) SetWritten(at int64) { w.written.Store(at) }

// Clean reports whether the file has all that is known.
func (w *Writer) Clean() bool { return !w.dirty.Load() }

// Age returns for how long what is in the file has not been compared with what the API server has, to the second. It
// reports whether that is known.
func (w *Writer) Age() (age time.Duration, known bool) {
	written := w.written.Load()
	return max(0, time.Since(time.Unix(written, 0))), written != 0
}

func (w *Writer) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run writes the file at once when something has changed, but not often, until the context is cancelled, and then for
// the last time.
func (w *Writer) Run(ctx context.Context) {
	defer w.Flush()
	aging := time.NewTicker(refreshInterval)
	defer aging.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-aging.C:
			if !w.Answered() {
				continue
			}
			w.dirty.Store(true)
		case <-w.changed:
		}
		pause := writeInterval
		switch wrote, err := w.flush(); {
		case err != nil:
			pause = pauseAfter(err)
			w.wake()
		case !wrote:
			continue // whatever changes that marks it dirty
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// pauseAfter returns how long to wait after a failure. A snapshot that is too large is so until objects go, and each
// attempt wears the disk by as much as may be written.
func pauseAfter(err error) time.Duration {
	if errors.Is(err, errTooLarge) {
		return refreshInterval
	}
	return retryInterval
}

// Flush writes the file now if there is anything new, and all is known.
func (w *Writer) Flush() error {
	_, err := w.flush()
	return err
}

// flush is Flush, and reports whether it has written the file.
func (w *Writer) flush() (wrote bool, err error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if !w.dirty.Load() || !w.Ready() {
		return false, nil
	}
	w.dirty.Store(false) // first: what changes from now on may be missing
	state := w.Content()
	if err = w.File.Write(state); err != nil {
		w.dirty.Store(true)
	} else {
		w.written.Store(state.Written)
	}
	if w.failing != (err != nil) {
		w.OnError(err)
	}
	w.failing = err != nil
	return err == nil, err
}
