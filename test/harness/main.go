// Package harness is what tests of more than one package share: control planes, the programs under
// test, what they are asked, and what is waited for. It stands on test/cluster, which runs a real
// control plane, and on test/shipped, which gives what deploy/ ships.
package harness

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Full is whether tests run in full, for as many repetitions and as long as their subject takes.
var Full = os.Getenv("MINILB_FULL") == "1"

// parallelTests is how many tests of a package run at once. They wait for programs, leases and
// timers more than they compute, so that there are more of them than processors.
const parallelTests = 8

// Main runs the tests of a package beside those of other packages and ends the process.
func Main(m *testing.M) { os.Exit(RunTests(m)) }

// RunTests is Main for a TestMain with more to do: it returns the exit code.
func RunTests(m *testing.M) int { return run(m, syscall.LOCK_SH) }

// MainAlone runs the tests of a package that measures time or loads the machine: one after the
// other, and while no package runs that calls Main.
func MainAlone(m *testing.M) { os.Exit(RunTestsAlone(m)) }

// RunTestsAlone is MainAlone for a TestMain with more to do: it returns the exit code.
func RunTestsAlone(m *testing.M) int { return run(m, syscall.LOCK_EX) }

func run(m *testing.M, lock int) int {
	flag.Parse()
	unlock, err := lockMachine(lock)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer unlock()
	if lock == syscall.LOCK_SH && !given("test.parallel") {
		flag.Set("test.parallel", fmt.Sprint(parallelTests))
	}
	code := m.Run()
	if err := errors.Join(stopShared(), removeLasting()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// given reports whether a flag stands on the command line.
func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// lockMachine waits for a lock that all test processes of this user take, shared or exclusive. The
// kernel releases it when the process ends.
func lockMachine(how int) (unlock func(), err error) {
	file, err := openInCache("machine")
	if err != nil {
		return nil, fmt.Errorf("lock the machine: %w", err)
	}
	if err := flock(file, how); err != nil {
		return nil, fmt.Errorf("lock the machine: %w", err)
	}
	return func() { file.Close() }, nil
}

// openInCache opens a file in the directory that test processes share, and makes it if there is none.
func openInCache(name string) (*os.File, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cache, "minilb", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
