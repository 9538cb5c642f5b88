package load_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
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
		notify := r.Opcode == dns.OpcodeNotify && r.Question[0].Qtype == dns.TypeSOA
		now := time.Now()
		if notify {
			n.note(r.Question[0].Name, now)
		}
		w.WriteMsg(new(dns.Msg).SetReply(r))
		if notify {
			n.askSerial(r.Question[0].Name, now)
		}
	})}
	go server.ActivateAndServe()
	n.stop = func() { server.Shutdown() }
	t.Cleanup(n.stop)
	return n
}

func (n *notified) note(zone string, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at[zone] = append(n.at[zone], at)
}

// askSerial asks the primary for the serial that a NOTIFY has told of, again if it does not listen
// yet: the first NOTIFY follows the cluster's state at once, the listener a moment later.
func (n *notified) askSerial(zone string, at time.Time) {
	n.mu.Lock()
	primary := n.primary
	n.mu.Unlock()
	if primary == "" {
		return
	}
	var serial uint32
	err := cluster.Wait(context.Background(), 5*time.Second, func() (err error) {
		_, serial, err = serialOf(primary, zone)
		return err
	})
	if err != nil {
		return // expect says what has been told
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told[zone] = append(n.told[zone], told{serial, at})
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
