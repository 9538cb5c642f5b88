package probe

import "golang.org/x/sys/unix"

func socket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// unacknowledged delays the last part of the handshake, for 200 ms at most, so that the reset that ends
// the connection comes first: the endpoint's kernel has answered, and its program does not notice.
func unacknowledged(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
}
