package snapshot

import (
	"path/filepath"
	"testing"
	"time"
)

func newTestWriter(path string, ready func() bool) *Writer {
	w := NewWriter(File(path))
	w.Ready, w.Content = ready, func() *State { return &State{Header: Header{Written: 1}} }
	w.Answered, w.OnError = func() bool { return true }, func(error) {}
	return w
}

// While one load takes the place of another both know the file, and one of them at a time writes it.
func TestOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	newer := newTestWriter(path, func() bool { return true })
	wrote := make(chan error, 1)
	older := newTestWriter(path, func() bool {
		newer.MarkDirty()
		go func() {
			_, err := newer.Flush()
			wrote <- err
		}()
		select {
		case <-wrote:
			t.Fatal("two write at a time")
		case <-time.After(100 * time.Millisecond):
		}
		return true
	})
	older.MarkDirty()
	if _, err := older.Flush(); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err != nil || !newer.Clean() {
		t.Errorf("the newer one has not written: %v", err)
	}
}
