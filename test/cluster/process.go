package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/minilb/minilb/test/daemon"
)

const (
	// stopGrace is how long etcd has between SIGTERM and SIGKILL where its data
	// are used afterwards.
	stopGrace = 2 * time.Second

	// probeInterval is the time between two looks at a starting component.
	probeInterval = 20 * time.Millisecond

	// tailSize is how much of a component's log an error quotes, in bytes.
	tailSize = 4 << 10
)

// lazyGC is the environment of the components. A start takes 3 to 3.5 s of CPU; a tenth of that is
// spared by a heap that grows to five times what is live before it is collected, which makes 400 MB
// of the API server's 290. The limit keeps one with much data from growing likewise.
var lazyGC = []string{"GOGC=400", "GOMEMLIMIT=2GiB"}

// errPortTaken is wrapped by the error of a component that could not bind.
var errPortTaken = errors.New("port taken")

// process is one running component.
type process struct {
	name     string
	pid      int
	log      string        // path of its standard output and error
	logStart int64         // where this run begins in log
	exited   chan struct{} // closed once err is set
	err      error         // how it ended

	stopping bool // whether we asked it to end
}

// spawn starts a component in Dir with its output appended to Dir/name.log.
func (c *Cluster) spawn(name, binary string, args []string) (*process, error) {
	path := filepath.Join(c.Dir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	// The child has its own descriptor of it.
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the log of %s: %w", name, err)
	}

	cmd := exec.Command(binary, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), lazyGC...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that Ctrl-C on a terminal reaches us alone and we
	// stop the components in order.
	cmd.SysProcAttr = daemon.DieWithParent(&syscall.SysProcAttr{Setpgid: true})
	if err := c.spawner.Spawn(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{
		name:     name,
		pid:      cmd.Process.Pid,
		log:      path,
		logStart: info.Size(),
		exited:   make(chan struct{}),
	}
	go func() {
		defer close(p.exited)
		if p.err = cmd.Wait(); p.err == nil {
			p.err = errors.New("exit status 0")
		}
	}()
	return p, nil
}

// stop asks the process to end, kills it if it has not after grace, and waits
// for its end. Stopping one that was stopped before does nothing; one that
// ended by itself is an error.
func (p *process) stop(grace time.Duration) error {
	if p.stopping {
		return nil
	}
	p.stopping = true
	select {
	case <-p.exited:
		return p.failure("ended by itself", p.err)
	default:
	}
	// The only error is that the process is gone, which is what we are after.
	_ = syscall.Kill(-p.pid, syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.exited
	}
	return nil
}

// waitReady calls check until it returns nil, the process ends or ctx does.
func (p *process) waitReady(ctx context.Context, check func(context.Context) error) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.exited:
			return p.failure("ended by itself", p.err)
		case <-ctx.Done():
			return p.failure("is not ready", errors.Join(ctx.Err(), err))
		}
	}
}

// failure is an error about p that quotes the end of its log.
func (p *process) failure(what string, err error) error {
	tail := p.tail()
	if strings.Contains(tail, "address already in use") {
		err = errors.Join(errPortTaken, err)
	}
	return fmt.Errorf("%s %s: %w; the end of its log:\n%s", p.name, what, err, tail)
}

// tail returns the last lines which this run wrote to its log.
func (p *process) tail() string {
	file, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	from := p.logStart
	if info, err := file.Stat(); err == nil {
		from = max(from, info.Size()-tailSize)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, from, tailSize))
	if err != nil {
		return err.Error()
	}
	if _, whole, cut := bytes.Cut(text, []byte("\n")); cut && from > p.logStart {
		text = whole
	}
	return string(text)
}

// healthy returns a check that url answers 200.
func (c *Cluster) healthy(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		response, err := c.probe.Do(request)
		if err != nil {
			return fmt.Errorf("ask for health: %w", err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", url, err)
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s says %s: %s", url, response.Status, body)
		}
		return nil
	}
}
