package snapshot

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	writeInterval   = 2 * time.Second  // the least time between two writes
	retryInterval   = 10 * time.Second // the pause after a failure, unless that is errTooLarge
	refreshInterval = time.Hour        // between two writes without a change, which bounds the file's age
)

// Writer keeps the file up to date. The functions must be set before it is used.
type Writer struct {
	File File
	// Ready reports whether the state is complete, and the file is not another Writer's.
	Ready   func() bool
	Content func() *State
	// Answered reports whether the state is what the API server has.
	Answered func() bool
	// OnError is called when writing begins to fail, and with nil when it works again.
	OnError func(error)
	// Written is when the API server had what is in the file, in unix seconds; 0 if that is not known.
	Written atomic.Int64

	dirty   atomic.Bool   // the state differs from the file
	changed chan struct{} // holds a token after dirty was set
	writing *sync.Mutex   // held while any Writer writes the file
	failing bool
}

// writing has the lock of each path: while a reload replaces one load of the Corefile, both have a Writer.
var writing sync.Map

// NewWriter returns the Writer of a file.
func NewWriter(file File) *Writer {
	lock, _ := writing.LoadOrStore(file, &sync.Mutex{})
	return &Writer{File: file, writing: lock.(*sync.Mutex), changed: make(chan struct{}, 1)}
}

// MarkDirty records that the state has changed.
func (w *Writer) MarkDirty() {
	w.dirty.Store(true)
	w.wake()
}

// MarkRestored records that the state comes from the file.
func (w *Writer) MarkRestored() { w.dirty.Store(false) }

// Clean reports whether the file has the whole state.
func (w *Writer) Clean() bool { return !w.dirty.Load() }

// Age returns the time since Written, and whether that is known.
func (w *Writer) Age() (age time.Duration, known bool) {
	written := w.Written.Load()
	return max(0, time.Since(time.Unix(written, 0))), written != 0
}

func (w *Writer) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run writes the file after changes, at most once a writeInterval, until the context is cancelled, and then a last time.
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
		switch wrote, err := w.Flush(); {
		case err != nil:
			pause = pauseAfter(err)
			w.wake()
		case !wrote:
			continue // until MarkDirty
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// pauseAfter returns how long to wait after a failure. A snapshot stays too large until objects go, and each attempt wears
// the disk.
func pauseAfter(err error) time.Duration {
	if errors.Is(err, errTooLarge) {
		return refreshInterval
	}
	return retryInterval
}

// Flush writes the file now if the state has changed and is complete. It reports whether it has written it.
func (w *Writer) Flush() (wrote bool, err error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if !w.dirty.Load() || !w.Ready() {
		return false, nil
	}
	w.dirty.Store(false) // first: later changes may be missing
	state := w.Content()
	if err = w.File.Write(state); err != nil {
		w.dirty.Store(true)
	} else {
		w.Written.Store(state.Written)
	}
	if w.failing != (err != nil) {
		w.OnError(err)
	}
	w.failing = err != nil
	return err == nil, err
}
