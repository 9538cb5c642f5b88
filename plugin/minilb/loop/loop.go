// Package loop detects forward loops (D4b): a router sends a domain to this server, and names in it that nobody claims are
// forwarded back to that router. Each query circulates until one of the two gives up, hundreds of queries later.
//
// Queries that come back carry no mark: dnsmasq, Unbound and BIND give them their own ID, port and EDNS options. Nor do
// several equal queries in flight prove a loop: many clients may ask for a name whose servers are slow. They only raise a
// suspicion, at the cost of an atomic counter, and a worker off the query path proves it: it sends names that nobody else can
// know, the proofs, to the next plugin. If they are asked for here and nobody knows any of them, their domain is in a loop,
// and whoever asked is the resolver that sends it here. If one of them is known, be it by NXDOMAIN, there is a way out, such
// as another of several upstreams: queries that come back find it sooner or later.
//
// From then on, unclaimed names of the domain are answered SERVFAIL to that resolver. Queries from other addresses are still
// passed, as the resolver may know the name, from its hosts file or DHCP leases; if it does not, it asks here, and that query
// is stopped. Clients whose queries come from the resolver's address (SNAT) cannot be told from it.
package loop

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/ede"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

const (
	// manyInFlight equal queries in flight are suspicious: two are a client's retry.
	manyInFlight = 3
	// inFlightSlots bounds the memory. A name that shares a slot may be suspected in error, which costs one query.
	inFlightSlots = 1 << 10
	// recheckAfter is how long a result holds, for a name that is in no loop and for a domain that is.
	recheckAfter = time.Minute
	// forgetAfter is how long a domain is remembered without a query, which would have it checked again.
	forgetAfter = 10 * recheckAfter
	// maxLoops bounds the domains that are remembered, and maxSources the addresses that send one of them here.
	maxLoops   = 256
	maxSources = 16
)

// Logger receives what is found.
type Logger interface {
	Infof(format string, args ...any)
	Warningf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Detector detects forward loops among the queries that are passed to the next plugin.
type Detector struct {
	next     plugin.HandlerFunc
	log      Logger
	seed     maphash.Seed
	inFlight [inFlightSlots]atomic.Int32 // queries with the next plugin, by the hash of name and type
	suspects chan string
	proof    atomic.Pointer[proof]
	found    atomic.Pointer[map[string]*Loop] // by domain
	asking   sync.WaitGroup                   // goroutines that run next
	sending  chan struct{}                    // holds one while next runs
	panicked sync.Once                        // of next, which is logged once
}

// Loop is a domain that is sent back here.
type Loop struct {
	Domain  string
	Sources []string // addresses that ask for it, sorted
	checked time.Time
}

// New returns a Detector that sends its proofs to the next plugin.
func New(next plugin.HandlerFunc, log Logger) *Detector {
	d := &Detector{next: next, log: log, sending: make(chan struct{}, 1), seed: maphash.MakeSeed(), suspects: make(chan string, 1)}
	d.found.Store(&map[string]*Loop{})
	return d
}

// Query is a query that is about to be passed.
type Query struct {
	Reply *dns.Msg // to a query that has come back, nil for one that is to be passed
	req   *dns.Msg
	slot  *atomic.Int32 // nil for a proof
	loop  *Loop         // that its name is in, nil for none
}

// Begin counts a query. End must be called once the next plugin has answered it.
func (d *Detector) Begin(state *request.Request) Query {
	if isProof(state.Name()) {
		if p := d.proof.Load(); p != nil && p.name == state.Name() {
			source := state.IP()
			p.source.Store(&source)
		}
		return Query{Reply: new(dns.Msg).SetRcode(state.Req, dns.RcodeServerFailure)}
	}
	q := Query{req: state.Req, slot: d.slot(state), loop: d.Find(state.Name())}
	if q.slot.Add(1) == manyInFlight {
		d.suspect(state.Name())
	}
	if q.loop != nil {
		if time.Since(q.loop.checked) > recheckAfter {
			d.suspect(q.loop.Domain)
		}
		if slices.Contains(q.loop.Sources, state.IP()) {
			q.Reply = q.loop.reply(state.Req)
		}
	}
	return q
}

// End counts the query as answered.
func (q *Query) End() {
	if q.slot != nil {
		q.slot.Add(-1)
	}
}

// Writer returns the writer for the next plugin: it explains a failure in a loop.
func (q *Query) Writer(w dns.ResponseWriter) dns.ResponseWriter {
	if q.loop == nil {
		return w
	}
	return writer{w, q.req, q.loop}
}

type writer struct {
	dns.ResponseWriter
	query *dns.Msg
	loop  *Loop
}

// WriteMsg implements the dns.ResponseWriter interface.
func (w writer) WriteMsg(reply *dns.Msg) error {
	if reply.Rcode == dns.RcodeServerFailure || reply.Rcode == dns.RcodeRefused {
		reply = w.loop.reply(w.query)
	}
	return w.ResponseWriter.WriteMsg(reply)
}

func (l *Loop) reply(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	ede.Add(reply, query, lb.ForwardLoopError, fmt.Sprintf("forward loop: the resolver that %s is forwarded to asks here", l.Domain))
	return reply
}

func (d *Detector) slot(state *request.Request) *atomic.Int32 {
	return &d.inFlight[(maphash.String(d.seed, state.Name())+uint64(state.QType()))%inFlightSlots]
}

// suspect has the worker check a name, unless it is busy.
func (d *Detector) suspect(name string) {
	select {
	case d.suspects <- name:
	default:
	}
}

// Find returns the smallest loop that a name is in, nil for none.
func (d *Detector) Find(name string) *Loop {
	if found := *d.found.Load(); len(found) > 0 {
		return find(found, name)
	}
	return nil
}

func find(loops map[string]*Loop, name string) *Loop {
	for offset, end := 0, false; !end; offset, end = dns.NextLabel(name, offset) {
		if loop := loops[name[offset:]]; loop != nil {
			return loop
		}
	}
	return loops["."]
}

// publish replaces what was found, without loops within a larger domain and those that nobody has asked for in a while.
func (d *Detector) publish(loops map[string]*Loop) {
	maps.DeleteFunc(loops, func(_ string, l *Loop) bool { return time.Since(l.checked) > forgetAfter })
	maps.DeleteFunc(loops, func(domain string, _ *Loop) bool { return domain != "." && find(loops, parent(domain)) != nil })
	if len(loops) > maxLoops { // by one, as each is published
		oldest := slices.MinFunc(slices.Collect(maps.Values(loops)), func(a, b *Loop) int { return a.checked.Compare(b.checked) })
		delete(loops, oldest.Domain)
	}
	loops = maps.Clone(loops)
	d.found.Store(&loops)
}
