//go:build !linux

package unprivileged

import (
	"os"
	"testing"
)

// Run calls f, and skips the test if it is root's: only Linux has capabilities that a thread can drop.
func Run(t testing.TB, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root reads and writes every file")
	}
	f()
}
