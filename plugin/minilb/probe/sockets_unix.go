//go:build unix

package probe

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// polled are sockets that one system call asks about all at once: a connection that is made by a
// dialer of package net, with its goroutine and timers, costs three times as much.
type polled struct {
	fds  []unix.PollFd
	errs []error

	// Made once and used for each connection.
	inet4 unix.SockaddrInet4
	inet6 unix.SockaddrInet6
}

// openFiles returns how many files this process may have open: as many as the hard limit says, to which
// Go has raised the soft one.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 4 * maxInFlight // and if there are fewer, it says so when it runs out of them
	}
	return int(min(uint64(limit.Cur), 1<<30))
}

func newSockets() sockets { return &polled{} }

func (s *polled) connect(to netip.AddrPort) (int, error) {
	var family int
	var addr unix.Sockaddr
	if to.Addr().Is4() {
		s.inet4.Port, s.inet4.Addr = int(to.Port()), to.Addr().As4()
		family, addr = unix.AF_INET, &s.inet4
	} else {
		s.inet6.Port, s.inet6.Addr = int(to.Port()), to.Addr().As16()
		family, addr = unix.AF_INET6, &s.inet6
	}
	fd, err := socket(family)
	if err != nil {
		return 0, err
	}
	quiet(fd)
	if err := unix.Connect(fd, addr); err != nil && err != unix.EINPROGRESS && err != unix.EINTR {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// quiet lets a connection leave nothing behind: a reset ends it, so that none lingers here for a
// minute.
func quiet(fd int) {
	// Without it the connection is ended in the ordinary way, which serves as well.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unacknowledged(fd)
}

func (s *polled) outcomes(flying []flight) []error {
	s.fds, s.errs = s.fds[:0], s.errs[:0]
	for _, f := range flying {
		s.fds = append(s.fds, unix.PollFd{Fd: int32(f.socket), Events: unix.POLLOUT})
		s.errs = append(s.errs, errPending)
	}
	if len(s.fds) == 0 {
		return nil
	}
	if n, err := unix.Poll(s.fds, 0); err != nil || n == 0 {
		return s.errs // interrupted; there will be a next time
	}
	for i := range s.fds {
		switch events := s.fds[i].Revents; {
		case events == 0:
		case events&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) == 0:
			s.errs[i] = nil
		default:
			s.errs[i] = failure(int(s.fds[i].Fd))
		}
	}
	return s.errs
}

// failure returns why a connection failed, nil if it was made and has ended since.
func failure(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	return nil
}

func (s *polled) close(socket int) { unix.Close(socket) }

func (s *polled) stop() {}
