// Package pipes connects clients with servers in memory: the clock of a synctest bubble stands still
// while anything in it waits for a socket, and goes on while it waits for one of these.
package pipes

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Listener accepts what its Dial connects. It must be made in the bubble that it is used in.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to whoever accepts, whatever the address is. As nothing queues, it waits until
// somebody does.
func (l *Listener) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, Refuse(network)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements the net.Listener interface.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements the net.Listener interface.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements the net.Listener interface.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// Refuse returns the error of a connection that nobody accepts.
func Refuse(network string) error {
	return &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
}
