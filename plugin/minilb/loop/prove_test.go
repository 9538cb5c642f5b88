package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/drain"
)

// answering is a plugin that answers with an rcode.
func answering(rcode func(ctx context.Context, name string) int) plugin.HandlerFunc {
	return func(ctx context.Context, _ dns.ResponseWriter, q *dns.Msg) (int, error) {
		return rcode(ctx, q.Question[0].Name), nil
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
			var l *Detector
			sent := 0
			l = New(answering(func(_ context.Context, name string) int {
				outcome := tc.outcomes[sent]
				if outcome == 'B' || outcome == 'b' {
					w := &test.ResponseWriter{RemoteIP: fmt.Sprintf("192.0.2.%d", sent)}
					l.Begin(&request.Request{W: w, Req: new(dns.Msg).SetQuestion(name, dns.TypeA)})
				}
				sent++
				return map[byte]int{'B': dns.RcodeServerFailure, 'b': dns.RcodeNameError, 'S': dns.RcodeServerFailure, 'N': dns.RcodeNameError, 'A': dns.RcodeSuccess}[outcome]
			}), discard{})
			if got := l.comesBack(t.Context(), "ex.org."); !slices.Equal(got, tc.want) || sent != len(tc.outcomes) {
				t.Errorf("got %q after %d proofs, want %q after %d", got, sent, tc.want, len(tc.outcomes))
			}
		})
	}
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
		if got := New(next, discard{}).ask(t.Context(), "b.ex.org."); got != dns.RcodeServerFailure {
			t.Errorf("%s: got %s", about, dns.RcodeToString[got])
		}
	}
}

// D4b: the worker ends with its context and leaves no question behind, unless the next plugin never answers.
func TestProofStop(t *testing.T) {
	t.Parallel()
	for about, tc := range map[string]struct{ takes, stops time.Duration }{
		"the next plugin ends with the context": {0, 0},
		"it does not":                           {1500 * time.Millisecond, 1500 * time.Millisecond},
		"it never answers":                      {time.Hour, proofTimeout + drain.Timeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			var asked, left atomic.Int32
			l := New(answering(func(ctx context.Context, _ string) int {
				asked.Add(1)
				defer left.Add(1)
				if time.Sleep(tc.takes); tc.takes == 0 {
					<-ctx.Done()
				}
				return dns.RcodeServerFailure
			}), discard{})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				l.Run(ctx)
			}()
			l.suspect("b.ex.org.")
			synctest.Wait()
			cancel()
			began := time.Now()
			<-ended
			if got := time.Since(began); got != tc.stops {
				t.Errorf("%s: the worker ended after %v, want %v", about, got, tc.stops)
			}
			if tc.stops < proofTimeout+drain.Timeout && left.Load() != 1 {
				t.Errorf("%s: a question is left", about)
			}
			time.Sleep(tc.takes)
			synctest.Wait()
			if asked.Load() != 1 || len(l.sending) != 0 {
				t.Errorf("%s: %d questions, of which %d are left", about, asked.Load(), len(l.sending))
			}
		})
	}
}

// D4b: while a question is not answered, no other is sent.
func TestProofTimeout(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answer := make(chan struct{})
	l := New(answering(func(context.Context, string) int {
		asked.Add(1)
		<-answer
		return dns.RcodeServerFailure
	}), discard{})
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
	l := New(nil, discard{})
	known := map[string]*Loop{}
	add := func(domain string, age time.Duration) { known[domain] = &Loop{domain, nil, now.Add(-age)} }
	published := func() []string {
		l.publish(known)
		return slices.Sorted(maps.Keys(*l.found.Load()))
	}
	add("a.ex.org.", 0)
	add("deep.b.ex.org.", 0)
	add("home.", 2*recheckAfter)
	add("old.", 2*forgetAfter)
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

func TestProofBelow(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{".", "ex.org."} {
		if name := proofBelow(domain); !isProof(name) || !dns.IsSubDomain(domain, name) {
			t.Errorf("%s is no proof below %s", name, domain)
		}
	}
}
