package probe

import "golang.org/x/sys/unix"

func socket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// unacknowledged puts off the last part of the handshake until after the reset that ends the
// connection, a fifth of a second later at most: the endpoint's system has answered, and the
// program behind it is not bothered.
func unacknowledged(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
}
