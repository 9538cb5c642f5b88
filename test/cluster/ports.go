package cluster

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// handedOut are the ports that this process has chosen. None is chosen twice, nor by another
// process as long as this one runs: its first user may not have opened it yet, or have closed it only
// to open it again.
var handedOut struct {
	sync.Mutex
	ports map[int]bool
	locks *os.File // of which each byte stands for a port; never closed, as that would free all
}

// FreePorts returns n ports of loopback that nobody uses for TCP or UDP. They lie below the
// ranges from which Linux and macOS choose the local port of an outgoing connection, and below
// the NodePorts: a server that was stopped finds its port free again, and no client of a server
// that shares its port (SO_REUSEPORT) is given that very port and talks to itself.
func FreePorts(n int) ([]int, error) {
	const low, high, tries = 20000, 30000, 1000

	handedOut.Lock()
	defer handedOut.Unlock()
	if handedOut.ports == nil {
		locks, err := openLocks()
		if err != nil {
			return nil, fmt.Errorf("open the locks of ports: %w", err)
		}
		handedOut.ports, handedOut.locks = map[int]bool{}, locks
	}
	var found []int
	for try := 0; len(found) < n; try++ {
		if try == tries {
			return nil, fmt.Errorf("found no free ports on 127.0.0.1 between %d and %d", low, high)
		}
		port := low + rand.IntN(high-low)
		if handedOut.ports[port] || !lockByte(handedOut.locks, int64(port)) || Free(loopback(port)) != nil {
			continue
		}
		handedOut.ports[port] = true
		found = append(found, port)
	}
	return found, nil
}

// openLocks opens the file of locks in the user's cache directory, beside the binaries: each process
// may have a directory of its own for what is temporary.
func openLocks() (*os.File, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "minilb")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, "ports"), os.O_RDWR|os.O_CREATE, 0o600)
}

// lockByte locks a byte of a file for this process, until it ends. It reports whether no other has it.
func lockByte(file *os.File, at int64) bool {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}
	return syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock) == nil
}

// FreeAddrs returns n addresses of loopback, of FreePorts.
func FreeAddrs(n int) ([]string, error) {
	ports, err := FreePorts(n)
	var addrs []string
	for _, port := range ports {
		addrs = append(addrs, loopback(port))
	}
	return addrs, err
}

// Free returns an error if somebody uses the address for TCP or UDP.
func Free(addr string) error {
	stream, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	return errors.Join(stream.Close(), packets.Close())
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
