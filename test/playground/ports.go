package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/minilb/minilb/test/cluster"
)

// ports are the addresses on loopback at which we and the daemons serve.
type ports struct {
	dns, health, ready, metrics string // of coredns
	controller                  string // health and metrics of minilb controller
	upstream                    string // DNS, ours
}

func (p ports) dnsPort() string {
	_, port, _ := net.SplitHostPort(p.dns)
	return port
}

const (
	// preferredPort is where DNS is served if nobody else is there, so that commands can be
	// repeated from one playground to the next.
	preferredPort = 1053

	// portTries is how often we look for a port.
	portTries = 100
)

// openPorts starts the upstream and finds free ports for the daemons.
func (p *playground) openPorts() error {
	addrs, err := cluster.FreeAddrs(4)
	if err != nil {
		return err
	}
	p.ports.health, p.ports.ready, p.ports.metrics, p.ports.controller = addrs[0], addrs[1], addrs[2], addrs[3]
	p.ports.dns, p.ports.upstream = loopback(preferredPort), loopback(preferredPort+1)
	for try := 1; ; try++ {
		err := p.openDNS()
		if err == nil {
			return nil
		}
		if try == portTries {
			return fmt.Errorf("find a free port: %w", err)
		}
		if addrs, err = cluster.FreeAddrs(2); err != nil {
			return err
		}
		p.ports.dns, p.ports.upstream = addrs[0], addrs[1]
	}
}

// openDNS takes the two DNS ports. CoreDNS shares its port with whoever else does (SO_REUSEPORT),
// so that two playgrounds that start at once would not notice; the upstream's port is not shared.
func (p *playground) openDNS() error {
	upstream, err := startUpstream(p.ports.upstream)
	if err != nil {
		return err
	}
	if err := cluster.Free(p.ports.dns); err != nil {
		upstream.stop()
		return err
	}
	p.upstream = upstream
	return nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
