package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// sweep waits for the end of its standard input and then removes the directory
// that is its argument, until it stays away: a component that is being killed
// at the same time may still write there.
const sweep = `
while read -r _; do :; done
while [ -e "$1" ]; do
	rm -rf -- "$1"
	sleep 0.1
done
`

// janitor is a child process that outlives us and then removes a directory. It
// learns of our death by the end of a pipe, so that no way of dying leaves
// anything behind: a kill, a test timeout, a panic.
type janitor struct {
	dir  string
	cmd  *exec.Cmd
	pipe io.Closer
}

func startJanitor(dir string) (*janitor, error) {
	cmd := exec.Command("/bin/sh", "-c", sweep, "janitor", dir)
	// Not in our process group: what interrupts us must not interrupt it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe to the janitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the janitor of %s: %w", dir, err)
	}
	return &janitor{dir: dir, cmd: cmd, pipe: pipe}, nil
}

// stop removes the directory at once and sends the janitor home.
func (j *janitor) stop() error {
	if err := errors.Join(os.RemoveAll(j.dir), j.pipe.Close()); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	if err := j.cmd.Wait(); err != nil {
		return fmt.Errorf("wait for the janitor: %w", err)
	}
	return nil
}
