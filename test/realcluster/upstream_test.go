//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/netns"
)

// upstream has addresses of the Internet's, on the router, and knows no name.
type upstream struct {
	servers []*dns.Server
	running sync.WaitGroup
}

func startUpstream(ctx context.Context, router *netns.Namespace, addrs ...string) (*upstream, error) {
	u := &upstream{}
	for _, addr := range addrs {
		if err := router.IP("addr add " + addr + " dev lo"); err != nil {
			return u, err
		}
		port := net.JoinHostPort(addr, "53")
		var packets net.PacketConn
		if err := router.Do(func() (err error) {
			packets, err = net.ListenPacket("udp", port)
			return err
		}); err != nil {
			return u, err
		}
		listener, err := router.Listen(ctx, port)
		if err != nil {
			return u, err
		}
		for _, server := range []*dns.Server{{PacketConn: packets}, {Listener: listener}} {
			server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
				_ = w.WriteMsg(new(dns.Msg).SetRcode(question, dns.RcodeNameError))
			})
			started := make(chan struct{})
			server.NotifyStartedFunc = func() { close(started) }
			u.servers = append(u.servers, server)
			u.running.Go(func() { _ = server.ActivateAndServe() })
			<-started
		}
	}
	return u, nil
}

func (u *upstream) stop() error {
	if u == nil {
		return nil
	}
	var errs []error
	for _, server := range u.servers {
		errs = append(errs, server.Shutdown())
	}
	u.running.Wait()
	return errors.Join(errs...)
}
