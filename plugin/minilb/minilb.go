// Package minilb is a CoreDNS plugin that gives Services of type LoadBalancer an external
// address without a load balancer: a DNS name that resolves to their ready pods. It answers
// from an index in memory that package source keeps up to date.
package minilb

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

const pluginName = "minilb"

// errNotSynced stands in the errors plugin's log for each query that cannot be answered yet.
var errNotSynced = errors.New("not synced with the API server yet, nothing can be said about this name")

// Minilb answers for the zones that Services are named in, as their authority (D2), and for
// the hosts outside of them that objects of the cluster claim (D3).
type Minilb struct {
	Next plugin.Handler

	homes      []home // one a forward zone
	index      *records.Index
	upstream   upstreamer
	answers    func(netip.Addr) bool // whether an address at the end of an alias is (D30, D34)
	listed     bool                  // whether only some networks are answered (D34)
	fall       fall.F
	ttl        uint32 // seconds, of answers, SOA and negative answers
	maxAnswers int    // per family, 0 for all (D23)
	signed     bool   // whether plugin dnssec signs the answers

	transferBehind bool                 // whether plugin transfer stands behind this one
	away           func() time.Duration // for how long the API server has not been heard of, 0 while it answers
	restored       func() bool          // whether some of what is answered comes from the snapshot
	requests       requestCounters
	loops          *loops
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
	switch {
	case r.Opcode != dns.OpcodeQuery: // D29b
		if m.index.Match(state.Name()) != "" {
			return dns.RcodeNotImplemented, nil
		}
		return m.pass(ctx, w, r)
	case state.QClass() != dns.ClassINET:
		return m.pass(ctx, w, r)
	case state.QType() == dns.TypeAXFR || state.QType() == dns.TypeIXFR: // D29
		if m.index.Match(state.Name()) != "" && !m.transferBehind {
			return dns.RcodeRefused, nil // nobody else has our zones, least of all who is forwarded to
		}
		return m.pass(ctx, w, r)
	}
	name := state.Name()
	zone := m.index.Match(name)
	if state.QType() == dns.TypeDS && name == zone {
		if outer := m.index.Match(parent(name)); outer != "" {
			zone = outer // which says whether the inner one is signed (RFC 4035 §3.1.4.1)
		}
	}
	result, node := m.index.Lookup(zone, name)
	if zone == "" {
		switch {
		case result != records.Found:
			return m.passOn(ctx, w, state) // D3, D73: anything that is not a claimed name's is not touched
		case !ours(state.QType(), node): // D6
			return m.passOn(ctx, claimed{w, m.soa(state.QName(), "", m.index.PeekSerial(""))}, state)
		}
	} else {
		switch result {
		case records.NotSynced: // D72: before fallthrough, or another server's NXDOMAIN would be cached
			m.requests.add(ctx, servfail)
			if r.IsEdns0() == nil { // D74: the server writes it
				return dns.RcodeServerFailure, plugin.Error(pluginName, errNotSynced)
			}
			return m.write(w, notSynced(state))
		case records.NotFound:
			if m.fall.Through(name) {
				return m.passOn(ctx, w, state)
			}
		}
	}

	reply := m.answer(ctx, state, zone, result, node)
	m.cut(reply, state)
	if m.stale() {
		extend(reply, state, dns.ExtendedErrorCodeStaleAnswer, "the API server cannot be read, this is what it said last")
	}
	m.requests.add(ctx, outcome(reply))
	return m.write(w, reply)
}

// write sends the reply. Whatever its rcode, the server must not send another (D74).
func (m *Minilb) write(w dns.ResponseWriter, reply *dns.Msg) (int, error) {
	if err := w.WriteMsg(reply); err != nil {
		return dns.RcodeServerFailure, plugin.Error(pluginName, err)
	}
	return dns.RcodeSuccess, nil
}

// passOn leaves a question to the next plugin, unless it would only come back (D4b).
func (m *Minilb) passOn(ctx context.Context, w dns.ResponseWriter, state *request.Request) (int, error) {
	if m.loops.proves(state) {
		m.requests.add(ctx, servfail)
		return m.write(state.W, new(dns.Msg).SetRcode(state.Req, dns.RcodeServerFailure))
	}
	inFlight := m.loops.slot(state)
	defer inFlight.Add(-1)
	found, prolongs := m.loops.judge(state, inFlight.Add(1))
	switch {
	case prolongs:
		m.requests.add(ctx, servfail)
		return m.write(state.W, looping(state.Req, found))
	case found != nil:
		w = withLoop{w, state.Req, found}
	}
	return m.pass(ctx, w, state.Req)
}

// pass leaves the query to the next plugin. Without one it is refused (D4).
func (m *Minilb) pass(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	m.requests.add(ctx, passed)
	if m.Next == nil {
		return dns.RcodeRefused, nil
	}
	return plugin.NextOrFailure(m.Name(), m.Next, ctx, w, r)
}

// ours reports whether the type is answered for a claimed host outside our zones. All others
// go on, so that the mail and the certificates of a real domain still work (D6).
func ours(qtype uint16, node *records.Node) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeANY:
		return true
	case dns.TypeCNAME:
		return node.Target != ""
	}
	return false
}
