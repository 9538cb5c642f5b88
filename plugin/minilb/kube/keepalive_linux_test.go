package kube

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
)

// A connection to a server that has lost power fails within ten seconds, as the kernel asks.
func TestKeepAlive(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := ClientConfig(&rest.Config{}, "").Dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) (value int) {
		t.Helper()
		var failure error
		if err := raw.Control(func(fd uintptr) { value, failure = unix.GetsockoptInt(int(fd), level, name) }); err != nil || failure != nil {
			t.Fatal(err, failure)
		}
		return value
	}
	if option(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		t.Fatal("the kernel does not ask at all")
	}
	idle, interval, count := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	if seconds := idle + interval*count; seconds > 9 {
		t.Errorf("it fails after %d seconds: idle for %d, then %d times %d", seconds, idle, count, interval)
	}
}
