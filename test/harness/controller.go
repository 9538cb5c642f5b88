package harness

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
)

// Controller is a running "minilb controller".
type Controller struct {
	URL    string // of its health and metrics
	Stdout *LogBuffer
	Stderr *LogBuffer
	Cmd    *exec.Cmd
	Exited chan error
	Once   sync.Once
}

// StartController runs "minilb controller" with these flags beside -kubeconfig and -health.
// It waits for nothing.
func StartController(t *testing.T, kubeconfig string, flags ...string) *Controller {
	t.Helper()
	return LaunchController(t, MinilbBinary, kubeconfig, flags...)
}

// LaunchController is startController with another build.
func LaunchController(t *testing.T, binary func() (string, error), kubeconfig string, flags ...string) *Controller {
	t.Helper()
	addr := FreePorts(t, 1)[0]
	p := &Controller{URL: "http://" + addr, Stdout: &LogBuffer{}, Stderr: &LogBuffer{}, Exited: make(chan error, 1)}
	p.Cmd = command(t, binary, append([]string{"controller", "-kubeconfig", kubeconfig, "-health", addr}, flags...)...)
	p.Cmd.Stdout, p.Cmd.Stderr = p.Stdout, p.Stderr
	Must(t, p.Cmd.Start())
	go func() { p.Exited <- p.Cmd.Wait() }()
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// Stop ends the controller as the kubelet does and checks that it goes cleanly. Only the
// first call does anything.
func (p *Controller) Stop(t *testing.T) {
	t.Helper()
	p.Once.Do(func() { p.terminate(t) })
}

func (p *Controller) terminate(t *testing.T) {
	t.Helper()
	p.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.Exited:
		if err != nil {
			t.Errorf("minilb controller: %v\n%s", err, p.Stderr)
		}
	case <-time.After(10 * time.Second):
		p.Cmd.Process.Kill()
		<-p.Exited
		t.Errorf("minilb controller did not end within 10s of SIGTERM\n%s", p.Stderr)
	}
	if log := p.Stderr.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Errorf("minilb controller said:\n%s", log)
	}
}

// WaitReady waits until /readyz says so.
func (p *Controller) WaitReady(t *testing.T) *Controller {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		if code, body := Get(p.URL + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("/readyz: %d %s\n%s", code, body, p.Stderr)
		}
		return nil
	})
	return p
}

// Troubles returns the lines of the log that are warnings or worse.
func (p *Controller) Troubles() []string {
	return append(p.Stderr.Lines("level=WARN"), p.Stderr.Lines("level=ERROR")...)
}

// Untroubled fails the test if there are any.
func (p *Controller) Untroubled(t *testing.T) {
	t.Helper()
	if lines := p.Troubles(); len(lines) > 0 {
		t.Errorf("the log has warnings or errors:\n%s", strings.Join(lines, "\n"))
	}
}
