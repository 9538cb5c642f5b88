//go:build linux

// Package netns makes network namespaces for the tests that need hosts of their own: the LAN of test/e2e and
// the nodes of test/realcluster. It needs root and iproute2.
package netns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/minilb/minilb/test/daemon"
)

// Set is the network namespaces of one run. Whatever becomes of the run, they are removed: by Close or, if
// this process is killed, by a child that outlives it.
type Set struct {
	Prefix string // of the names, so that no other run has the same

	home    *os.File // the namespace in which the process was started
	janitor *daemon.Janitor

	mu  sync.Mutex
	all map[string]*Namespace
}

// sweep removes all that has a prefix, with the locks of "minilb routes" for it.
const sweep = `
for file in /run/netns/"$1"*; do
	[ -e "$file" ] || continue
	rm -f "/run/minilb/routes-$(stat -L -c %i "$file").lock"
	ip netns delete "${file##*/}"
done
rm -rf -- /etc/netns/"$1"*
rmdir /etc/netns /run/minilb 2>/dev/null
exit 0
`

// New makes an empty set.
func New() (*Set, error) {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Set{Prefix: "minilb-" + hex.EncodeToString(id[:]) + "-", all: map[string]*Namespace{}}
	var err error
	if s.home, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return nil, fmt.Errorf("find the network namespace: %w", err)
	}
	if s.janitor, err = daemon.StartJanitor(sweep, s.Prefix); err != nil {
		return nil, err
	}
	return s, nil
}

// Close removes what is left of the namespaces.
func (s *Set) Close() error {
	for _, n := range s.all {
		n.file.Close()
	}
	s.home.Close()
	return s.janitor.Stop()
}

// Namespace is a network namespace that "ip netns" knows.
type Namespace struct {
	Name string

	home, file *os.File
}

// DeniedError is that of somebody who may not make namespaces, as root in a container may not.
type DeniedError struct{ reason string }

func (e *DeniedError) Error() string { return e.reason }

// Add makes a namespace with these sysctls, written with slashes.
func (s *Set) Add(role string, sysctls ...string) (*Namespace, error) {
	n := &Namespace{Name: s.Prefix + role, home: s.home}
	if out, err := exec.Command("ip", "netns", "add", n.Name).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "not permitted") || strings.Contains(string(out), "denied") {
			return nil, &DeniedError{fmt.Sprintf("network Set cannot be made here: %s", strings.TrimSpace(string(out)))}
		}
		return nil, fmt.Errorf("add namespace %s: %w: %s", n.Name, err, out)
	}
	var err error
	if n.file, err = os.Open(filepath.Join("/run/netns", n.Name)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.all[n.Name] = n
	s.mu.Unlock()
	err = n.Do(func() error {
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
	return n, n.IP("link set lo up")
}

// Remove deletes a namespace with the links in it.
func (s *Set) Remove(n *Namespace) error {
	s.mu.Lock()
	delete(s.all, n.Name)
	s.mu.Unlock()
	n.file.Close()
	if out, err := exec.Command("ip", "netns", "delete", n.Name).CombinedOutput(); err != nil {
		return fmt.Errorf("delete namespace %s: %w: %s", n.Name, err, out)
	}
	return nil
}

// IP executes lines of iproute2's in the namespace, without the word "ip", until one fails.
func (n *Namespace) IP(lines ...string) error {
	cmd := exec.Command("ip", "-n", n.Name, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("in %s: %q: %w: %s", n.Name, lines, err, out)
	}
	return nil
}

// Command returns a command that runs in the namespace, with the resolv.conf that it has.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Output runs a command in the namespace to its end.
func (n *Namespace) Output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := n.Command(ctx, name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("in %s: %s %q: %w: %s", n.Name, name, args, err, &stderr)
	}
	return stdout.String(), nil
}

// Do calls f on a thread that is in the namespace. Sockets that f opens, in this goroutine, stay there.
func (n *Namespace) Do(f func() error) error {
	runtime.LockOSThread()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", n.Name, err)
	}
	err := f()
	if back := unix.Setns(int(n.home.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread remains locked and so ends with the goroutine, rather than run others.
		return errors.Join(err, fmt.Errorf("leave namespace %s: %w", n.Name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// Dial connects from within the namespace to an IP address and port.
func (n *Namespace) Dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = n.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Listen listens within the namespace for TCP.
func (n *Namespace) Listen(ctx context.Context, addr string) (listener net.Listener, err error) {
	err = n.Do(func() error {
		var config net.ListenConfig
		listener, err = config.Listen(ctx, "tcp", addr)
		return err
	})
	return listener, err
}

// SetResolver has programs that run in the namespace ask the name server at addr.
func (n *Namespace) SetResolver(addr string) error {
	dir := filepath.Join("/etc/netns", n.Name) // ip-netns(8)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+addr+"\n"), 0o644)
}
