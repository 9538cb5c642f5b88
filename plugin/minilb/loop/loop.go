package minilb

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// A forward loop (D4b): a router sends a domain here, and what nobody claims in it is forwarded to that
// router. Each question goes round until one of the two gives up, hundreds of questions later.
//
// Nothing of ours is in a question that comes back: dnsmasq, Unbound and BIND give it their own ID, port and
// EDNS options. That the same question is in flight several times does not prove a loop either: many
// clients may ask for a name whose servers are slow. So that only raises the suspicion, at the cost of an
// atomic counter, and a worker off the query path proves it: it sends names that nobody else can know to the
// next plugin. If they are asked for here and nobody knows any of them, their domain goes round, and whoever
// asked is the resolver that sends it here. One that somebody knows, if only by NXDOMAIN, shows that there is
// a way out, as by another of several upstreams: questions that come back find it, sooner or later.
//
// From then on, unclaimed names of the domain are answered SERVFAIL where that resolver asks: passing them
// back to it is of no use. Questions from other addresses are still forwarded, as the resolver may know such a
// name by itself, of its hosts file or DHCP leases; if not, it asks here, and that question ends it. Clients whose
// questions come by the address of the resolver's (SNAT) cannot be told from it.
const (
	// loopLabel begins the first label of names that prove loops, and loopDigits hexadecimal digits end it. Such
	// names are never passed on, whichever server made them: a replica may get those of another, and would prolong
	// the loop.
	loopLabel  = "minilb-loop-"
	loopDigits = 16
	// manyInFlight is how many of the same question at a time are suspicious: two are a client's retry.
	manyInFlight = 3
	// inFlightSlots bounds the memory. Names that share a slot are suspected in error, which costs one question.
	inFlightSlots = 1 << 10
	// proofsSent is how many names are sent to prove a loop. One at least is to come back, as replicas may get the
	// others, and nobody is to know any: where each of two upstreams is as likely, that errs once in 256 times.
	proofsSent = 8
	// proofPause is the time until the next is sent after one that did not come back.
	proofPause = 50 * time.Millisecond
	// proofTimeout is how long what comes back may take; another replica's reply is there at once, too.
	proofTimeout = time.Second
	// proofInterval is the least time between two suspicions that are looked into.
	proofInterval = time.Second
	// recheckLoop is how long what was found holds, for a name that is no loop and for a domain that is one.
	recheckLoop = time.Minute
	// forgetLoop is how long a domain is remembered that is not asked for, and so not looked at again.
	forgetLoop = 10 * recheckLoop
	// maxLoops bounds the domains that are remembered.
	maxLoops = 256
	// maxLoopSources bounds the addresses that a domain is known to come back from.
	maxLoopSources = 16
)

// loops notices forward loops.
type loops struct {
	ask      func(ctx context.Context, name string) (rcode int) // by way of the next plugin
	asking   sync.WaitGroup                                     // goroutines that run ask
	sending  chan struct{}                                      // holds one while ask runs
	seed     maphash.Seed
	inFlight [inFlightSlots]atomic.Int32 // questions with the next plugin, by the hash of name and type
	suspects chan string
	proof    atomic.Pointer[proof]
	found    atomic.Pointer[map[string]*loop] // by domain, nil for none
	panicked sync.Once                        // a plugin that was asked, which is logged once
}

// loop is a domain that comes back.
type loop struct {
	domain  string
	sources []string // addresses that asked for it, sorted
	checked time.Time
}

// proof is a name that is on its way.
type proof struct {
	name   string
	source atomic.Pointer[string] // the address that asked for it, nil if it has not come back
}

func newLoops(ask func(context.Context, string) int) *loops {
	return &loops{ask: ask, sending: make(chan struct{}, 1), seed: maphash.MakeSeed(), suspects: make(chan string, 1)}
}

// slot returns the counter of a question.
func (l *loops) slot(state *request.Request) *atomic.Int32 {
	return &l.inFlight[(maphash.String(l.seed, state.Name())+uint64(state.QType()))%inFlightSlots]
}

// proofBelow returns a name below the domain that nobody else can know.
func proofBelow(domain string) string {
	return fmt.Sprintf("%s%0*x.%s", loopLabel, loopDigits, rand.Uint64(), strings.TrimPrefix(domain, "."))
}

