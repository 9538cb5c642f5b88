package resolvers_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// notified is a secondary of the test's own, which counts the NOTIFYs that it is sent, and asks for
// the serial at once.
type notified struct {
	addr    string
	mu      sync.Mutex
	primary string                 // empty if nobody is to be asked
	at      map[string][]time.Time // by zone
	told    map[string][]told      // by zone
	stop    func()
}

// told is what a NOTIFY has told of.
type told struct {
	serial uint32
	at     time.Time
}

func startNotified(t *testing.T, addr string) *notified {
	t.Helper()
	n := &notified{addr: addr, at: map[string][]time.Time{}, told: map[string][]told{}}
	conn, err := net.ListenPacket("udp", addr)
	harness.Must(t, err)
	server := &dns.Server{PacketConn: conn, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if r.Opcode == dns.OpcodeNotify && r.Question[0].Qtype == dns.TypeSOA {
			n.note(r.Question[0].Name)
		}
		w.WriteMsg(new(dns.Msg).SetReply(r))
	})}
	go server.ActivateAndServe()
	n.stop = func() { server.Shutdown() }
	t.Cleanup(n.stop)
	return n
}

func (n *notified) note(zone string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.at[zone] = append(n.at[zone], now)
	if n.primary == "" {
		return
	}
	if _, serial, err := serialOf(n.primary, zone); err == nil {
		n.told[zone] = append(n.told[zone], told{serial, now})
	}
}

// follow has it ask the primary.
func (n *notified) follow(primary string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.primary = primary
}

// expect returns when the primary told of what it answers, and an error unless that is as
// secondary.expect has it, and it has told.
func (n *notified) expect(name string, qtype uint16, want ...string) (at time.Time, err error) {
	if err := (secondary{"the primary", n.primary}).expect(name, qtype, want...); err != nil {
		return at, err
	}
	zone, serial, err := serialOf(n.primary, name)
	if err != nil {
		return at, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, of := range n.told[zone] {
		if int32(of.serial-serial) >= 0 {
			return of.at, nil
		}
	}
	return at, fmt.Errorf("the primary has not told of the serial %d of %s, but of %v", serial, zone, n.told[zone])
}

// serialOf asks for the zone that a name is in, and its serial.
func serialOf(addr, name string) (zone string, serial uint32, err error) {
	reply, err := harness.Ask(addr, "udp", name, dns.TypeSOA)
	if err != nil {
		return "", 0, err
	}
	for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Hdr.Name, soa.Serial, nil
		}
	}
	return "", 0, fmt.Errorf("%s SOA: got %v", name, reply)
}

// since returns how many NOTIFYs there have been for a zone since then.
func (n *notified) since(zone string, then time.Time) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(n.at[zone]), func(at time.Time) bool { return at.Before(then) }))
}

// listenDead keeps a port that never answers.
func listenDead(t *testing.T, addr string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	harness.Must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}
