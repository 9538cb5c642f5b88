package source

import (
	"context"
	"net"
	"sync/atomic"
)

// contact tells whether the API server has said anything at all. A connection alone does not: its
// kernel, or what stands in front of it, takes those for a server that hangs as well.
type contact struct{ made atomic.Bool }

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// dial returns a dialer whose connections are listened to.
func (c *contact) dial(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &contactConn{conn, c}, nil
	}
}

type contactConn struct {
	net.Conn
	contact *contact
}

// Read implements the net.Conn interface.
func (c *contactConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.contact.made.Load() {
		c.contact.made.Store(true)
	}
	return n, err
}
