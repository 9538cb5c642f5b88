package minilb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// router is the next plugin, and the resolver behind it that sends a domain here.
type router struct {
	*Minilb
	domain   string                            // "" for none
	local    string                            // a name that it knows by itself
	replicas atomic.Int32                      // so many names that prove loops go to another replica
	hold     func(name string) <-chan struct{} // until when the answer takes, nil for at once

	mended          atomic.Bool // it sends no domain any longer
	asked, inFlight atomic.Int32
}

const (
	routerIP = "192.0.2.1"
	// dnsmasqLimit is its dns-forward-max.
	dnsmasqLimit = 150
)

func (r *router) Name() string { return "router" }

func (r *router) ServeDNS(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
	r.asked.Add(1)
	defer r.inFlight.Add(-1)
	name, reply := q.Question[0].Name, new(dns.Msg).SetRcode(q, dns.RcodeNameError)
	switch {
	case r.inFlight.Add(1) > dnsmasqLimit:
		reply.Rcode = dns.RcodeRefused
	case name == r.local:
		if r.hold != nil {
			<-r.hold(name)
		}
		reply.Rcode = dns.RcodeSuccess
	case r.mended.Load() || r.domain == "" || !records.Within(name, r.domain):
		if r.hold != nil {
			<-r.hold(name)
		}
	case strings.HasPrefix(name, loopLabel) && r.replicas.Add(-1) >= 0:
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
		r.loops.run(ctx)
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
		{"another replica gets the proofs first", "ex.org.", "b.ex.org.", proofsSent - 1},
		{"the domain itself", "ex.org.", "ex.org.", 0},
		{"all names", ".", "www.example.com.", 0},
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
				found := r.loops.of(tc.question)
				return found != nil && found.domain == tc.domain && slices.Equal(found.sources, []string{routerIP})
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

// D4b: other types of a claimed host are passed on as well.
func TestForwardLoopOtherTypes(t *testing.T) {
	t.Parallel()
	r := startRouter(t, &router{domain: "ex.org."})
	ask(t.Context(), r.Minilb, routerIP, "a.ex.org.", dns.TypeTXT)
	until(t, "the loop is noticed", func() bool { return r.loops.of("a.ex.org.") != nil })
	if got := ask(t.Context(), r.Minilb, routerIP, "a.ex.org.", dns.TypeMX); got.Rcode != dns.RcodeServerFailure || extended(t, got) != lb.ForwardLoopError {
		t.Errorf("got\n%s", got)
	}
}

// D4b: a domain is in a loop if names below it come back, and nobody knows any, as one of several upstreams would.
func TestProofs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		about, outcomes string // of one proof after the other: B comes back, b is known though, S is SERVFAIL, N is NXDOMAIN, A is an answer
		want            []string
	}{
		{"all come back", "BBBBBBBB", []string{"192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7"}},
		{"replicas get most", "SSSSSSSB", []string{"192.0.2.7"}},
		{"replicas get all, or the upstream fails", "SSSSSSSS", nil},
		{"another upstream knows the last one", "BBBBBBBN", nil},
		{"another upstream knows, replicas get some", "SBSA", nil},
		{"another upstream is asked after the first has failed", "b", nil},
		{"one upstream that knows", "N", nil},
	} {
		t.Run(tc.about, func(t *testing.T) {
			t.Parallel()
			var l *loops
			sent := 0
			l = newLoops(func(_ context.Context, name string) int {
				outcome := tc.outcomes[sent]
				if outcome == 'B' || outcome == 'b' {
					w := &test.ResponseWriter{RemoteIP: fmt.Sprintf("192.0.2.%d", sent)}
					l.proves(&request.Request{W: w, Req: new(dns.Msg).SetQuestion(name, dns.TypeA)})
				}
				sent++
				return map[byte]int{'B': dns.RcodeServerFailure, 'b': dns.RcodeNameError, 'S': dns.RcodeServerFailure, 'N': dns.RcodeNameError, 'A': dns.RcodeSuccess}[outcome]
			})
			if got := l.comesBack(t.Context(), "ex.org."); !slices.Equal(got, tc.want) || sent != len(tc.outcomes) {
				t.Errorf("got %q after %d proofs, want %q after %d", got, sent, tc.want, len(tc.outcomes))
			}
		})
	}
}

