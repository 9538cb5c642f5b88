package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// storeDirEnv is where helpStore keeps its store.
const storeDirEnv = "MINILB_CLUSTER_TEST_STORE"

// buildSlowly is a build that leaves a trace in dir of having run.
func buildSlowly(dir string) func(context.Context, string) error {
	return func(_ context.Context, out string) error {
		trace, err := os.CreateTemp(dir, "built-")
		if err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		return errors.Join(trace.Close(), os.WriteFile(out, []byte("binary"), 0o755))
	}
}

// helpStore gets a binary as a second process would.
func helpStore() int {
	dir := os.Getenv(storeDirEnv)
	s := &store{dir: filepath.Join(dir, "store"), log: io.Discard}
	path, err := s.get(context.Background(), "tool", "v1", buildSlowly(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Print(path)
	return 0
}

func TestBuiltOnceByManyProcesses(t *testing.T) {
	dir := t.TempDir()
	var processes []*exec.Cmd
	var outputs []*bytes.Buffer
	for range 4 {
		var output bytes.Buffer
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), helperEnv+"=store", storeDirEnv+"="+dir)
		cmd.Stdout, cmd.Stderr = &output, &output
		must(t, cmd.Start())
		processes, outputs = append(processes, cmd), append(outputs, &output)
	}
	want := filepath.Join(dir, "store", "tool")
	for i, cmd := range processes {
		if err := cmd.Wait(); err != nil || outputs[i].String() != want {
			t.Errorf("a process got %q, %v; want %q", outputs[i], err, want)
		}
	}
	if built, err := filepath.Glob(filepath.Join(dir, "built-*")); err != nil || len(built) != 1 {
		t.Errorf("built %d times, %v; want once", len(built), err)
	}
}

func TestBuiltOnceByManyGoroutines(t *testing.T) {
	s := &store{dir: filepath.Join(t.TempDir(), "store"), log: io.Discard}
	var built atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := s.get(t.Context(), "tool", "v1", func(_ context.Context, out string) error {
				built.Add(1)
				return os.WriteFile(out, []byte("binary"), 0o755)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "binary" {
				t.Errorf("read %q, %v", content, err)
			}
		})
	}
	wg.Wait()
	if got := built.Load(); got != 1 {
		t.Errorf("built %d times, want once", got)
	}
}

// TestFailedBuild checks that a failure leaves nothing that looks like a
// binary, and the lock free for the next one.
func TestFailedBuild(t *testing.T) {
	var log bytes.Buffer
	s := &store{dir: filepath.Join(t.TempDir(), "store"), log: &log}
	broken := errors.New("syntax error")
	_, err := s.get(t.Context(), "tool", "v1", func(_ context.Context, out string) error {
		return errors.Join(os.WriteFile(out, []byte("half a bin"), 0o755), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("get = %v, want the build's error", err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "tool*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
	path, err := s.get(t.Context(), "tool", "v1", buildSlowly(t.TempDir()))
	must(t, err)
	if content, err := os.ReadFile(path); err != nil || string(content) != "binary" {
		t.Errorf("read %q, %v", content, err)
	}
	if !strings.Contains(log.String(), "building tool v1 (once") {
		t.Errorf("log = %q, want the build announced", log.String())
	}
}

// TestWaitForBuildEnds checks that waiting for somebody else's build ends with
// its context.
func TestWaitForBuildEnds(t *testing.T) {
	s := &store{dir: t.TempDir(), log: io.Discard}
	unlock, err := s.lock(t.Context(), "tool")
	must(t, err)
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.get(ctx, "tool", "v1", buildSlowly(t.TempDir()))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("get = %v, want the deadline's error", err)
	}
}

func TestProvidedBinaries(t *testing.T) {
	dir := t.TempDir()
	assets := filepath.Join(dir, etcd)
	must(t, os.WriteFile(assets, nil, 0o755))
	one := filepath.Join(dir, "one")
	must(t, os.WriteFile(one, nil, 0o755))

	t.Setenv("KUBEBUILDER_ASSETS", dir)
	t.Setenv("TEST_ASSET_KUBE_APISERVER", one)
	t.Setenv("TEST_ASSET_ETCD", "")
	t.Setenv("TEST_ASSET_KUBE_CONTROLLER_MANAGER", filepath.Join(dir, "absent"))
	want := map[string]string{etcd: assets, kubeAPIServer: one}
	for _, component := range controlPlaneComponents {
		got, err := component.provided()
		if got != want[component.name] {
			t.Errorf("%s = %q, want %q", component.name, got, want[component.name])
		}
		if failed := err != nil; failed != (component.name == kubeControllerManager) {
			t.Errorf("%s: %v", component.name, err)
		}
	}
}
