// Package minilb is a CoreDNS plugin that gives Services of type LoadBalancer an external address without a load
// balancer: a DNS name that resolves to their ready pods. It answers from an index in memory (package records), which
// package translator keeps up to date.
package minilb

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/request"
	"github.com/gaissmai/bart"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/alias"
	"github.com/minilb/minilb/plugin/minilb/ede"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/loop"
	"github.com/minilb/minilb/plugin/minilb/records"
)

const pluginName = "minilb"

// errNotSynced is what plugin errors logs of a query that cannot be answered yet.
var errNotSynced = errors.New("not synced with the API server yet: the name may exist or not")

// Minilb answers for the zones of Services as their authority (D2), and for the hosts outside of them that objects claim (D3).
type Minilb struct {
	Next plugin.Handler

	zones      []zoneMeta // of the forward zones
	index      *records.Index
	upstream   upstreamer
	networks   []netip.Prefix // of the addresses at the end of an alias that are answered, nil for all (D30, D34)
	fall       fall.F
	ttl        uint32           // seconds, of answers, SOA and negative answers
	maxAnswers int              // per family, 0 for all (D23)
	near       *bart.Table[int] // rules by clients' networks (L5); nil if answers do not depend on clients
	signed     bool             // plugin dnssec signs the answers

	transferBehind bool                 // plugin transfer stands behind this one
	ready          func() bool          // all server blocks for which plugin ready asks are synced
	outage         func() time.Duration // how long the API server has not answered, 0 while it does
	restored       func() bool          // some of what is answered comes from the snapshot
	requests       requestCounters
	loops          *loop.Detector
}

// upstreamer looks up a name that is not ours by way of the whole server.
type upstreamer interface {
	Lookup(ctx context.Context, state request.Request, name string, typ uint16) (*dns.Msg, error)
}

// Name implements the plugin.Handler interface.
func (m *Minilb) Name() string { return pluginName }

// ServeDNS implements the plugin.Handler interface.
func (m *Minilb) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	state := &request.Request{W: w, Req: r}
	name, qtype := state.Name(), state.QType()
	zone := m.index.Zone(name)
	switch {
	case r.Opcode != dns.OpcodeQuery: // D29b
		if zone != "" {
			return dns.RcodeNotImplemented, nil
		}
		return m.pass(ctx, w, r)
	case state.QClass() != dns.ClassINET:
		return m.pass(ctx, w, r)
	case qtype == dns.TypeAXFR || qtype == dns.TypeIXFR: // D29
		if zone != "" && !m.transferBehind {
			return dns.RcodeRefused, nil // nobody else has our zones, least of all an upstream
		}
		return m.pass(ctx, w, r)
	case qtype == dns.TypeDS && name == zone:
		if outer := m.index.Zone(hostname.Parent(name)); outer != "" {
			zone = outer // the parent zone has the DS records (RFC 4035 §3.1.4.1)
		}
	}

	result, node := m.index.Lookup(zone, name)
	switch {
	case zone == "" && result != records.Found: // D3, D73: only claimed names are touched
		return m.passUnlessLoop(ctx, w, state)
	case zone == "" && !ours(qtype, node): // D6
		return m.passUnlessLoop(ctx, alias.Claimed{ResponseWriter: w, SOA: m.soa(state.QName(), "", m.index.PeekSerial(""))}, state)
	case zone != "" && result == records.NotSynced: // D72: before fallthrough, or another server's NXDOMAIN would be cached
		m.requests.add(ctx, servfail)
		if r.IsEdns0() == nil { // D74: the server writes it
			return dns.RcodeServerFailure, plugin.Error(pluginName, errNotSynced)
		}
		return m.write(w, notSynced(r))
	case zone != "" && result == records.NameError && m.fall.Through(name):
		return m.passUnlessLoop(ctx, w, state)
	}

	who, ok := m.asker(state)
	if !ok { // RFC 7871 §7.2.1
		return dns.RcodeFormatError, nil
	}
	reply := m.answer(ctx, state, zone, result, node, who)
	m.truncate(reply, state)
	who.mark(reply)
	if m.stale() {
		ede.Add(reply, r, dns.ExtendedErrorCodeStaleAnswer, "the API server cannot be read: this is its last known state")
	}
	m.requests.add(ctx, outcome(reply))
	return m.write(w, reply)
}

// write sends the reply. The rcode that it returns keeps the server from sending another (D74).
func (m *Minilb) write(w dns.ResponseWriter, reply *dns.Msg) (int, error) {
	if err := w.WriteMsg(reply); err != nil {
		return dns.RcodeServerFailure, plugin.Error(pluginName, err)
	}
	return dns.RcodeSuccess, nil
}

// passUnlessLoop passes a query that would not come back (D4b).
func (m *Minilb) passUnlessLoop(ctx context.Context, w dns.ResponseWriter, state *request.Request) (int, error) {
	query := m.loops.Begin(state)
	defer query.End()
	if query.Reply != nil {
		m.requests.add(ctx, servfail)
		return m.write(state.W, query.Reply)
	}
	return m.pass(ctx, query.Writer(w), state.Req)
}

// pass has the next plugin answer. Without one the query is refused (D4).
func (m *Minilb) pass(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	m.requests.add(ctx, passed)
	if m.Next == nil {
		return dns.RcodeRefused, nil
	}
	return plugin.NextOrFailure(m.Name(), m.Next, ctx, w, r)
}

// staleAfter is how long the API server must not have answered for replies to be marked as stale (D78).
const staleAfter = 5 * time.Minute

// stale reports whether what is answered is known to be old (D78).
func (m *Minilb) stale() bool { return m.restored() || m.outage() > staleAfter }

// notSynced is the reply to a query that cannot be answered yet.
func notSynced(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	ede.Add(reply, query, dns.ExtendedErrorCodeNotReady, "the cluster has not been read yet")
	return reply
}

// ours reports whether the type is answered for a claimed host outside our zones: its mail and certificates still work (D6).
func ours(qtype uint16, node *records.Node) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeANY:
		return true
	case dns.TypeCNAME:
		return node.Target != ""
	}
	return false
}
