// Package daemon runs servers as child processes that do not outlive us, and a child process that does, to clean up.
package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a daemon has between StopSignal and SIGKILL.
	stopGrace = 5 * time.Second

	// tailLines is how much of a daemon's log is quoted when it dies.
	tailLines = 10
)

// Daemon is a child process that must not end before we end it.
type Daemon struct {
	Name string
	Path string // of the binary
	Args []string
	Log  string // path of the file that takes its output

	StopSignal syscall.Signal // asks it to end; SIGTERM, if zero

	cmd      *exec.Cmd
	stopping chan struct{}
	exited   chan struct{}
}

// Start runs the daemon and calls died with the reason, if it ends without Stop. It must be
// called from a goroutine that is locked to a thread which outlives the daemon: the kernel kills
// it when that ends.
func (d *Daemon) Start(died context.CancelCauseFunc) error {
	log, err := os.Create(d.Log)
	if err != nil {
		return fmt.Errorf("create the log of %s: %w", d.Name, err)
	}
	defer log.Close() // the child has its own descriptor of it
	cmd := exec.Command(d.Path, d.Args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that Ctrl-C reaches us alone and we stop it in order.
	cmd.SysProcAttr = DieWithParent(&syscall.SysProcAttr{Setpgid: true})
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.Name, err)
	}
	d.cmd, d.stopping, d.exited = cmd, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(d.exited)
		err := cmd.Wait()
		select {
		case <-d.stopping:
		default:
			if err == nil {
				err = errors.New("exit status 0")
			}
			died(fmt.Errorf("%s ended by itself: %w; the end of its log:\n%s", d.Name, err, d.tail()))
		}
	}()
	return nil
}

// PID returns the process id of a daemon that has been started.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Stop ends the daemon, if it runs, and waits for it.
func (d *Daemon) Stop() {
	if d == nil || d.cmd == nil {
		return
	}
	select {
	case <-d.stopping:
		return
	default:
		close(d.stopping)
	}
	// The only error is that it has ended, which is what we are after.
	_ = d.cmd.Process.Signal(cmp.Or(d.StopSignal, syscall.SIGTERM))
	timer := time.AfterFunc(stopGrace, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	<-d.exited
}

// tail returns the last lines of the log.
func (d *Daemon) tail() []byte {
	text, err := os.ReadFile(d.Log)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n"))
}
