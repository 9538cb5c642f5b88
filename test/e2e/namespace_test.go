//go:build linux

package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// namespaces makes the network namespaces of one run. Whatever becomes of the run, they are
// removed: by close or, if this process is killed, by a child that outlives it.
type namespaces struct {
	prefix  string // of the names, so that no other run has the same
	janitor *exec.Cmd
	pipe    io.Closer

	mu  sync.Mutex
	all map[string]*namespace
}

// sweep waits for the end of its standard input and then removes all that has a prefix, with the locks of
// "minilb routes" for it.
const sweep = `
while read -r _; do :; done
for file in /run/netns/"$1"*; do
	[ -e "$file" ] || continue
	rm -f "/run/minilb/routes-$(stat -L -c %i "$file").lock"
	ip netns delete "${file##*/}"
done
rm -rf -- /etc/netns/"$1"*
rmdir /etc/netns /run/minilb 2>/dev/null
exit 0
`

func newNamespaces() (*namespaces, error) {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &namespaces{prefix: "minilb-e2e-" + hex.EncodeToString(id[:]) + "-", all: map[string]*namespace{}}
	s.janitor = exec.Command("/bin/sh", "-c", sweep, "janitor", s.prefix)
	// Not in our process group: what interrupts us must not interrupt it.
	s.janitor.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.janitor.Stderr = os.Stderr
	var err error
	if s.pipe, err = s.janitor.StdinPipe(); err != nil {
		return nil, fmt.Errorf("make a pipe to the janitor: %w", err)
	}
	if err := s.janitor.Start(); err != nil {
		return nil, fmt.Errorf("start the janitor of the namespaces: %w", err)
	}
	return s, nil
}

// close removes what is left of the namespaces.
func (s *namespaces) close() error {
	for _, n := range s.all {
		n.file.Close()
	}
	s.pipe.Close()
	if err := s.janitor.Wait(); err != nil {
		return fmt.Errorf("remove the namespaces: %w", err)
	}
	return nil
}

// namespace is a network namespace that "ip netns" knows.
type namespace struct {
	name string
	file *os.File
}

// deniedError is that of somebody who may not make namespaces, as root in a container may not.
type deniedError struct{ reason string }

func (e *deniedError) Error() string { return e.reason }

// add makes a namespace with these sysctls, written with slashes.
func (s *namespaces) add(role string, sysctls ...string) (*namespace, error) {
	n := &namespace{name: s.prefix + role}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not permitted") || strings.Contains(string(out), "denied") {
			return nil, &deniedError{fmt.Sprintf("network namespaces cannot be made here: %s", strings.TrimSpace(string(out)))}
		}
		return nil, fmt.Errorf("add namespace %s: %w: %s", n.name, err, out)
	}
	var err error
	if n.file, err = os.Open(filepath.Join("/run/netns", n.name)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.all[n.name] = n
	s.mu.Unlock()
	err = n.do(func() error {
		// Addresses can be used at once, and are those that we give alone.
		always := []string{"net/ipv6/conf/default/accept_dad=0", "net/ipv6/conf/default/accept_ra=0"}
		for _, setting := range append(always, sysctls...) {
			key, value, _ := strings.Cut(setting, "=")
			if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return n, n.ip("link set lo up")
}

// remove deletes a namespace with the links in it.
func (s *namespaces) remove(n *namespace) error {
	s.mu.Lock()
	delete(s.all, n.name)
	s.mu.Unlock()
	n.file.Close()
	if out, err := exec.Command("ip", "netns", "delete", n.name).CombinedOutput(); err != nil {
		return fmt.Errorf("delete namespace %s: %w: %s", n.name, err, out)
	}
	return nil
}

// ip executes lines of iproute2's in the namespace, without the word "ip", until one fails.
func (n *namespace) ip(lines ...string) error {
	cmd := exec.Command("ip", "-n", n.name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("in %s: %q: %w: %s", n.name, lines, err, out)
	}
	return nil
}

// command returns a command that runs in the namespace, with the resolv.conf that it has.
func (n *namespace) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.name, name}, args...)...)
}

// output runs a command in the namespace to its end.
func (n *namespace) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := n.command(ctx, name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("in %s: %s %q: %w: %s", n.name, name, args, err, &stderr)
	}
	return stdout.String(), nil
}

// do calls f on a thread that is in the namespace. Sockets that f opens, in this goroutine, stay there.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", n.name, err)
	}
	err := f()
	if back := unix.Setns(int(root.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread remains locked and so ends with the goroutine, rather than run others.
		return errors.Join(err, fmt.Errorf("leave namespace %s: %w", n.name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// dial connects from within the namespace to an IP address and port.
func (n *namespace) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = n.do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// listen listens within the namespace for TCP.
func (n *namespace) listen(ctx context.Context, addr string) (listener net.Listener, err error) {
	err = n.do(func() error {
		var config net.ListenConfig
		listener, err = config.Listen(ctx, "tcp", addr)
		return err
	})
	return listener, err
}

// setResolver has programs that run in the namespace ask the name server at addr.
func (n *namespace) setResolver(addr string) error {
	dir := filepath.Join("/etc/netns", n.name) // ip-netns(8)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+addr+"\n"), 0o644)
}
