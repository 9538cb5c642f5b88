package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/minilb/minilb/test/cluster"
)

// The binaries under test: with the race detector, but for those that measure time or memory.
var (
	CoreDNSBinary = sync.OnceValues(func() (string, error) { return Build("race", "./cmd/coredns", race()...) })
	FastBinary    = sync.OnceValues(func() (string, error) { return Build("plain", "./cmd/coredns") })
	MinilbBinary  = sync.OnceValues(func() (string, error) { return Build("race", "./cmd/minilb", race()...) })
	FastMinilb    = sync.OnceValues(func() (string, error) { return Build("plain", "./cmd/minilb") })

	// HastyMinilb writes Events within seconds of what must otherwise last for half a minute.
	HastyMinilb = sync.OnceValues(func() (string, error) {
		const controller = "github.com/minilb/minilb/cmd/minilb/controller"
		return Build("hasty", "./cmd/minilb", append(race(), "-ldflags=-X="+controller+".setupDelay=2s")...)
	})

	// rediscoveringBinary asks often which kinds the API server serves, so that a test need
	// not wait for half a minute.
	rediscoveringBinary = sync.OnceValues(func() (string, error) {
		return Build("rediscovering", "./cmd/coredns", append(race(), "-ldflags=-X=github.com/minilb/minilb/plugin/minilb/cluster.discoveryInterval=500ms")...)
	})
)

// Build compiles one of the project's commands with flags of go build and returns the path of a
// binary that lasts until the package's tests have run. variant names the flags: go build leaves
// the output that test processes keep of each variant as it is while it is up to date.
func Build(variant, pkg string, flags ...string) (string, error) {
	return kept(variant, func(dir string) (string, error) {
		return cluster.Build(context.Background(), dir, pkg, flags...)
	})
}

// kept calls build, which writes a binary to a directory that test processes share, and returns the
// path of a copy of it in a directory of this process: another checkout may build its own over it.
func kept(variant string, build func(dir string) (string, error)) (string, error) {
	lock, err := openInCache(filepath.Join("programs", variant, "lock"))
	if err != nil {
		return "", fmt.Errorf("lock the binaries: %w", err)
	}
	defer lock.Close()
	if err := flock(lock, syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the binaries: %w", err)
	}
	built, err := build(filepath.Dir(lock.Name()))
	if err != nil {
		return "", err
	}
	dir, err := LastingDir()
	if err != nil {
		return "", err
	}
	own := filepath.Join(dir, filepath.Base(built))
	if os.Link(built, own) == nil {
		return own, nil
	}
	content, err := os.ReadFile(built) // from another file system
	if err != nil {
		return "", err
	}
	return own, os.WriteFile(own, content, 0o755)
}

// race returns the flag that builds with the race detector, where there is the C compiler
// that this takes.
func race() []string {
	compiler, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return nil
	}
	if _, err := exec.LookPath(strings.TrimSpace(string(compiler))); err != nil {
		fmt.Fprintln(os.Stderr, "no C compiler: the binaries are tested without the race detector")
		return nil
	}
	return []string{"-race"}
}

// lasting are the directories to remove when the package's tests have run.
var lasting struct {
	sync.Mutex
	dirs []string
}

// LastingDir makes a directory that lasts until the package's tests have run.
func LastingDir() (string, error) {
	dir, err := os.MkdirTemp("", "minilb-test-")
	if err == nil {
		lasting.Lock()
		defer lasting.Unlock()
		lasting.dirs = append(lasting.dirs, dir)
	}
	return dir, err
}

func removeLasting() error {
	var errs []error
	for _, dir := range lasting.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// Minilb returns a command that runs the real binary.
func Minilb(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return command(t, MinilbBinary, args...)
}

// command returns a command that runs a binary which is built first.
func command(t *testing.T, binary func() (string, error), args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	Must(t, err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	return cmd
}
