package source

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// What does not begin as a snapshot does is not read, however large it says to be.
func TestSnapshotSparse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxSnapshot); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := (&snapshot{path: path}).read()
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; err == nil || taken > 1<<20 {
		t.Errorf("got error %v, and %d bytes of memory were taken", err, taken)
	}
}

// No more is written than is read again: 10,000 Services with ten endpoints each take a fiftieth of it at most.
func TestSnapshotSize(t *testing.T) {
	w := largeCluster(t, 10_000).watcher
	var whole bytes.Buffer
	if err := w.encode(&whole, w.header()); err != nil {
		t.Fatal(err)
	}
	t.Logf("10,000 Services with ten endpoints each take %d bytes", whole.Len())
	if whole.Len() > maxSnapshot/50 {
		t.Errorf("%d bytes are more than a fiftieth of %d", whole.Len(), maxSnapshot)
	}
	h := w.header()
	whole.Reset()
	if err := w.encode(&whole, h); err != nil {
		t.Fatal(err)
	}
	if err := w.encode(&limited{&bytes.Buffer{}, whole.Len()}, h); err != nil {
		t.Error(err)
	}
	err := w.encode(&limited{&bytes.Buffer{}, whole.Len() - 1}, h)
	if pause := pauseAfter(err); err == nil || !strings.Contains(err.Error(), "more than") || pause != refresh {
		t.Errorf("got error %v, and a pause of %v", err, pause)
	}
	if pause := pauseAfter(os.ErrPermission); pause != retry {
		t.Errorf("got a pause of %v after another failure", pause)
	}
}
