package loop

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/drain"
	"github.com/minilb/minilb/plugin/minilb/records"
)

const (
	// proofLabel begins the first label of a proof, and proofDigits hexadecimal digits end it. Such names are never
	// passed, whichever server made them: a replica may get those of another, and would prolong the loop.
	proofLabel  = "minilb-loop-"
	proofDigits = 16
	// proofsSent is how many proofs are sent. One at least has to come back, as replicas may get the others, and
	// nobody may know any: if each of two upstreams is as likely, that is wrong once in 256 times.
	proofsSent = 8
	// proofPause is the time until the next proof after one that has not come back.
	proofPause = 50 * time.Millisecond
	// proofTimeout is how long a proof may take to come back; another replica replies at once.
	proofTimeout = time.Second
	// proofInterval is the least time between two suspicions that are checked.
	proofInterval = time.Second
)

// proof is a name that is being sent.
type proof struct {
	name   string
	source atomic.Pointer[string] // the address that asked for it, nil if it has not come back
}

// proofBelow returns a name below the domain that nobody else can know.
func proofBelow(domain string) string {
	return fmt.Sprintf("%s%0*x.%s", proofLabel, proofDigits, rand.Uint64(), strings.TrimPrefix(domain, "."))
}

// isProof reports whether a name has the form of a proof.
func isProof(name string) bool {
	label, _, _ := strings.Cut(name, ".")
	digits, is := strings.CutPrefix(label, proofLabel)
	return is && len(digits) == proofDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// Run checks suspicions until the context ends and no proof is left.
func (d *Detector) Run(ctx context.Context) {
	defer drain.Wait(&d.asking)
	checked := map[string]time.Time{}
	for {
		var name string
		select {
		case <-ctx.Done():
			return
		case name = <-d.suspects:
		}
		maps.DeleteFunc(checked, func(_ string, at time.Time) bool { return time.Since(at) > recheckAfter })
		if _, lately := checked[name]; lately {
			continue
		}
		d.check(ctx, name)
		checked[name] = time.Now()
		select {
		case <-ctx.Done():
			return
		case <-time.After(proofInterval):
		}
	}
}

// check finds the largest domain around a name that is in a loop.
func (d *Detector) check(ctx context.Context, name string) {
	before, domain := *d.found.Load(), ""
	loops := maps.Clone(before)
	at := name
	for !records.ValidLength(proofBelow(at)) {
		at = parent(at)
	}
	for ; domain != "."; at = parent(at) {
		sources := d.comesBack(ctx, at)
		if sources == nil {
			break
		}
		for _, known := range []*Loop{loops[domain], loops[at]} {
			if known != nil {
				sources = append(sources, known.Sources...)
			}
		}
		slices.Sort(sources)
		sources = slices.Compact(sources)
		domain = at
		loops[domain] = &Loop{domain, sources[:min(len(sources), maxSources)], time.Now()}
		d.publish(loops) // before the domains around it are checked, which may take a while
	}
	switch found := loops[domain]; {
	case ctx.Err() != nil:
	case found != nil && before[domain] == nil:
		d.log.Warningf("Forward loop: queries in %s for names that no object claims are forwarded to a resolver that sends them back. Such queries from %s get SERVFAIL: those of the resolver, and of clients with the same address (SNAT). Configure plugin forward with a resolver that does not forward %s to this server, such as your provider's or 9.9.9.9",
			domain, strings.Join(found.Sources, ", "), domain)
	case found == nil && before[name] != nil:
		delete(loops, name)
		d.publish(loops)
		d.log.Infof("Forward loop: queries in %s do not come back any longer", name)
	}
}

// parent returns the name above another, "." for a top-level domain and for itself.
func parent(name string) string {
	next, _ := dns.NextLabel(name, 0)
	return cmp.Or(name[next:], ".")
}

// comesBack returns the addresses that ask here for proofs below the domain, none if no proof does or somebody knows one.
func (d *Detector) comesBack(ctx context.Context, domain string) (sources []string) {
	defer d.proof.Store(nil)
	for range proofsSent {
		p := &proof{name: proofBelow(domain)}
		d.proof.Store(p)
		rcode, answered := d.send(ctx, p.name)
		from := p.source.Load()
		switch {
		case ctx.Err() != nil, answered && (rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError):
			return nil
		case from != nil:
			sources = append(sources, *from)
			continue
		case !answered:
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(proofPause): // the upstream may have too many of such queries just now
		}
	}
	return sources
}

// send asks for a name, and waits proofTimeout for the answer, also while the server stops: forward ignores the context while
// it waits for an upstream. No other proof is sent meanwhile.
func (d *Detector) send(ctx context.Context, name string) (rcode int, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	select {
	case d.sending <- struct{}{}:
	case <-ctx.Done():
		return 0, false
	}
	rcodes, late := make(chan int, 1), time.After(proofTimeout)
	d.asking.Go(func() {
		defer func() { <-d.sending }()
		rcodes <- d.ask(ctx, name)
	})
	select {
	case rcode := <-rcodes:
		return rcode, true
	case <-late:
		return 0, false
	}
}

// ask asks the next plugin as a client on this machine would, for a type that is passed for claimed names as well, as a
// wildcard may cover the proof (D6). The server recovers panics only of queries from the network.
func (d *Detector) ask(ctx context.Context, name string) (rcode int) {
	defer func() {
		if panicked := recover(); panicked != nil {
			rcode = dns.RcodeServerFailure
			d.panicked.Do(func() { d.log.Errorf("A plugin after minilb panicked on %s: %v", name, panicked) })
		}
	}()
	w := nonwriter.New(&local{})
	rcode, _ = d.next(ctx, w, new(dns.Msg).SetQuestion(name, dns.TypeTXT))
	if w.Msg != nil {
		return w.Msg.Rcode
	}
	return rcode
}

// local is the client of a query that is not from the network: a DoHWriter needs no connection.
type local struct{ dnsserver.DoHWriter }

func (*local) LocalAddr() net.Addr  { return &net.UDPAddr{IP: net.IPv6loopback, Port: 53} }
func (*local) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv6loopback, Port: 53} }
