package load_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/harness"
)

// cgroup is a control group with a limit of memory, as the container of a pod has one.
type cgroup struct {
	dir       string
	peak, now string // the files that say how much memory it takes, in bytes
}

// newCgroup makes one of either version. It skips the test where none can be made.
func newCgroup(t *testing.T, limit int) *cgroup {
	t.Helper()
	name := fmt.Sprintf("minilb-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	for _, of := range []struct{ root, limit, peak, now string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.usage_in_bytes"},
		{"/sys/fs/cgroup", "memory.max", "memory.peak", "memory.current"},
	} {
		write(filepath.Join(of.root, "cgroup.subtree_control"), "+memory") // where it is not on already
		g := &cgroup{filepath.Join(of.root, name), of.peak, of.now}
		if os.Mkdir(g.dir, 0o700) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(g.dir) })
		if write(filepath.Join(g.dir, of.limit), strconv.Itoa(limit)) == nil {
			return g
		}
	}
	t.Skip("no control group with a limit of memory can be made here: that takes root, and the memory controller")
	return nil
}

// write writes to a file of the kernel's, which is there or is not.
func write(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(text)
	return err
}

// within returns a program that is started in the group.
func (g *cgroup) within(t *testing.T, built func() (string, error)) func() (string, error) {
	return func() (string, error) {
		binary, err := built()
		if err != nil {
			return "", err
		}
		path := filepath.Join(t.TempDir(), "limited")
		script := fmt.Sprintf("#!/bin/sh\necho $$ >%s/cgroup.procs && exec %s \"$@\"\n", g.dir, binary)
		return path, os.WriteFile(path, []byte(script), 0o700)
	}
}

// usage returns how much memory the group takes and has taken at most, in bytes: what the kernel kills by.
func (g *cgroup) usage(t *testing.T) (now, peak int) {
	t.Helper()
	return g.read(t, g.now), g.read(t, g.peak)
}

func (g *cgroup) read(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	harness.Must(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	harness.Must(t, err)
	return n
}
