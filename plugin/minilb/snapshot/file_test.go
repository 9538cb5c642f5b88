package snapshot

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
	if err := os.Truncate(path, maxSize); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := File(path).Read()
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; err == nil || taken > 1<<20 {
		t.Errorf("got error %v, and %d bytes of memory were taken", err, taken)
	}
}

// No more is written than is read again, and what is too large is not tried again soon.
func TestLimited(t *testing.T) {
	s := state(t)
	whole := len(encoded(t, s))
	if err := encode(&limited{&bytes.Buffer{}, whole}, s); err != nil {
		t.Error(err)
	}
	err := encode(&limited{&bytes.Buffer{}, whole - 1}, s)
	if pause := pauseAfter(err); err == nil || !strings.Contains(err.Error(), "more than") || pause != refreshInterval {
		t.Errorf("got error %v, and a pause of %v", err, pause)
	}
	if pause := pauseAfter(os.ErrPermission); pause != retryInterval {
		t.Errorf("got a pause of %v after another failure", pause)
	}
}

// What a crash has left of a file, or somebody has put in its way, is not written through.
func TestSnapshotLeftover(t *testing.T) {
	directory := t.TempDir()
	path, victim := filepath.Join(directory, "snapshot"), filepath.Join(directory, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func() error{
		"a file": func() error { return os.WriteFile(path+".tmp", []byte("left"), 0o666) },
		"a link": func() error { return os.Symlink(victim, path+".tmp") },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		if err := File(path).Write(&State{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := File(path).Read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: got %v, %v", name, info.Mode(), err)
		}
	}
	if content, err := os.ReadFile(victim); err != nil || string(content) != "precious" {
		t.Errorf("another file is now %q, %v", content, err)
	}
}
