//go:build linux

package realcluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
)

const (
	// patience is how long an answer may take before its question is lost.
	patience = 2 * time.Second

	// rate is the time between two questions of a stream: 50 a second, 200 of the four streams of a rollout.
	rate = 20 * time.Millisecond
)

// ask asks once for addresses and returns them; anything but NOERROR is an error.
func ask(ctx context.Context, from *netns.Namespace, network string, server netip.AddrPort, name string) ([]netip.Addr, error) {
	conn, err := dial(ctx, from, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return askOver(conn, new(dns.Msg).SetQuestion(name, dns.TypeA), patience)
}

// askOver asks for addresses over a connection.
func askOver(conn *dns.Conn, question *dns.Msg, timeout time.Duration) (addrs []netip.Addr, err error) {
	reply, err := exchange(conn, question, timeout)
	if err != nil {
		return nil, err
	}
	for _, rr := range reply.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A.To4())
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

func dial(ctx context.Context, from *netns.Namespace, network string, server netip.AddrPort) (*dns.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := from.Dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	return &dns.Conn{Conn: conn}, nil
}

func exchange(conn *dns.Conn, question *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	conn.SetDeadline(time.Now().Add(timeout))
	if err := conn.WriteMsg(question); err != nil {
		return nil, err
	}
	for {
		reply, err := conn.ReadMsg()
		if err != nil {
			return nil, err
		}
		if reply.Id != question.Id {
			continue // to a question that was given up
		}
		if reply.Rcode != dns.RcodeSuccess {
			return nil, fmt.Errorf("%s for %s", dns.RcodeToString[reply.Rcode], question.Question[0].Name)
		}
		return reply, nil
	}
}

// stream is a client that asks the same over and over.
type stream struct {
	what    string
	asked   atomic.Int64
	pending sync.WaitGroup
	stop    context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex
	lost    int
	reasons map[string]int // by the second in which they were asked
}

// startStream asks 50 times a second until finish. A client that keeps its port asks all over one socket, or one
// connection, which it opens again when the server closes it; the other has a new one for each question. What one
// server does not answer it asks the next, as a resolver does that knows several.
func startStream(t *testing.T, from *netns.Namespace, network string, keep bool, name string, servers ...netip.AddrPort) *stream {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var sends []func() error
	for _, server := range servers {
		if keep {
			sends = append(sends, keeper(ctx, t, from, network, server, name))
			continue
		}
		sends = append(sends, func() error {
			_, err := ask(ctx, from, network, server, name)
			return err
		})
	}
	// An answer is lost that is on its way while kube-proxy deletes its flow, and beside other packages it takes long. Clients
	// ask again; in full, where nothing else runs, they need not.
	if !harness.Full {
		sends = slices.Concat(sends, sends)
	}
	return repeat(t, fmt.Sprintf("%s to %s, ports kept %t", network, servers, keep), rate, func() (err error) {
		for _, to := range sends {
			if err = to(); err == nil {
				break
			}
		}
		return err
	})
}

// repeat asks at a rate, whether what was asked before is answered or not, until finish.
func repeat(t *testing.T, what string, every time.Duration, send func() error) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{what: what, stop: cancel, stopped: make(chan struct{}), reasons: map[string]int{}}
	began := time.Now()
	question := func() {
		asked := time.Since(began)
		if err := send(); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lost++
			if addr := (*net.OpError)(nil); errors.As(err, &addr) {
				err = addr.Err // without the port
			}
			s.reasons[fmt.Sprintf("in second %3d: %v", int(asked.Seconds()), err)]++
		}
	}
	go func() {
		defer close(s.stopped)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for ctx.Err() == nil {
			<-ticker.C
			s.asked.Add(1)
			s.pending.Go(question)
		}
	}()
	t.Cleanup(cancel)
	return s
}

// keeper returns a function that asks once over a socket or connection that all its calls share.
func keeper(ctx context.Context, t *testing.T, from *netns.Namespace, network string, server netip.AddrPort, name string) func() error {
	k := &kept{waiting: map[uint16]chan *dns.Msg{}}
	open := func() (*dns.Conn, error) {
		conn, err := dial(ctx, from, network, server)
		if err != nil {
			return nil, err
		}
		go k.read(conn)
		return conn, nil
	}
	t.Cleanup(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.conn != nil {
			k.conn.Close()
		}
	})
	return func() error {
		question := new(dns.Msg).SetQuestion(name, dns.TypeA)
		var err error
		// What was asked over a connection that the server closes is asked again (RFC 7766, 6.2.4).
		for range 2 {
			var reply chan *dns.Msg
			if reply, err = k.write(question, open); err != nil {
				continue
			}
			select {
			case got, ok := <-reply:
				switch {
				case !ok:
					err = errors.New("the connection was closed")
					continue
				case got.Rcode != dns.RcodeSuccess:
					err = errors.New(dns.RcodeToString[got.Rcode])
				}
			case <-time.After(patience):
				err = errors.New("no answer")
			}
			break
		}
		return err
	}
}

// kept is a socket or connection, and who waits for answers over it, by the question's ID.
type kept struct {
	mu      sync.Mutex
	conn    *dns.Conn
	waiting map[uint16]chan *dns.Msg
}

func (k *kept) write(question *dns.Msg, open func() (*dns.Conn, error)) (chan *dns.Msg, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conn == nil {
		conn, err := open()
		if err != nil {
			return nil, err
		}
		k.conn = conn
	}
	for k.waiting[question.Id] != nil {
		question.Id = dns.Id()
	}
	reply := make(chan *dns.Msg, 1)
	k.waiting[question.Id] = reply
	if err := k.conn.WriteMsg(question); err != nil {
		k.reset(k.conn)
		return nil, err
	}
	return reply, nil
}

// reset closes a connection that has failed, so that the next question opens another. The caller has the lock.
func (k *kept) reset(conn *dns.Conn) {
	conn.Close()
	if k.conn != conn {
		return
	}
	k.conn = nil
	for id, waits := range k.waiting {
		close(waits)
		delete(k.waiting, id)
	}
}

func (k *kept) read(conn *dns.Conn) {
	for {
		reply, err := conn.ReadMsg()
		k.mu.Lock()
		if err != nil {
			k.reset(conn)
			k.mu.Unlock()
			return
		}
		if waits := k.waiting[reply.Id]; waits != nil {
			waits <- reply
			delete(k.waiting, reply.Id)
		}
		k.mu.Unlock()
	}
}

// finish stops asking, waits for the answers that are on their way, and reports how many were lost.
func (s *stream) finish(t *testing.T) (lost int) {
	t.Helper()
	s.stop()
	<-s.stopped
	s.pending.Wait()
	t.Logf("%s: %d asked, %d lost", s.what, s.asked.Load(), s.lost)
	for _, reason := range slices.Sorted(maps.Keys(s.reasons)) {
		t.Logf("    %4d %s", s.reasons[reason], reason)
	}
	return s.lost
}
