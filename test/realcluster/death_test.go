//go:build linux

package realcluster_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

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

// udpService is UDP alone, of the pods of webService, and has no port that could be probed. Its endpoints follow their
// node (L7), on which two others are probed: one of webService, and one of these.
var udpService = strings.NewReplacer("name: web,", "name: more,", "{app: web}", "{app: more}").Replace(webService) + `
---
apiVersion: v1
kind: Service
metadata: {name: udp, namespace: default}
spec:
  type: LoadBalancer
  loadBalancerClass: minilb
  allocateLoadBalancerNodePorts: false
  selector: {app: web}
  ports:
  - {name: udp, port: 8080, protocol: UDP}
`

// udpName is what udpService is named.
const udpName = "udp.default.minilb."

// lookupFunc looks a name up as a client does.
type lookupFunc func(ctx context.Context, name string) ([]netip.Addr, error)

// client looks names up again and again, and connects to an address of each answer.
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
func startClient(t *testing.T, l *realcluster.Lab, look lookupFunc) *client {
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
	use := func(name string, to *[]event, connect func(context.Context, *netns.Namespace, netip.AddrPort) error) {
		var addrs []netip.Addr
		record(&c.lookups, func() (err error) {
			addrs, err = look(ctx, name)
			return err
		})
		if len(addrs) > 0 {
			record(to, func() error { return connect(ctx, l.Client, netip.AddrPortFrom(addrs[0], 8080)) })
		}
	}
	c.wait.Go(func() {
		ticker := time.NewTicker(lookupInterval)
		defer ticker.Stop()
		for running.Err() == nil {
			<-ticker.C
			c.wait.Go(func() { use(webName, &c.tcp, connect) })
			c.wait.Go(func() { use(udpName, &c.udp, echo) })
		}
	})
	t.Cleanup(cancel)
	return c
}

