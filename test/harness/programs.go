package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
)

// builtKubectl is the kubectl of test/tools/kubectl. It is compiled as the control plane is, so that
// what the two have in common is compiled once.
var builtKubectl = sync.OnceValues(func() (string, error) {
	return kept("kubectl", func(dir string) (string, error) {
		path := filepath.Join(dir, "kubectl")
		return path, cluster.BuildNested(context.Background(), "test/tools/kubectl", path)
	})
})

// WithKubectl lets a command find kubectl: the one that is installed, else one that is built.
func WithKubectl(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if _, err := exec.LookPath("kubectl"); err == nil {
		return
	}
	path, err := builtKubectl()
	Must(t, err)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(path)+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// Program returns the path of a program of one of Debian's packages. A test that needs one
// that is not there is skipped with the reason; where all must run, it fails.
func Program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		complain := t.Skipf
		if os.Getenv("MINILB_REQUIRE_PROGRAMS") != "" {
			complain = t.Fatalf
		}
		complain("%s is not installed: apt-get install %s", name, debianPackage)
	}
	return path
}

// Daemon is a server that is not ours and runs for one test.
type Daemon struct {
	name   string
	Log    *LogBuffer
	exited chan struct{} // closed once err is set
	err    error
}

// StartDaemon runs a server in the foreground and waits until ready returns nil. It is ended
// with the test.
func StartDaemon(t *testing.T, ready func() error, path string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{name: path, Log: &LogBuffer{}, exited: make(chan struct{})}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = d.Log, d.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // some have children
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = cmd.Wait()
		close(d.exited)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-d.exited:
		case <-time.After(5 * time.Second):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-d.exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", d.name, d.Log)
		}
	})
	cluster.Eventually(t, 20*time.Second, func() error {
		select {
		case <-d.exited:
			t.Fatalf("%s ended: %v\n%s", d.name, d.err, d.Log)
		default:
		}
		return ready()
	})
	return d
}

// Run runs a program to its end and returns its output, within a minute.
func Run(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	return string(out), err
}
