//go:build !linux

package unprivileged

import (
	"os"
	"testing"
)

// As skips the test: only on Linux a single thread can be another user's.
func As(t testing.TB, _, _ int, _ func()) {
	t.Helper()
	t.Skip("a thread cannot become another user's")
}

// Run calls f, and skips the test if it is root's: only Linux has capabilities that a thread can drop.
func Run(t testing.TB, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root reads and writes every file")
	}
	f()
}
