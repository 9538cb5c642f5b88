package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
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
	for _, addr := range []*string{&p.ports.health, &p.ports.ready, &p.ports.metrics, &p.ports.controller} {
		for range portTries {
			if *addr = loopback(randomPort()); free(*addr) == nil {
				break
			}
		}
	}
	port := preferredPort
	for try := 1; ; try++ {
		p.ports.dns, p.ports.upstream = loopback(port), loopback(port+1)
		err := p.openDNS()
		if err == nil {
			return nil
		}
		if try == portTries {
			return fmt.Errorf("find a free port: %w", err)
		}
		port = randomPort()
	}
}

// openDNS takes the two DNS ports. CoreDNS shares its port with whoever else does (SO_REUSEPORT),
// so that two playgrounds that start at once would not notice; the upstream's port is not shared.
func (p *playground) openDNS() error {
	upstream, err := startUpstream(p.ports.upstream)
	if err != nil {
		return err
	}
	if err := free(p.ports.dns); err != nil {
		upstream.stop()
		return err
	}
	p.upstream = upstream
	return nil
}

// free returns an error if somebody uses the address.
func free(addr string) error {
	stream, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	return errors.Join(stream.Close(), packets.Close())
}

// randomPort is below the range from which the system chooses the local port of an outgoing
// connection.
func randomPort() int {
	const low, high = 20000, 30000
	return low + rand.IntN(high-low)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
