package integration_test

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/cluster"
)

// relay is a TCP load balancer before an API server: clients do not notice that it is there, and
// it may lead them to another one.
type relay struct {
	url  string
	addr string

	mu       sync.Mutex
	target   string // "" while it refuses connections
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

// startRelay returns a relay to an API server, which lasts as long as the test.
func startRelay(t *testing.T, c *cluster.Cluster) *relay {
	t.Helper()
	addr := freePorts(t, 1)[0]
	r := &relay{url: "https://" + addr, addr: addr, conns: map[net.Conn]bool{}}
	r.lead(t, c)
	t.Cleanup(r.refuse)
	return r
}

// lead leads to an API server from now on. All connections break.
func (r *relay) lead(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	r.refuse()
	listener, err := net.Listen("tcp", r.addr)
	must(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target, r.listener = strings.TrimPrefix(c.URL, "https://"), listener
	r.running.Go(func() { r.accept(listener, r.target) })
}

// refuse breaks all connections and takes no others, as a machine does that has just crashed.
func (r *relay) refuse() {
	r.mu.Lock()
	if r.listener != nil {
		r.listener.Close()
	}
	r.target, r.listener = "", nil
	r.reset()
	r.mu.Unlock()
	r.running.Wait()
}

// cut resets all connections and takes others at once.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		conn.(*net.TCPConn).SetLinger(0) // or it would be ended in order
	}
	r.reset()
}

// reset breaks all connections. The caller holds the lock.
func (r *relay) reset() {
	for conn := range r.conns {
		conn.Close()
	}
}

func (r *relay) accept(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.serve(client, target) })
	}
}

func (r *relay) serve(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.target != target {
		r.mu.Unlock()
		return
	}
	r.conns[client], r.conns[server] = true, true
	r.mu.Unlock()
	var copying sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		copying.Go(func() {
			io.Copy(to, from)
			to.Close()
			from.Close()
		})
	}
	copying.Wait()
	r.mu.Lock()
	delete(r.conns, client)
	delete(r.conns, server)
	r.mu.Unlock()
}

// kubeconfigVia returns a kubeconfig with the credentials of another that reaches the API server
// at another URL; authority is that URL's in PEM, nil for the same.
func kubeconfigVia(t *testing.T, kubeconfig, url string, authority []byte) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	must(t, err)
	for _, cluster := range config.Clusters {
		cluster.Server = url
		if authority != nil {
			cluster.CertificateAuthorityData = authority
		}
	}
	path := filepath.Join(t.TempDir(), "via.kubeconfig")
	must(t, clientcmd.WriteToFile(*config, path))
	return path
}