// isProof reports whether a name is of such a form.
func isProof(name string) bool {
	label, _, _ := strings.Cut(name, ".")
	digits, is := strings.CutPrefix(label, loopLabel)
	return is && len(digits) == loopDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// proves reports whether the question is one that proves loops, and notes it if it is our own.
func (l *loops) proves(state *request.Request) bool {
	if !isProof(state.Name()) {
		return false
	}
	if p := l.proof.Load(); p != nil && p.name == state.Name() {
		source := state.IP()
		p.source.Store(&source)
	}
	return true
}

// check returns the loop that the question lies in, nil if there is none, and whether it has come back, so that
// to pass it on would prolong the loop. So many of the same are in flight.
func (l *loops) check(state *request.Request, inFlight int32) (found *loop, prolongs bool) {
	if inFlight == manyInFlight {
		l.suspect(state.Name())
	}
	if found = l.of(state.Name()); found == nil {
		return nil, false
	}
	if time.Since(found.checked) > recheckLoop {
		l.suspect(found.domain)
	}
	return found, slices.Contains(found.sources, state.IP())
}

// suspect lets the worker look into a name, if it has nothing to do.
func (l *loops) suspect(name string) {
	select {
	case l.suspects <- name:
	default:
	}
}

// of returns the loop that a name lies in, nil for none.
func (l *loops) of(name string) *loop {
	if known := l.found.Load(); known != nil {
		return around(*known, name)
	}
	return nil
}

// around returns the smallest of the loops that a name lies in, nil for none.
func around(known map[string]*loop, name string) *loop {
	for offset, end := 0, false; !end; offset, end = dns.NextLabel(name, offset) {
		if found := known[name[offset:]]; found != nil {
			return found
		}
	}
	return known["."]
}

// run looks into suspicions until the context ends.
func (l *loops) run(ctx context.Context) {
	defer drain(&l.asking)
	examined := map[string]time.Time{}
	for {
		var name string
		select {
		case <-ctx.Done():
			return
		case name = <-l.suspects:
		}
		maps.DeleteFunc(examined, func(_ string, at time.Time) bool { return time.Since(at) > recheckLoop })
		if _, lately := examined[name]; lately {
			continue
		}
		l.examine(ctx, name)
		examined[name] = time.Now()
		select {
		case <-ctx.Done():
			return
		case <-time.After(proofInterval):
		}
	}
}

// examine finds the largest domain around a name that comes back.
func (l *loops) examine(ctx context.Context, name string) {
	known := l.known()
	before, domain := maps.Clone(known), ""
	at := name
	for !records.Fits(proofBelow(at)) {
		at = cmp.Or(parent(at), ".")
	}
	for ; domain != "."; at = cmp.Or(parent(at), ".") {
		sources := l.comesBack(ctx, at)
		if sources == nil {
			break
		}
		inner := known[domain]
		domain = at
		known[domain] = inner.and(known[domain], domain, sources)
		l.publish(known) // before its parents are looked at, which may take a while
	}
	switch found := known[domain]; {
	case ctx.Err() != nil:
	case found != nil && before[domain] == nil:
		log.Warningf("Forward loop: names in %s that no object claims are forwarded to a resolver that sends them back here. Whoever asks for them from %s gets SERVFAIL: that resolver, and clients whose questions come by the same address (SNAT). Let forward name a resolver that does not send %s here, such as your provider's or 9.9.9.9",
			domain, strings.Join(found.sources, ", "), domain)
	case found == nil && before[name] != nil:
		delete(known, name)
		l.publish(known)
		log.Infof("Forward loop: %s does not come back any longer", name)
	}
}

// known returns a copy of what was found.
func (l *loops) known() map[string]*loop {
	if found := l.found.Load(); found != nil {
		return maps.Clone(*found)
	}
	return map[string]*loop{}
}

// publish lets questions be judged by what is known from now on, of which it leaves out what lies in a larger
// domain and what nobody has asked for in a while.
func (l *loops) publish(known map[string]*loop) {
	maps.DeleteFunc(known, func(_ string, found *loop) bool { return time.Since(found.checked) > forgetLoop })
	maps.DeleteFunc(known, func(domain string, _ *loop) bool {
		return domain != "." && around(known, cmp.Or(parent(domain), ".")) != nil
	})
	if len(known) > maxLoops { // by one, as each is published
		oldest := slices.MinFunc(slices.Collect(maps.Values(known)), func(a, b *loop) int { return a.checked.Compare(b.checked) })
		delete(known, oldest.domain)
	}
	if len(known) == 0 {
		l.found.Store(nil)
		return
	}
	known = maps.Clone(known)
	l.found.Store(&known)
}

// and returns the loop of a domain that has just come back, with the addresses that are known of it and of the
// domain within it; either may be nil.
func (inner *loop) and(before *loop, domain string, sources []string) *loop {
	for _, of := range []*loop{inner, before} {
		if of != nil {
			sources = append(sources, of.sources...)
		}
	}
	slices.Sort(sources)
	sources = slices.Compact(sources)
	return &loop{domain, sources[:min(len(sources), maxLoopSources)], time.Now()}
}

// comesBack returns the addresses that names below the domain, which are passed on, are asked for from here, none
// if they do not come back or somebody knows one.
func (l *loops) comesBack(ctx context.Context, domain string) (sources []string) {
	defer l.proof.Store(nil)
	for range proofsSent {
		p := &proof{name: proofBelow(domain)}
		l.proof.Store(p)
		rcode, answered := l.send(ctx, p.name)
		from := p.source.Load()
		switch {
		case ctx.Err() != nil, answered && (rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError):
			return nil
		case from != nil:
			sources = append(sources, *from)
			continue
		case !answered:
			return nil // nobody answers
		}
		select {
		case <-ctx.Done():
		case <-time.After(proofPause): // it may have too many of such questions just now
		}
	}
	return sources
}

// send asks for a name, and waits proofTimeout for the answer, also while the server stops: most plugins end with
// the context, but forward ignores it while it waits for an upstream. No other question is sent meanwhile.
func (l *loops) send(ctx context.Context, name string) (rcode int, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	select {
	case l.sending <- struct{}{}:
	case <-ctx.Done():
		return 0, false
	}
	rcodes, late := make(chan int, 1), time.After(proofTimeout)
	l.asking.Go(func() {
		defer func() { <-l.sending }()
		rcodes <- l.ask(ctx, name)
	})
	select {
	case rcode := <-rcodes:
		return rcode, true
	case <-late:
		return 0, false
	}
}

// looping is the reply to a question that would only come back.
func looping(r *dns.Msg, found *loop) *dns.Msg {
	reply := new(dns.Msg).SetRcode(r, dns.RcodeServerFailure)
	addEDE(reply, &request.Request{Req: r}, lb.ForwardLoopError, fmt.Sprintf("forward loop: the resolver that %s is forwarded to asks here", found.domain))
	return reply
}

// withLoop writes what the next plugin says of a name in a loop: that it does not know is explained.
type withLoop struct {
	dns.ResponseWriter
	question *dns.Msg
	found    *loop
}

// WriteMsg implements the dns.ResponseWriter interface.
func (w withLoop) WriteMsg(reply *dns.Msg) error {
	if reply.Rcode == dns.RcodeServerFailure || reply.Rcode == dns.RcodeRefused {
		reply = looping(w.question, w.found)
	}
	return w.ResponseWriter.WriteMsg(reply)
}

// askNext asks the next plugin, as if a client on this machine did: for a type that is passed on for claimed
// names as well, as a wildcard may be (D6).
// A panic there must not end the process: the server recovers only those of questions from the network.
func (m *Minilb) askNext(ctx context.Context, name string) (rcode int) {
	defer func() {
		if panicked := recover(); panicked != nil {
			rcode = dns.RcodeServerFailure
			m.loops.panicked.Do(func() { log.Errorf("A plugin after minilb panicked on %s: %v", name, panicked) })
		}
	}()
	w := nonwriter.New(local{})
	rcode, _ = plugin.NextOrFailure(pluginName, m.Next, ctx, w, new(dns.Msg).SetQuestion(name, dns.TypeTXT))
	if w.Msg != nil {
		return w.Msg.Rcode
	}
	return rcode
}

// local is the other end of a question that is not from the network. It implements the dns.ResponseWriter interface.
type local struct{}

func (local) LocalAddr() net.Addr         { return &net.UDPAddr{IP: net.IPv6loopback, Port: 53} }
func (local) RemoteAddr() net.Addr        { return &net.UDPAddr{IP: net.IPv6loopback, Port: 53} }
func (local) WriteMsg(*dns.Msg) error     { return nil }
func (local) Write(b []byte) (int, error) { return len(b), nil }
func (local) Close() error                { return nil }
func (local) TsigStatus() error           { return nil }
func (local) TsigTimersOnly(bool)         {}
func (local) Hijack()                     {}