// D4b: a loop that was mended is forgotten.
func TestForwardLoopMended(t *testing.T) {
	t.Parallel()
	r := startRouter(t, &router{domain: "ex.org."})
	ask(t.Context(), r.Minilb, routerIP, "b.ex.org.", dns.TypeA)
	until(t, "the loop is noticed", func() bool { return r.loops.of("b.ex.org.") != nil })
	r.loops.found.Store(&map[string]*loop{"ex.org.": {"ex.org.", []string{routerIP}, time.Now().Add(-2 * recheckLoop)}})
	r.mended.Store(true)
	until(t, "that it is mended is noticed", func() bool {
		ask(t.Context(), r.Minilb, routerIP, "b.ex.org.", dns.TypeA)
		return r.loops.of("b.ex.org.") == nil
	})
	if got := ask(t.Context(), r.Minilb, routerIP, "b.ex.org.", dns.TypeA); got.Rcode != dns.RcodeNameError {
		t.Errorf("got\n%s", got)
	}
}

// D4b: a name that many ask for at a time, as its servers are slow, is no loop, however many they are.
func TestManyInFlight(t *testing.T) {
	t.Parallel()
	const clients = 100
	answered := make(chan struct{})
	var proofs atomic.Int32
	now := make(chan struct{})
	close(now)
	r := startRouter(t, &router{domain: "ex.org.", hold: func(name string) <-chan struct{} {
		if strings.HasPrefix(name, loopLabel) {
			proofs.Add(1)
			return now
		}
		return answered
	}})
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			if got := ask(t.Context(), r.Minilb, fmt.Sprintf("192.0.2.%d", i), "slow.example.com.", dns.TypeA); got.Rcode != dns.RcodeNameError {
				t.Errorf("got\n%s", got)
			}
		})
	}
	until(t, "it is looked into", func() bool { return proofs.Load() > 0 && r.inFlight.Load() == clients })
	close(answered)
	running.Wait()
	if found := r.loops.found.Load(); found != nil || proofs.Load() != 1 {
		t.Errorf("got %v and %d proofs, want no loop and 1", found, proofs.Load())
	}
	for i := range r.loops.inFlight {
		if n := r.loops.inFlight[i].Load(); n != 0 {
			t.Errorf("got %d in flight, want none", n)
		}
	}
}

// D4b: in a domain that comes back, what the router knows by itself is passed on to it, however many ask for it.
func TestManyInFlightInLoop(t *testing.T) {
	t.Parallel()
	const clients = 100
	answered := make(chan struct{})
	release := sync.OnceFunc(func() { close(answered) })
	defer release() // whatever fails below
	r := startRouter(t, &router{domain: "ex.org.", local: "nas.ex.org.", hold: func(string) <-chan struct{} { return answered }})
	r.loops.found.Store(&map[string]*loop{"ex.org.": {"ex.org.", []string{routerIP}, time.Now()}})
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			if got := ask(t.Context(), r.Minilb, fmt.Sprintf("198.51.100.%d", i), r.local, dns.TypeA); got.Rcode != dns.RcodeSuccess {
				t.Errorf("got\n%s", got)
			}
		})
	}
	until(t, "all are passed on, a proof perhaps as well", func() bool { return r.inFlight.Load() >= clients })
	release()
	running.Wait()
}

// D4b: no plugin that is asked for a proof ends the process, whatever it does with who asks.
func TestProofPanic(t *testing.T) {
	t.Parallel()
	for about, next := range map[string]plugin.HandlerFunc{
		"a plugin that panics": func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) { panic("at the disco") },
		"one that uses all of the writer": func(_ context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
			w.Write(nil)
			w.TsigTimersOnly(true)
			w.Hijack()
			w.RemoteAddr()
			w.LocalAddr()
			if w.TsigStatus() != nil || w.Close() != nil {
				t.Error("got errors")
			}
			return dns.RcodeServerFailure, nil
		},
	} {
		m := testPlugin(testConfig())
		m.Next = next
		if got := m.askNext(t.Context(), "b.ex.org."); got != dns.RcodeServerFailure {
			t.Errorf("%s: got %s", about, dns.RcodeToString[got])
		}
	}
}

