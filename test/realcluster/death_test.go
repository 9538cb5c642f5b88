//go:build linux

package realcluster_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/netns"
	"github.com/minilb/minilb/test/realcluster"
	"github.com/minilb/minilb/test/shipped"
)

const (
	// lookupInterval is the time between two look-ups of a client through its resolver.
	lookupInterval = 200 * time.Millisecond

	// connectTimeout is how long a client waits for one address. A connection that fails began at most this
	// much before it has failed.
	connectTimeout = 500 * time.Millisecond
)

// client looks a name up through a resolver, again and again, and connects to an address of each answer in turn.
type client struct {
	mu      sync.Mutex
	lookups []event
	tcp     []event
	udp     []event
	stop    context.CancelFunc
	wait    sync.WaitGroup
}

// event is one look-up or connection.
type event struct {
	began time.Time
	took  time.Duration
	err   error
}

// startClient looks up every 200 ms, and begins a connection over TCP and a question over UDP with each answer.
func startClient(t *testing.T, l *realcluster.Lab, server netip.AddrPort) *client {
	running, cancel := context.WithCancel(t.Context())
	ctx := context.WithoutCancel(running) // what has begun goes on to its end
	c := &client{stop: cancel}
	record := func(to *[]event, f func() error) {
		began := time.Now()
		err := f()
		c.mu.Lock()
		defer c.mu.Unlock()
		*to = append(*to, event{began, time.Since(began), err})
	}
	c.wait.Go(func() {
		ticker := time.NewTicker(lookupInterval)
		defer ticker.Stop()
		for running.Err() == nil {
			<-ticker.C
			c.wait.Go(func() {
				var addrs []netip.Addr
				record(&c.lookups, func() (err error) {
					addrs, err = stub(ctx, l.Client, server, webName)
					return err
				})
				if len(addrs) == 0 {
					return
				}
				addr := addrs[0]
				c.wait.Go(func() { record(&c.tcp, func() error { return connect(ctx, l.Client, netip.AddrPortFrom(addr, 8080)) }) })
				c.wait.Go(func() { record(&c.udp, func() error { return echo(ctx, l.Client, netip.AddrPortFrom(addr, 8080)) }) })
			})
		}
	})
	t.Cleanup(cancel)
	return c
}

// stub asks as the C library's resolver does: for five seconds, twice.
func stub(ctx context.Context, from *netns.Namespace, server netip.AddrPort, name string) (addrs []netip.Addr, err error) {
	for range 2 {
		conn, dialErr := dial(ctx, from, "udp", server)
		if dialErr != nil {
			return nil, dialErr
		}
		addrs, err = askOver(conn, name, 5*time.Second)
		conn.Close()
		if err == nil {
			return addrs, nil
		}
	}
	return nil, err
}

// connect opens a connection, as a client that gives one address half a second.
func connect(ctx context.Context, from *netns.Namespace, to netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := from.Dial(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// echo asks a pod over UDP.
func echo(ctx context.Context, from *netns.Namespace, to netip.AddrPort) error {
	conn, err := from.Dial(ctx, "udp", to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(connectTimeout))
	if _, err := conn.Write([]byte("?")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 512))
	return err
}

// finish ends the client, once all that it has begun has ended.
func (c *client) finish() {
	c.stop()
	c.wait.Wait()
}

// lastFailure returns when the last of the events that failed began, after a moment; 0 if none did.
func lastFailure(events []event, after time.Time) (last time.Duration, failed int) {
	for _, e := range events {
		if e.err == nil || e.began.Before(after) && e.began.Add(e.took).Before(after) {
			continue
		}
		failed++
		last = max(last, e.began.Sub(after))
	}
	return last, failed
}

// slowest returns the longest look-up after a moment.
func slowest(events []event, after time.Time) (took time.Duration) {
	for _, e := range events {
		if e.began.After(after.Add(-lookupInterval)) {
			took = max(took, e.took)
		}
	}
	return took
}

// A node that dies takes neither the names with it, whichever resolver stands in front, nor, for long, connections.
func TestNodeDeath(t *testing.T) {
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	install(t, l, manifest)
	web(t, l)
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
	cuts := 1
	if harness.Full {
		cuts = 10
	}
	for _, r := range resolvers {
		t.Run(r.name, func(t *testing.T) {
			if r.program != "" {
				requireProgram(t, r.program, r.program)
			}
			server := r.start(t, l, recipeFor(t, l, r.name))
			cluster.Eventually(t, 10*time.Second, func() error {
				addrs, err := ask(t.Context(), l.Client, "udp", server, webName)
				if err == nil && len(addrs) != 3 {
					err = fmt.Errorf("%s has the addresses %v, want three", webName, addrs)
				}
				return err
			})
			var slow, tcp, udp []time.Duration
			for i := range cuts {
				s, c, u := cut(t, l, server, l.Nodes[i%len(l.Nodes)])
				slow, tcp, udp = append(slow, s), append(tcp, c), append(udp, u)
			}
			for what, times := range map[string][]time.Duration{"slowest look-up": slow, "last failed connection": tcp, "last failed UDP question": udp} {
				slices.Sort(times)
				t.Logf("%s after the cut: %v median, %v at most, of %d cuts", what, times[len(times)/2], times[len(times)-1], cuts)
			}
			if most := slices.Max(slow); most > r.retry+time.Second {
				t.Errorf("a look-up took %v, the resolver's retry is %v", most, r.retry)
			}
			for what, times := range map[string][]time.Duration{"TCP": tcp, "UDP": udp} {
				if most := slices.Max(times); most > 3*time.Second {
					t.Errorf("the last connection over %s to fail began %v after the cut, want 3s at most", what, most)
				}
			}
		})
	}
}

// cut takes a node's cable out while a client works, and puts it in again.
func cut(t *testing.T, l *realcluster.Lab, server netip.AddrPort, node *realcluster.Node) (slow, tcp, udp time.Duration) {
	t.Helper()
	c := startClient(t, l, server)
	time.Sleep(2 * time.Second)
	began := time.Now()
	harness.Must(t, node.Cut(true))
	time.Sleep(12 * time.Second)
	c.finish()
	harness.Must(t, node.Cut(false))
	slow = slowest(c.lookups, began)
	_, lost := lastFailure(c.lookups, began)
	tcp, failedTCP := lastFailure(c.tcp, began)
	udp, failedUDP := lastFailure(c.udp, began)
	t.Logf("%s cut: %d look-ups, %d failed, the slowest took %v; %d of %d connections failed, the last began at %v; UDP %d of %d, %v",
		node.Name, len(c.lookups), lost, slow.Round(time.Millisecond), failedTCP, len(c.tcp), tcp.Round(time.Millisecond), failedUDP, len(c.udp), udp.Round(time.Millisecond))
	if lost > 0 {
		t.Errorf("%s cut: %d look-ups failed", node.Name, lost)
	}
	// All is as before, for the next cut.
	cluster.Eventually(t, time.Minute, func() error {
		for _, n := range l.Nodes {
			if addrs, err := ask(t.Context(), l.Client, "udp", netip.AddrPortFrom(n.Host.V4, nodePort), webName); err != nil || len(addrs) != 3 {
				return fmt.Errorf("%s answers %v, %v", n.Name, addrs, err)
			}
		}
		return nil
	})
	return slow, tcp, udp
}
