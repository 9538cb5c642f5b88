package faults_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// asked is a question of a load.
type asked struct {
	name  string
	qtype uint16
}

// expected are the answers that questions may have: an rcode and the data, as outcome returns them.
type expected map[asked][]string

// outcome returns the rcode of a reply, and the data of the answer's records of the type.
func outcome(reply *dns.Msg) string {
	var data []string
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == reply.Question[0].Qtype {
			data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	slices.Sort(data)
	return strings.Join(append([]string{dns.RcodeToString[reply.Rcode]}, data...), " ")
}

// expectation is what is expected of a load: the questions, in the order in which they are asked,
// and their answers.
type expectation struct {
	questions []asked
	answers   expected
}

// load asks a server questions in turn, at a steady rate, and looks at each answer.
type load struct {
	addr     string
	expected atomic.Pointer[expectation]
	done     chan struct{}
	running  sync.WaitGroup

	sent, lost atomic.Int64 // lost are those without an answer within two seconds

	mu    sync.Mutex
	wrong map[string]int
}

// loadClients is how many clients make a load. Each waits for an answer before it asks again.
const loadClients = 20

// startLoad asks so many questions a second until stop is called.
func startLoad(t *testing.T, addr string, perSecond int, want expected) *load {
	t.Helper()
	l := &load{addr: addr, done: make(chan struct{}), wrong: map[string]int{}}
	l.expect(want)
	for client := range loadClients {
		l.running.Go(func() { l.ask(client, time.Second*loadClients/time.Duration(perSecond)) })
	}
	t.Cleanup(func() { l.stop() })
	return l
}

// expect has the answers looked at by other expectations from now on. A question on its way may
// still be answered as before.
func (l *load) expect(want expected) {
	questions := slices.SortedFunc(maps.Keys(want), func(a, b asked) int { return cmp.Or(strings.Compare(a.name, b.name), int(a.qtype)-int(b.qtype)) })
	l.expected.Store(&expectation{questions, want})
}

// stop ends the load and returns what was answered wrongly.
func (l *load) stop() error {
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	l.running.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, what := range slices.Sorted(maps.Keys(l.wrong)) {
		errs = append(errs, fmt.Errorf("%d times: %s", l.wrong[what], what))
	}
	return errors.Join(errs...)
}

func (l *load) ask(client int, pause time.Duration) {
	dnsClient := dns.Client{Timeout: 2 * time.Second}
	conn, err := dnsClient.Dial(l.addr)
	if err != nil {
		l.report(err.Error())
		return
	}
	defer conn.Close()
	next := time.NewTimer(pause)
	defer next.Stop()
	due := time.Now().Add(pause)
	for n := client; ; n++ {
		select {
		case <-l.done:
			return
		case <-next.C:
		}
		// The rate is that of the whole time: a client that fell behind asks at once.
		due = due.Add(pause)
		next.Reset(time.Until(due))
		before := l.expected.Load()
		q := before.questions[n%len(before.questions)]
		l.sent.Add(1)
		reply, _, err := dnsClient.ExchangeWithConn(new(dns.Msg).SetQuestion(dns.Fqdn(q.name), q.qtype), conn)
		var network net.Error
		switch {
		case errors.As(err, &network):
			l.lost.Add(1)
		case err != nil:
			l.report(err.Error())
		default:
			after := l.expected.Load()
			if got := outcome(reply); !slices.Contains(before.answers[q], got) && !slices.Contains(after.answers[q], got) {
				l.report(fmt.Sprintf("%s %s: got %s, want one of %q", q.name, dns.TypeToString[q.qtype], got, after.answers[q]))
			}
		}
	}
}

func (l *load) report(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong[what]++
}

// lostBeyond returns an error if more questions were lost than by a reference that the same machine
// keeps waiting. Two counts of the same rare event differ by some by chance, but for none.
func (l *load) lostBeyond(reference *load) error {
	lost, there := float64(l.lost.Load()), float64(reference.lost.Load())
	if lost <= there || there > 0 && lost <= there+3+3*math.Sqrt(lost+there) {
		return nil
	}
	return fmt.Errorf("%.0f of %d questions were lost, and %.0f of %d by CoreDNS without the plugin", lost, l.sent.Load(), there, reference.sent.Load())
}

// stockAddress is what CoreDNS without the plugin answers.
const stockAddress = "10.244.0.2"

// startStock runs CoreDNS without plugin minilb, which knows these names.
func startStock(t *testing.T, names ...string) *harness.CoreDNS {
	t.Helper()
	return harness.StartFastCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		errors
		hosts {
			`+stockAddress+" "+strings.Join(names, " ")+`
			ttl 5
		}
	}`)
}
