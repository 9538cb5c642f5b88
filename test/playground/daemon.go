package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a daemon has between SIGTERM and SIGKILL.
	stopGrace = 5 * time.Second

	// tailLines is how much of a daemon's log is quoted when it dies.
	tailLines = 10
)

// daemon is a child process that must not end before we end it.
type daemon struct {
	name string
	path string // of the binary
	args []string
	log  string // path of the file that takes its output

	cmd      *exec.Cmd
	stopping chan struct{}
	exited   chan struct{}
}

// start runs the daemon and calls died with the reason, if it ends without stop. It must be
// called from the main goroutine, whose thread outlives the daemon.
func (d *daemon) start(died context.CancelCauseFunc) error {
	log, err := os.Create(d.log)
	if err != nil {
		return fmt.Errorf("create the log of %s: %w", d.name, err)
	}
	defer log.Close() // the child has its own descriptor of it
	cmd := exec.Command(d.path, d.args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that Ctrl-C reaches us alone and we stop it in order.
	cmd.SysProcAttr = dieWithParent(&syscall.SysProcAttr{Setpgid: true})
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
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
			died(fmt.Errorf("%s ended by itself: %w; the end of its log:\n%s", d.name, err, d.tail()))
		}
	}()
	return nil
}

// stop ends the daemon, if it runs, and waits for it.
func (d *daemon) stop() {
	if d == nil || d.cmd == nil {
		return
	}
	close(d.stopping)
	// The only error is that it has ended, which is what we are after.
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopGrace, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	<-d.exited
}

// tail returns the last lines of the log.
func (d *daemon) tail() []byte {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n"))
}
