package probe

import (
	"errors"
	"net/netip"
	"syscall"
)

// sockets make connections without waiting for them.
type sockets interface {
	// connect begins to connect. What it returns is to be closed.
	connect(to netip.AddrPort) (socket int, err error)
	// outcomes returns for each connection nil if it has been made, errPending if it is not
	// decided, or why it failed. The result is valid until the next call.
	outcomes(flying []flight) []error
	// close gives a connection up, whatever has become of it.
	close(socket int)
	// stop ends whatever works for the sockets. All of them have been closed.
	stop()
}

var errPending = errors.New("not decided yet")

// refused reports whether it was the host itself that did not want the connection.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// local reports whether an error says something about this machine alone.
func local(err error) bool {
	for _, own := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
		syscall.EAGAIN, syscall.EACCES, syscall.EPERM, syscall.EAFNOSUPPORT,
	} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}
