package unprivileged

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The permissions of a file hold where Run calls, and nowhere else.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, before := os.ReadFile(path)
	var read, written error
	Run(t, func() {
		_, read = os.ReadFile(path)
		written = os.WriteFile(path, nil, 0)
	})
	if !errors.Is(read, fs.ErrPermission) || !errors.Is(written, fs.ErrPermission) {
		t.Errorf("reading: %v, writing: %v, want that both are denied", read, written)
	}
	if _, after := os.ReadFile(path); (before == nil) != (after == nil) {
		t.Errorf("reading: %v, and outside of Run afterwards: %v", before, after)
	}
}
