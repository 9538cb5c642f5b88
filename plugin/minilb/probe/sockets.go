package probe

import (
	"errors"
	"net/netip"
	"syscall"
)

// sockets connects without blocking.
type sockets interface {
	// connect begins to connect. The caller closes the socket.
	connect(to netip.AddrPort) (socket int, err error)
	// outcomes returns, for each connection, nil if it has been made, errPending if it is being made,
	// or why it failed. The result is valid until the next call.
	outcomes(flying []flight) []error
	close(socket int)
	// stop releases resources, after all sockets have been closed.
	stop()
}

var errPending = errors.New("connection in progress")

// refused reports whether the host itself has refused the connection.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// local reports whether an error is about this machine, not the endpoint.
func local(err error) bool {
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
		syscall.EAGAIN, syscall.EACCES, syscall.EPERM, syscall.EAFNOSUPPORT:
		return true
	}
	return false
}
