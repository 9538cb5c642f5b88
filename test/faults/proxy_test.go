package faults_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// fault is what a faultProxy does with a request instead of passing it on.
type fault func(p *faultProxy, w http.ResponseWriter, r *http.Request)

// faultProxy stands before an API server, speaks HTTP/2 as that does, and answers as badly as it
// is told to.
type faultProxy struct {
	server *httptest.Server
	pass   http.Handler

	mu       sync.Mutex
	fault    fault // nil for none
	conns    map[net.Conn]bool
	requests map[string]int // by the first word of the user agent, since the fault began
}

func startFaultProxy(t *testing.T, c *cluster.Cluster) *faultProxy {
	t.Helper()
	pass := harness.PassTo(t, c)
	p := &faultProxy{pass: pass, conns: map[net.Conn]bool{}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.EnableHTTP2 = true
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that are cut off, as they should
	pass.ErrorLog = p.server.Config.ErrorLog
	p.server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch state {
		case http.StateNew:
			p.conns[conn] = true
		case http.StateClosed:
			delete(p.conns, conn)
		}
	}
	p.server.StartTLS()
	t.Cleanup(p.reset)
	return p
}

// kubeconfig returns one that has the credentials of another and leads here.
func (p *faultProxy) kubeconfig(t *testing.T, kubeconfig string) string {
	t.Helper()
	return harness.KubeconfigVia(t, kubeconfig, p.server.URL, harness.Authority(p.server))
}

// begin has every request answered by a fault from now on, nil for none, and breaks the
// connections, so that what is watched is asked for again.
func (p *faultProxy) begin(f fault) {
	p.mu.Lock()
	p.fault, p.requests = f, map[string]int{}
	p.mu.Unlock()
	p.reset()
}

// end has requests passed on again and returns how many there have been. No connection breaks.
func (p *faultProxy) end() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = nil
	return p.requests
}

// asked returns an error until all of these have made a request since the fault began.
func (p *faultProxy) asked(agents map[string]int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for agent := range agents {
		if p.requests[agent] == 0 {
			return fmt.Errorf("no request of %s, only %v", agent, p.requests)
		}
	}
	return nil
}

// reset breaks all connections.
func (p *faultProxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

// ServeHTTP implements the http.Handler interface.
func (p *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	agent, _, _ := strings.Cut(r.UserAgent(), " ")
	p.mu.Lock()
	f := p.fault
	if f != nil {
		p.requests[agent]++
	}
	p.mu.Unlock()
	if f == nil {
		p.pass.ServeHTTP(w, r)
		return
	}
	f(p, w, r)
}
