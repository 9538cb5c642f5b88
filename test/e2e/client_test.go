//go:build linux

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// families are those of addresses, as ip(8) and curl(1) name them.
var families = []string{"4", "6"}

// answer is what the LAN's name server says of a name.
type answer struct {
	addresses []netip.Addr // in the order of the answer
	ttl       time.Duration
}

// rcodeError is what an answer says of a name other than NOERROR.
type rcodeError int

func (e rcodeError) Error() string { return dns.RcodeToString[int(e)] }

// errNoAddress is the failure of a client that was told of no address.
var errNoAddress = errors.New("the answer has no address")

// resolve asks the name server on the router, from the client and over UDP. An answer without
// addresses is no error.
func (l *lab) resolve(ctx context.Context, name, family string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := l.Client.Dial(ctx, "udp", netip.AddrPortFrom(routerHost.Of(family), 53).String())
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	question := new(dns.Msg)
	question.SetQuestion(name, dns.TypeA)
	if family == "6" {
		question.Question[0].Qtype = dns.TypeAAAA
	}
	client := dns.Client{Timeout: patience}
	reply, _, err := client.ExchangeWithConnContext(ctx, question, &dns.Conn{Conn: conn})
	if err != nil {
		return answer{}, err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return answer{}, fmt.Errorf("%s: %w", name, rcodeError(reply.Rcode))
	}
	var a answer
	for _, rr := range reply.Answer {
		var text string
		switch rr := rr.(type) {
		case *dns.A:
			text = rr.A.String()
		case *dns.AAAA:
			text = rr.AAAA.String()
		}
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return answer{}, fmt.Errorf("%s: %s", name, rr)
		}
		a.addresses = append(a.addresses, addr)
		a.ttl = time.Duration(rr.Header().Ttl) * time.Second
	}
	return a, nil
}

// fetch gets a pod's greeting over a connection of its own, from the client.
func (l *lab) fetch(ctx context.Context, addr netip.Addr, timeout time.Duration) (greeting, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	server := netip.AddrPortFrom(addr, podPort).String()
	conn, err := l.Client.Dial(ctx, "tcp", server)
	if err != nil {
		return greeting{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", server); err != nil {
		return greeting{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return greeting{}, err
	}
	defer response.Body.Close()
	var g greeting
	if err := json.NewDecoder(response.Body).Decode(&g); err != nil {
		return greeting{}, err
	}
	return g, nil
}

// client makes one request to a name by one family, in its own way of choosing an address.
type client func(ctx context.Context, name, family string) (greeting, error)

// oneAddress resolves for each connection and uses one random address alone, within a timeout.
func (l *lab) oneAddress(timeout time.Duration) client {
	return func(ctx context.Context, name, family string) (greeting, error) {
		answer, err := l.resolve(ctx, name, family)
		if err != nil {
			return greeting{}, err
		}
		return l.fetchOne(ctx, answer, timeout)
	}
}

func (l *lab) fetchOne(ctx context.Context, answer answer, timeout time.Duration) (greeting, error) {
	if len(answer.addresses) == 0 {
		return greeting{}, errNoAddress
	}
	return l.fetch(ctx, answer.addresses[rand.IntN(len(answer.addresses))], timeout)
}

// nextAddress resolves for each connection and tries the addresses in a random order: the next
// one when the one before has failed or said nothing for a delay, while that still may (RFC 8305).
func (l *lab) nextAddress(delay, timeout time.Duration) client {
	return func(ctx context.Context, name, family string) (greeting, error) {
		answer, err := l.resolve(ctx, name, family)
		if err != nil {
			return greeting{}, err
		}
		type result struct {
			greeting
			err error
		}
		results := make(chan result)
		var wait sync.WaitGroup
		defer wait.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err = errNoAddress
		order := rand.Perm(len(answer.addresses))
		for running := 0; running > 0 || len(order) > 0; {
			if len(order) > 0 {
				addr := answer.addresses[order[0]]
				order = order[1:]
				running++
				wait.Go(func() {
					g, err := l.fetch(ctx, addr, timeout)
					select {
					case results <- result{g, err}:
					case <-ctx.Done():
					}
				})
			}
			var next <-chan time.Time
			if len(order) > 0 {
				next = time.After(delay)
			}
			select {
			case r := <-results:
				if r.err == nil {
					return r.greeting, nil
				}
				running--
				err = r.err
			case <-next:
			}
		}
		return greeting{}, err
	}
}

// followTTL keeps the latest answer for its TTL, from the question on, and uses one random address of it alone, within a timeout.
func (l *lab) followTTL(timeout time.Duration) client {
	type entry struct {
		answer
		until time.Time
	}
	var mu sync.Mutex
	cache := map[string]entry{}
	return func(ctx context.Context, name, family string) (greeting, error) {
		mu.Lock()
		cached := cache[name+family]
		mu.Unlock()
		if !time.Now().Before(cached.until) {
			asked := time.Now()
			answer, err := l.resolve(ctx, name, family)
			if err != nil {
				return greeting{}, err
			}
			mu.Lock()
			if until := asked.Add(answer.ttl); until.After(cache[name+family].until) {
				cache[name+family] = entry{answer, until}
			}
			cached = cache[name+family] // another's, if this answer took longer than a later one
			mu.Unlock()
		}
		return l.fetchOne(ctx, cached.answer, timeout)
	}
}

// attempt is one request of a client.
type attempt struct {
	family     string
	start, end time.Time
	pod        string // that answered
	err        error
}

// requests are those that a client makes, one every so often, whether those before it have ended or not.
type requests struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu       sync.Mutex
	attempts []attempt
}

// request starts a client, which ends with the test if not before.
func request(t *testing.T, every time.Duration, name string, do client) *requests {
	ctx := t.Context()
	pace, cancel := context.WithCancel(ctx)
	r := &requests{cancel: cancel}
	t.Cleanup(func() { r.stop() })
	r.wait.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ticker.C:
			case <-pace.Done():
				return
			}
			family := families[n%len(families)]
			r.wait.Go(func() {
				a := attempt{family: family, start: time.Now()}
				var g greeting
				g, a.err = do(ctx, name, family)
				a.end, a.pod = time.Now(), g.Pod
				r.mu.Lock()
				defer r.mu.Unlock()
				r.attempts = append(r.attempts, a)
			})
		}
	})
	return r
}

// served returns how many requests each pod has answered.
func (r *requests) served() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	served := map[string]int{}
	for _, a := range r.attempts {
		if a.err == nil {
			served[a.pod]++
		}
	}
	return served
}

// lastTo returns when the last request began that a pod has answered.
func (r *requests) lastTo(p *pod) (last time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.attempts {
		if a.err == nil && a.pod == p.role && a.start.After(last) {
			last = a.start
		}
	}
	return last
}

// stop ends the client once its last request has, and returns all requests in the order of their starts.
func (r *requests) stop() []attempt {
	r.cancel()
	r.wait.Wait()
	slices.SortFunc(r.attempts, func(a, b attempt) int { return a.start.Compare(b.start) })
	return r.attempts
}

// failures returns those of the attempts that failed.
func failures(attempts []attempt) []attempt {
	return slices.DeleteFunc(slices.Clone(attempts), func(a attempt) bool { return a.err == nil })
}
