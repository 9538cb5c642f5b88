package harness

import (
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/cluster"
)

// Relay is a TCP load balancer before an API server: clients do not notice that it is there, and
// it may lead them to another one.
type Relay struct {
	URL  string
	Addr string

	mu       sync.Mutex
	target   string // "" while it refuses connections
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

// StartRelay returns a relay to an API server, which lasts as long as the test.
func StartRelay(t *testing.T, c *cluster.Cluster) *Relay {
	t.Helper()
	addr := FreePorts(t, 1)[0]
	r := &Relay{URL: "https://" + addr, Addr: addr, conns: map[net.Conn]bool{}}
	r.Lead(t, c)
	t.Cleanup(r.Refuse)
	return r
}

// Lead leads to an API server from now on. All connections break.
func (r *Relay) Lead(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	r.Refuse()
	listener, err := net.Listen("tcp", r.Addr)
	Must(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target, r.listener = strings.TrimPrefix(c.URL, "https://"), listener
	r.running.Go(func() { r.accept(listener, r.target) })
}

// Refuse breaks all connections and takes no others, as a machine does that has just crashed.
func (r *Relay) Refuse() {
	r.mu.Lock()
	if r.listener != nil {
		r.listener.Close()
	}
	r.target, r.listener = "", nil
	r.reset()
	r.mu.Unlock()
	r.running.Wait()
}

// Cut resets all connections and takes others at once.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		conn.(*net.TCPConn).SetLinger(0) // or it would be ended in order
	}
	r.reset()
}

// reset breaks all connections. The caller holds the lock.
func (r *Relay) reset() {
	for conn := range r.conns {
		conn.Close()
	}
}

func (r *Relay) accept(listener net.Listener, target string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.serve(client, target) })
	}
}

func (r *Relay) serve(client net.Conn, target string) {
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

// KubeconfigVia returns a kubeconfig with the credentials of another that reaches the API server
// at another URL; authority is that URL's in PEM, nil for the same.
func KubeconfigVia(t *testing.T, kubeconfig, url string, authority []byte) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	Must(t, err)
	for _, cluster := range config.Clusters {
		cluster.Server = url
		if authority != nil {
			cluster.CertificateAuthorityData = authority
		}
	}
	path := filepath.Join(t.TempDir(), "via.kubeconfig")
	Must(t, clientcmd.WriteToFile(*config, path))
	return path
}

// PassTo returns a handler that has the API server answer.
func PassTo(t *testing.T, c *cluster.Cluster) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(c.URL)
	Must(t, err)
	transport, err := rest.TransportFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: c.Config.CAData}})
	Must(t, err)
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // of watches, each event counts
	}
}

// Authority returns what a client must trust to talk to a server, in PEM.
func Authority(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
