package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// outcome connects to an address as a probe does and returns what becomes of it.
func outcome(t *testing.T, to netip.AddrPort, patience time.Duration) error {
	t.Helper()
	s := newSockets()
	defer s.stop()
	socket, err := s.connect(to)
	if err != nil {
		return err
	}
	defer s.close(socket)
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		if err := s.outcomes([]flight{{socket: socket}})[0]; err != errPending {
			return err
		}
	}
	return errPending
}

// Real sockets, in both families: a listener is there, and after it has gone it is not.
func TestSockets(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Skipf("no %s here: %v", host, err)
		}
		addr := listener.Addr().(*net.TCPAddr).AddrPort()
		if err := outcome(t, addr, 5*time.Second); err != nil {
			t.Errorf("%s: got %v", addr, err)
		}
		listener.Close()
		if err := outcome(t, addr, 5*time.Second); !refused(err) {
			t.Errorf("%s: got %v, want that it is refused", addr, err)
		}
	}
}

// A listener whose queue is full drops what comes: nobody accepts connections there.
func TestFullQueue(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a full queue does is known of Linux alone")
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(bound.(*syscall.SockaddrInet4).Port))
	conn, err := net.Dial("tcp", addr.String()) // the queue has room for one
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := outcome(t, addr, 200*time.Millisecond); err != errPending {
		t.Errorf("got %v, want silence", err)
	}
}

// timed are sockets that count the connections given up so late that the kernel may have made them
// known to the other side: it withholds the word for 200 ms.
type timed struct {
	sockets
	began map[int]time.Time
	late  int
}

func (s *timed) connect(to netip.AddrPort) (int, error) {
	began := time.Now()
	socket, err := s.sockets.connect(to)
	s.began[socket] = began
	return socket, err
}

func (s *timed) close(socket int) {
	s.sockets.close(socket)
	if time.Since(s.began[socket]) > 150*time.Millisecond {
		s.late++
	}
}

// The program behind an endpoint is not bothered by probes, and what is probed sees no connection
// that lingers.
func TestUnnoticed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere a program sees connections that are reset")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var mu sync.Mutex
	accepted := 0
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			accepted++
			mu.Unlock()
			conn.Close()
		}
	}()
	w := newWorld()
	p := New(MinInterval, w)
	sockets := &timed{sockets: p.schedule.sockets, began: map[int]time.Time{}}
	p.schedule.sockets = sockets
	addr := listener.Addr().(*net.TCPAddr).AddrPort()
	p.Add(Target{Addr: addr})
	ctx, cancel := context.WithTimeout(t.Context(), 20*MinInterval)
	defer cancel()
	p.Run(ctx)
	if !p.schedule.entries[addr].reached || p.Unhealthy(addr) || len(w.changes) > 0 {
		t.Errorf("it was not reached: %+v, %v", p.schedule.entries[addr], w.changes)
	}
	mu.Lock()
	defer mu.Unlock()
	if accepted > sockets.late {
		t.Errorf("the program has seen %d connections, and %d were given up late", accepted, sockets.late)
	}
}
