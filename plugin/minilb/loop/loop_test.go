package loop

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

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// discard is a Logger.
type discard struct{}

func (discard) Infof(string, ...any)    {}
func (discard) Warningf(string, ...any) {}
func (discard) Errorf(string, ...any)   {}

// router is the next plugin, and the resolver behind it that sends a domain here.
type router struct {
	*Detector
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

func (r *router) ServeDNS(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
	if !isProof(q.Question[0].Name) { // the worker may go on meanwhile
		r.asked.Add(1)
	}
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
	case r.mended.Load() || r.domain == "" || !hostname.InZone(name, r.domain):
		if r.hold != nil {
			<-r.hold(name)
		}
	case strings.HasPrefix(name, proofLabel) && r.replicas.Add(-1) >= 0:
		reply.Rcode = dns.RcodeServerFailure
	default:
		time.Sleep(time.Millisecond) // the network
		reply.Rcode = ask(ctx, r.Detector, routerIP, name, q.Question[0].Qtype).Rcode
	}
	return dns.RcodeSuccess, w.WriteMsg(reply)
}

// ask asks from an address, with EDNS, as of a server that knows no name itself.
func ask(ctx context.Context, d *Detector, from, name string, qtype uint16) *dns.Msg {
	w := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: from})
	state := &request.Request{W: w, Req: new(dns.Msg).SetQuestion(name, qtype).SetEdns0(1232, false)}
	query := d.Begin(state)
	defer query.End()
	if query.Reply != nil {
		w.WriteMsg(query.Reply)
	} else {
		d.next(ctx, query.Writer(w), state.Req)
	}
	return w.Msg
}

// startRouter returns a server in front of a router.
func startRouter(t *testing.T, r *router) *router {
	t.Helper()
	r.Detector = New(r.ServeDNS, discard{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		r.Detector.Run(ctx)
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

// D4b: a loop that was mended is forgotten.
func TestForwardLoopMended(t *testing.T) {
	t.Parallel()
	r := startRouter(t, &router{domain: "ex.org."})
	ask(t.Context(), r.Detector, routerIP, "b.ex.org.", dns.TypeA)
	until(t, "the loop is noticed", func() bool { return r.Detector.Find("b.ex.org.") != nil })
	r.Detector.found.Store(&map[string]*Loop{"ex.org.": {"ex.org.", []string{routerIP}, time.Now().Add(-2 * recheckAfter)}})
	r.mended.Store(true)
	until(t, "that it is mended is noticed", func() bool {
		ask(t.Context(), r.Detector, routerIP, "b.ex.org.", dns.TypeA)
		return r.Detector.Find("b.ex.org.") == nil
	})
	if got := ask(t.Context(), r.Detector, routerIP, "b.ex.org.", dns.TypeA); got.Rcode != dns.RcodeNameError {
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
		if strings.HasPrefix(name, proofLabel) {
			proofs.Add(1)
			return now
		}
		return answered
	}})
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			if got := ask(t.Context(), r.Detector, fmt.Sprintf("192.0.2.%d", i), "slow.example.com.", dns.TypeA); got.Rcode != dns.RcodeNameError {
				t.Errorf("got\n%s", got)
			}
		})
	}
	until(t, "it is looked into", func() bool { return proofs.Load() > 0 && r.inFlight.Load() == clients })
	close(answered)
	running.Wait()
	if found := *r.Detector.found.Load(); len(found) != 0 || proofs.Load() != 1 {
		t.Errorf("got %v and %d proofs, want no loop and 1", found, proofs.Load())
	}
	for i := range r.Detector.inFlight {
		if n := r.Detector.inFlight[i].Load(); n != 0 {
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
	r.Detector.found.Store(&map[string]*Loop{"ex.org.": {"ex.org.", []string{routerIP}, time.Now()}})
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			if got := ask(t.Context(), r.Detector, fmt.Sprintf("198.51.100.%d", i), r.local, dns.TypeA); got.Rcode != dns.RcodeSuccess {
				t.Errorf("got\n%s", got)
			}
		})
	}
	until(t, "all are passed on, a proof perhaps as well", func() bool { return r.inFlight.Load() >= clients })
	release()
	running.Wait()
}

// D4b: siblings that were found one by one are forgotten once the domain around them is found, and with it gone.
func TestForwardLoopSiblings(t *testing.T) {
	t.Parallel()
	r := startRouter(t, &router{domain: "ex.org."})
	r.Detector.found.Store(&map[string]*Loop{"c.ex.org.": {"c.ex.org.", []string{routerIP}, time.Now()}})
	ask(t.Context(), r.Detector, routerIP, "b.ex.org.", dns.TypeA)
	until(t, "the domain alone is known", func() bool {
		return slices.Equal(slices.Sorted(maps.Keys(*r.Detector.found.Load())), []string{"ex.org."})
	})
}
