//go:build linux

package netns

import (
	"context"
	"io"
	"net"
	"net/netip"
	"net/url"
	"sync"

	"k8s.io/client-go/tools/clientcmd"
)

// Forwarder takes connections in one namespace and passes them on to a server in the test's own.
type Forwarder struct {
	Addr   netip.AddrPort // where it listens
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// Forward starts a Forwarder to the host and port of a URL.
func Forward(ctx context.Context, from *Namespace, addr netip.AddrPort, to string) (*Forwarder, error) {
	target, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	listener, err := from.Listen(ctx, addr.String())
	if err != nil {
		return nil, err
	}
	// It lasts longer than the test that starts it.
	ctx, cancel := context.WithCancel(context.Background())
	f := &Forwarder{Addr: addr, cancel: cancel}
	context.AfterFunc(ctx, func() { listener.Close() })
	f.wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.wait.Go(func() { pipe(ctx, conn, target.Host) })
		}
	})
	return f, nil
}

// Stop closes its connections and waits for their end.
func (f *Forwarder) Stop() {
	f.cancel()
	f.wait.Wait()
}

// WriteKubeconfig copies the kubeconfig of an API server on loopback for programs that reach it by the Forwarder.
func (f *Forwarder) WriteKubeconfig(from, to string) error {
	config, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return err
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + f.Addr.String()
		cluster.TLSServerName = "127.0.0.1" // for which the certificate is
	}
	return clientcmd.WriteToFile(*config, to)
}

// pipe connects conn with the server at addr until one of them, or ctx, ends.
func pipe(ctx context.Context, conn net.Conn, addr string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		conn.Close()
		return
	}
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		conn.Close()
		server.Close()
		close(closed)
	})
	var copies sync.WaitGroup
	for _, ends := range [][2]net.Conn{{conn, server}, {server, conn}} {
		copies.Go(func() {
			defer cancel()
			_, _ = io.Copy(ends[0], ends[1])
		})
	}
	copies.Wait()
	<-closed
}
