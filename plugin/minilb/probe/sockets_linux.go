package probe

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// polled connects with nonblocking sockets that one system call polls: net.Dialer costs three times the CPU.
type polled struct {
	fds  []unix.PollFd
	errs []error

	// Reused for each connection.
	inet4 unix.SockaddrInet4
	inet6 unix.SockaddrInet6
}

// openFiles returns how many files this process may open: the hard limit, to which Go has raised the soft one.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 4 * maxInFlight // if there are fewer, connect fails
	}
	return int(min(limit.Cur, 1<<30))
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
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	// A reset ends the connection, so that it does not stay in TIME_WAIT for a minute; on an error it ends as usual.
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	// The last part of the handshake is delayed, for 200 ms at most, so that the reset comes first: the endpoint's kernel has
	// answered, and its program does not notice.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	if err := unix.Connect(fd, addr); err != nil && err != unix.EINPROGRESS && err != unix.EINTR {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
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
		return s.errs // interrupted: the next tick polls again
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

// failure returns why a connection failed, nil if it was made and has ended.
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