// stub asks as the C library's resolver does: for five seconds, twice, over the same socket and with the same ID, by
// which dnsmasq knows that it is asked again and asks all servers.
func stub(ctx context.Context, from *netns.Namespace, server netip.AddrPort, name string) (addrs []netip.Addr, err error) {
	conn, err := dial(ctx, from, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	question := new(dns.Msg).SetQuestion(name, dns.TypeA)
	for range 2 {
		if addrs, err = askOver(conn, question, 5*time.Second); err == nil {
			return addrs, nil
		}
	}
	return nil, err
}

// askWithin asks once over UDP.
func askWithin(ctx context.Context, from *netns.Namespace, server netip.AddrPort, name string, timeout time.Duration) ([]netip.Addr, error) {
	conn, err := dial(ctx, from, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return askOver(conn, new(dns.Msg).SetQuestion(name, dns.TypeA), timeout)
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

// A node that dies takes neither the names with it, whichever resolver stands in front, nor connections for longer than
// three seconds, which resolvers' caches are part of.
func TestNodeDeath(t *testing.T) {
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	installForCuts(t, l, manifest)
	cuts := 1
	if harness.Full {
		cuts = 10
	}
	const soon = 3 * time.Second
	t.Run("no resolver", func(t *testing.T) {
		judge(t, l, cuts, 2*time.Second, soon, func(*testing.T) lookupFunc { return nextNode(l) })
	})
	for i, r := range resolvers {
		if i > 0 && !harness.Full {
			break
		}
		t.Run(r.name, func(t *testing.T) {
			if r.program != "" {
				harness.Program(t, r.program, r.program)
			}
			judge(t, l, cuts, r.retry+time.Second, soon, func(t *testing.T) lookupFunc { return r.ask(t, l) })
		})
	}
}

// Without probe the pods of a dead node are answered until the cluster has noticed.
func TestNodeDeathWithoutProbe(t *testing.T) {
	inFull(t)
	l := theLab(t)
	manifest, err := shipped.Base()
	harness.Must(t, err)
	unprobed := strings.Replace(manifest, "probe 500ms\n", "\n", 1)
	if unprobed == manifest {
		t.Fatal("the base has no probe")
	}
	installForCuts(t, l, unprobed)
	judge(t, l, 3, 2*time.Second, time.Minute, func(*testing.T) lookupFunc { return nextNode(l) })
}

// installForCuts installs a manifest, and pods that are asked over TCP and over UDP.
func installForCuts(t *testing.T, l *realcluster.Lab, manifest string) {
	t.Helper()
	install(t, l, manifest)
	web(t, l)
	harness.Must(t, l.Cluster.Apply(t.Context(), udpService))
	t.Cleanup(func() { harness.Must(t, l.Cluster.Delete(context.WithoutCancel(t.Context()), udpService)) })
	awaitReady(t, l, "default")
	awaitReady(t, l, shipped.Namespace)
	answersFromEachNode(t, l, nodePort)
}

// nextNode asks the servers themselves, the next one where one does not answer within a second.
func nextNode(l *realcluster.Lab) lookupFunc {
	return func(ctx context.Context, name string) (addrs []netip.Addr, err error) {
		for _, node := range l.Nodes {
			if addrs, err = askWithin(ctx, l.Client, netip.AddrPortFrom(node.Host.V4, nodePort), name, time.Second); err == nil {
				return addrs, nil
			}
		}
		return nil, err
	}
}

// judge cuts nodes off, one after the other, and fails if a look-up takes longer than retry, or a connection fails that
// begins longer than recovery after the cut. A resolver is started anew for each cut, as it remembers who was silent.
func judge(t *testing.T, l *realcluster.Lab, cuts int, retry, recovery time.Duration, start func(*testing.T) lookupFunc) {
	t.Helper()
	var slow, tcp, udp []time.Duration
	for i := range cuts {
		t.Run(fmt.Sprint("cut ", i+1), func(t *testing.T) {
			s, c, u := cut(t, l, start(t), l.Nodes[i%len(l.Nodes)], recovery+9*time.Second)
			slow, tcp, udp = append(slow, s), append(tcp, c), append(udp, u)
		})
	}
	if len(slow) < cuts {
		return
	}
	for what, times := range map[string][]time.Duration{"slowest look-up": slow, "last failed connection": tcp, "last failed UDP question": udp} {
		slices.Sort(times)
		t.Logf("%s after the cut: %v median, %v at most, of %d cuts", what, times[len(times)/2].Round(10*time.Millisecond), times[len(times)-1].Round(10*time.Millisecond), cuts)
	}
	if most := slices.Max(slow); most > retry {
		t.Errorf("a look-up took %v, want %v at most", most, retry)
	}
	for what, times := range map[string][]time.Duration{"TCP": tcp, "UDP": udp} {
		if most := slices.Max(times); most > recovery {
			t.Errorf("the last connection over %s to fail began %v after the cut, want %v at most", what, most, recovery)
		}
	}
}

// cut takes a node's cable out for so long while a client works, and puts it in again.
func cut(t *testing.T, l *realcluster.Lab, look lookupFunc, node *realcluster.Node, long time.Duration) (slow, tcp, udp time.Duration) {
	t.Helper()
	c := startClient(t, l, look)
	time.Sleep(2 * time.Second)
	began := time.Now()
	harness.Must(t, node.Cut(true))
	time.Sleep(long)
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
	for _, name := range []string{webName, udpName} {
		cluster.Eventually(t, time.Minute, func() error {
			for _, n := range l.Nodes {
				if addrs, err := ask(t.Context(), l.Client, "udp", netip.AddrPortFrom(n.Host.V4, nodePort), name); err != nil || len(addrs) != 3 {
					return fmt.Errorf("%s answers %s with %v, %v", n.Name, name, addrs, err)
				}
			}
			return nil
		})
	}
	return slow, tcp, udp
}