// D4b: the worker ends with its context, though the next plugin is deaf to it, and leaves one question at most.
func TestProofStop(t *testing.T) {
	t.Parallel()
	for about, deaf := range map[string]bool{"the next plugin ends with the context": false, "it does not": true} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			asked, answer, left := make(chan struct{}, proofsSent), make(chan struct{}), make(chan struct{})
			l := newLoops(func(ctx context.Context, _ string) int {
				asked <- struct{}{}
				if deaf {
					<-answer
				} else {
					<-ctx.Done()
				}
				close(left)
				return dns.RcodeServerFailure
			})
			release := sync.OnceFunc(func() { close(answer) })
			defer release()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				l.run(ctx)
			}()
			l.suspect("b.ex.org.")
			<-asked
			cancel()
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Fatal("the worker goes on")
			}
			release()
			<-left
			until(t, "nothing is left", func() bool { return len(l.sending) == 0 })
			if len(asked) != 0 {
				t.Errorf("%d questions more", len(asked))
			}
		})
	}
}

// D4b: while a question is not answered, no other is sent.
func TestProofTimeout(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answer := make(chan struct{})
	l := newLoops(func(context.Context, string) int {
		asked.Add(1)
		<-answer
		return dns.RcodeServerFailure
	})
	for range 2 {
		if sources := l.comesBack(t.Context(), "ex.org."); sources != nil || asked.Load() != 1 {
			t.Errorf("got %q after %d questions, want none after 1", sources, asked.Load())
		}
	}
	close(answer)
	until(t, "nothing is left", func() bool { return len(l.sending) == 0 })
}

// D4b: what is known is bounded: domains within others that are known are left out, and those long unasked for.
func TestLoopsKnown(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLoops(nil)
	known := map[string]*loop{}
	add := func(domain string, age time.Duration) { known[domain] = &loop{domain, nil, now.Add(-age)} }
	published := func() []string {
		l.publish(known)
		return slices.Sorted(maps.Keys(l.known()))
	}
	add("a.ex.org.", 0)
	add("deep.b.ex.org.", 0)
	add("home.", 2*recheckLoop)
	add("old.", 2*forgetLoop)
	add("c.old.", 0)
	if got, want := published(), []string{"a.ex.org.", "c.old.", "deep.b.ex.org.", "home."}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	add("ex.org.", 0)
	if got, want := published(), []string{"c.old.", "ex.org.", "home."}; !slices.Equal(got, want) {
		t.Errorf("with the domain around two: got %q, want %q", got, want)
	}
	for i := range 2 * maxLoops {
		add(fmt.Sprintf("%d.example.", i), 0)
		l.publish(known)
	}
	if got := published(); len(got) != maxLoops || slices.Contains(got, "home.") {
		t.Errorf("got %d, want %d without the one that was checked first: %q", len(got), maxLoops, got)
	}
	add(".", 0)
	if got := published(); !slices.Equal(got, []string{"."}) {
		t.Errorf("with all names: got %q", got)
	}
}

// D4b: siblings that were found one by one are forgotten once the domain around them is found, and with it gone.
func TestForwardLoopSiblings(t *testing.T) {
	t.Parallel()
	r := startRouter(t, &router{domain: "ex.org."})
	r.loops.found.Store(&map[string]*loop{"c.ex.org.": {"c.ex.org.", []string{routerIP}, time.Now()}})
	ask(t.Context(), r.Minilb, routerIP, "b.ex.org.", dns.TypeA)
	until(t, "the domain alone is known", func() bool { return slices.Equal(slices.Sorted(maps.Keys(r.loops.known())), []string{"ex.org."}) })
}
