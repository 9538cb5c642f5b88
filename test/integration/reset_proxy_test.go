package integration_test

import (
	"fmt"
	"net"
	"sync"
)

// resetProxy passes connections on to a server, and resets all of them when asked to.
type resetProxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[*net.TCPConn]bool
}

func newResetProxy(target string) (*resetProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}
	return &resetProxy{listener: listener, target: target, conns: map[*net.TCPConn]bool{}}, nil
}

// run passes on until the listener is closed.
func (p *resetProxy) run() {
	var running sync.WaitGroup
	defer running.Wait()
	defer p.reset()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		ends := []*net.TCPConn{client.(*net.TCPConn), server.(*net.TCPConn)}
		p.mu.Lock()
		p.conns[ends[0]], p.conns[ends[1]] = true, true
		p.mu.Unlock()
		for i := range ends {
			running.Go(func() {
				ends[i].ReadFrom(ends[1-i])
				p.mu.Lock()
				defer p.mu.Unlock()
				ends[0].Close()
				ends[1].Close()
				delete(p.conns, ends[0])
				delete(p.conns, ends[1])
			})
		}
	}
}

// reset resets all connections.
func (p *resetProxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.SetLinger(0)
		conn.Close()
	}
}
