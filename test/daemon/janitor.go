package daemon

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Janitor is a child process that outlives us and then cleans up. It learns of our end by that of a pipe, so that no way of
// dying leaves anything behind: a kill, a test's timeout, a panic.
type Janitor struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// StartJanitor starts one, which runs a script of the shell's with these arguments once we have ended.
func StartJanitor(script string, args ...string) (*Janitor, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", "while read -r _; do :; done\n" + script, "janitor"}, args...)...)
	// Not in our process group: what interrupts us must not interrupt it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe to the janitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the janitor of %q: %w", args, err)
	}
	return &Janitor{cmd, pipe}, nil
}

// PID returns its process id.
func (j *Janitor) PID() int { return j.cmd.Process.Pid }

// Stop has it clean up at once, and waits for that.
func (j *Janitor) Stop() error {
	j.pipe.Close()
	if err := j.cmd.Wait(); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
