package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
)

// program returns the path of a program of one of Debian's packages. A test that needs one
// that is not there is skipped with the reason; where all must run, it fails.
func program(t *testing.T, name, debianPackage string) string {
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

// daemon is a server that is not ours and runs for one test.
type daemon struct {
	name   string
	log    *logBuffer
	exited chan struct{} // closed once err is set
	err    error
}

// startDaemon runs a server in the foreground and waits until ready returns nil. It is ended
// with the test.
func startDaemon(t *testing.T, ready func() error, path string, args ...string) *daemon {
	t.Helper()
	d := &daemon{name: path, log: &logBuffer{}, exited: make(chan struct{})}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = d.log, d.log
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
			t.Logf("%s said:\n%s", d.name, d.log)
		}
	})
	cluster.Eventually(t, 20*time.Second, func() error {
		select {
		case <-d.exited:
			t.Fatalf("%s ended: %v\n%s", d.name, d.err, d.log)
		default:
		}
		return ready()
	})
	return d
}

// run runs a program to its end and returns its output, within a minute.
func run(t *testing.T, path string, args ...string) (string, error) {
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
