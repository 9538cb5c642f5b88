package minilb

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// router is the next plugin, and the resolver behind it that sends a domain here.
type router struct {
	*Minilb
	domain          string       // "" for none
	local           string       // a name that it knows by itself
	replicas        atomic.Int32 // so many names that prove loops go to another replica
	asked, inFlight atomic.Int32
}

const (
	proofLabel = "minilb-loop-"
	routerIP   = "192.0.2.1"
	// dnsmasqLimit is its dns-forward-max.
	dnsmasqLimit = 150
)

func (r *router) Name() string { return "router" }

func (r *router) ServeDNS(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
	if !strings.HasPrefix(q.Question[0].Name, proofLabel) { // the worker may go on meanwhile
		r.asked.Add(1)
	}
	defer r.inFlight.Add(-1)
	name, reply := q.Question[0].Name, new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	switch {
	case r.inFlight.Add(1) > dnsmasqLimit:
		reply.Rcode = dns.RcodeRefused
	case name == r.local:
		reply.Rcode = dns.RcodeSuccess
	case r.domain == "" || !hostname.InZone(name, r.domain):
	case strings.HasPrefix(name, proofLabel) && r.replicas.Add(-1) >= 0:
		reply.Rcode = dns.RcodeServerFailure
	default:
		time.Sleep(time.Millisecond) // the network
		reply.Rcode = ask(ctx, r.Minilb, routerIP, name, q.Question[0].Qtype).Rcode
	}
	return dns.RcodeSuccess, w.WriteMsg(reply)
}

// ask asks from an address, with EDNS.
func ask(ctx context.Context, m *Minilb, from, name string, qtype uint16) *dns.Msg {
	w := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: from})
	m.ServeDNS(ctx, w, new(dns.Msg).SetQuestion(name, qtype).SetEdns0(1232, false))
	return w.Msg
}

// startRouter returns a server in front of a router.
func startRouter(t *testing.T, r *router) *router {
	t.Helper()
	r.Minilb = testPlugin(testConfig())
	r.Minilb.Next = r
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		r.loops.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// until waits for what is off the query path.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30s", what)
		}
	}
}

// D4b: what a router sends back is noticed, for the domain that it sends, and ended where it arrives.
func TestForwardLoop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		about, domain, question string
		replicas                int32
	}{
		{"a sibling of claimed hosts", "ex.org.", "b.ex.org.", 0},
		{"a domain that nobody claims anything in", "home.example.", "deep.nas.home.example.", 0},
		{"another replica gets the proofs first", "ex.org.", "b.ex.org.", 7},
		{"the domain itself", "ex.org.", "ex.org.", 0},
		{"all names", ".", "www.example.com.", 0},
		{"a name that has no room below it", "ex.org.", strings.Repeat(strings.Repeat("x", 20)+".", 11) + "ex.org.", 0},
	} {
		t.Run(tc.about, func(t *testing.T) {
			t.Parallel()
			r := &router{domain: tc.domain, local: "nas." + strings.TrimPrefix(tc.domain, ".")}
			r.replicas.Store(tc.replicas)
			startRouter(t, r)
			if got := ask(t.Context(), r.Minilb, "192.0.2.7", tc.question, dns.TypeA); got.Rcode == dns.RcodeSuccess || got.Rcode == dns.RcodeNameError {
				t.Errorf("got\n%s", got)
			}
			until(t, "the loop is noticed", func() bool {
				found := r.loops.Find(tc.question)
				return found != nil && found.Domain == tc.domain && slices.Equal(found.Sources, []string{routerIP})
			})
			for _, then := range []struct {
				from, name string
				qtype      uint16
				asked      int32 // questions to the router
				rcode      int
			}{
				{routerIP, "other." + strings.TrimPrefix(tc.domain, "."), dns.TypeA, 0, dns.RcodeServerFailure},
				{"192.0.2.7", "third." + strings.TrimPrefix(tc.domain, "."), dns.TypeA, 1, dns.RcodeServerFailure},
				{"192.0.2.7", r.local, dns.TypeA, 1, dns.RcodeSuccess},
				{routerIP, "a.ex.org.", dns.TypeA, 0, dns.RcodeSuccess}, // claimed
				{routerIP, "nope.minilb.", dns.TypeA, 0, dns.RcodeNameError},
			} {
				before := r.asked.Load()
				got := ask(t.Context(), r.Minilb, then.from, then.name, then.qtype)
				if n := r.asked.Load() - before; n != then.asked || got.Rcode != then.rcode {
					t.Errorf("%s from %s: got %s after %d questions, want %s after %d", then.name, then.from, dns.RcodeToString[got.Rcode], n, dns.RcodeToString[then.rcode], then.asked)
				}
				if then.rcode == dns.RcodeServerFailure && extended(t, got) != lb.ForwardLoopError {
					t.Errorf("%s: got the extended error %d", then.name, extended(t, got))
				}
			}
		})
	}
}

// D4b: other types of a claimed host are passed on as well, also where a wildcard claims the proofs.
func TestForwardLoopOtherTypes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a.ex.org.", "b.w.ex.org."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRouter(t, &router{domain: "ex.org."})
			ask(t.Context(), r.Minilb, routerIP, name, dns.TypeTXT)
			until(t, "the loop is noticed", func() bool { return r.loops.Find(name) != nil })
			if got := ask(t.Context(), r.Minilb, routerIP, name, dns.TypeMX); got.Rcode != dns.RcodeServerFailure || extended(t, got) != lb.ForwardLoopError {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// D4b: only names of the form of proofs are not passed on, and only where nobody claims them.
func TestProofNames(t *testing.T) {
	t.Parallel()
	const digits = "0123456789abcdef"
	for _, tc := range []struct {
		name  string
		qtype uint16
		rcode int // the router says NXDOMAIN
	}{
		{proofLabel + digits + ".ex.org.", dns.TypeA, dns.RcodeServerFailure},
		{proofLabel + digits + ".", dns.TypeTXT, dns.RcodeServerFailure},
		{proofLabel + "test.ex.org.", dns.TypeA, dns.RcodeNameError},
		{proofLabel + digits + "0.ex.org.", dns.TypeA, dns.RcodeNameError},
		{proofLabel + digits[1:] + "g.ex.org.", dns.TypeA, dns.RcodeNameError},
		{"x." + proofLabel + digits + ".ex.org.", dns.TypeA, dns.RcodeNameError},
		{proofLabel + digits + ".minilb.", dns.TypeA, dns.RcodeNameError},
		{proofLabel + digits + ".a.minilb.", dns.TypeA, dns.RcodeNameError},
	} {
		r := &router{}
		r.Minilb = testPlugin(testConfig())
		r.Minilb.Next = r
		if got := ask(t.Context(), r.Minilb, "192.0.2.7", tc.name, tc.qtype); got.Rcode != tc.rcode {
			t.Errorf("%s: got %s, want %s", tc.name, dns.RcodeToString[got.Rcode], dns.RcodeToString[tc.rcode])
		}
	}
}
