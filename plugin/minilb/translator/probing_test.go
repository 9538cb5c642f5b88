package translator

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/probe"
)

// probed is a bench whose endpoints are real ones, on loopback, that are really probed.
type probed struct {
	*bench
	port uint16
}

func newProbed(t *testing.T, options config.Options) *probed {
	options.Probe = probe.MinInterval
	b := newBench(t, options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		b.tr.services.state.probing.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return &probed{b, heldPort(t)}
}

// heldPort returns a port of both families at which nobody listens unless the test does: it is bound but
// does not listen, so that connections are refused, and the kernel gives it to nobody who asks for any
// port. Who asks for this one may have it, as Go's listeners share it with what does not listen.
func heldPort(t *testing.T) uint16 {
	t.Helper()
	hold := func(family int, any syscall.Sockaddr) (syscall.Sockaddr, error) {
		fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { syscall.Close(fd) })
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
			return nil, err
		}
		if family == syscall.AF_INET6 {
			if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0); err != nil {
				return nil, err
			}
		}
		if err := syscall.Bind(fd, any); err != nil {
			return nil, err
		}
		return syscall.Getsockname(fd)
	}
	bound, err := hold(syscall.AF_INET6, &syscall.SockaddrInet6{})
	if err != nil { // there may be no IPv6
		bound, err = hold(syscall.AF_INET, &syscall.SockaddrInet4{})
	}
	switch bound := bound.(type) {
	case *syscall.SockaddrInet6:
		return uint16(bound.Port)
	case *syscall.SockaddrInet4:
		return uint16(bound.Port)
	}
	t.Fatal(err)
	return 0
}

// listen lets an address accept connections until the result is closed.
func (p *probed) listen(addr string) net.Listener {
	p.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(addr, fmt.Sprint(p.port)))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { listener.Close() })
	return listener
}

// slice makes a slice of a Service with endpoints "ADDRESS NODE" that are ready.
func (p *probed) slice(service, name string, ports []object.Port, endpoints ...string) *object.EndpointSlice {
	namespace, service, _ := strings.Cut(service, "/")
	s := &object.EndpointSlice{Meta: object.Meta{Namespace: namespace, Name: name}, Service: service, Ports: ports}
	var all []object.Endpoint
	for _, e := range endpoints {
		addr, node, _ := strings.Cut(e, " ")
		all = append(all, object.Endpoint{Addr: netip.MustParseAddr(addr), Conditions: object.Ready | object.Serving, Node: node})
	}
	s.Endpoints = object.Pack(all)
	return s
}

// eventually waits until a name leads to these addresses.
func (p *probed) eventually(name, want string) {
	p.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for got := ""; ; time.Sleep(5 * time.Millisecond) {
		if got = p.addrs(name); got == want {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: got %q, want %q", name, got, want)
		}
	}
}

// stays fails the test if what a name leads to changes within some rounds of probes.
func (p *probed) stays(name, want string) {
	p.t.Helper()
	for range 10 {
		if got := p.addrs(name); got != want {
			p.t.Errorf("%s: got %q, want %q", name, got, want)
		}
		time.Sleep(probe.MinInterval / 2)
	}
}

// logged fails the test unless a line with all of these texts has been logged.
func (p *probed) logged(texts ...string) {
	p.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	var lines []string
	for ; time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		lines = append(lines, p.log.take()...)
		for _, line := range lines {
			has := true
			for _, text := range texts {
				has = has && strings.Contains(line, text)
			}
			if has {
				return
			}
		}
	}
	p.t.Errorf("no line has %q in\n%s", texts, strings.Join(lines, "\n"))
}

// An endpoint that accepts no connections leaves the answers of all that lead to it, and comes back
// with its first connection. When none is left all are answered.
func TestProbing(t *testing.T) {
	p := newProbed(t, config.Options{})
	one, two := p.listen("127.0.0.1"), p.listen("127.0.0.2")
	p.listen("127.0.0.3")
	http := []object.Port{{Proto: "_udp", Service: "_quic", Number: 9}, {Proto: "_tcp", Service: "_http", Number: p.port}, {Proto: "_tcp", Service: "_other", Number: 9}} // the first TCP port is the one
	slices := p.watcher.EndpointSlices("")
	p.services().Update(testService("shop/web", 1, "web.ex.org"))
	p.services().Update(testService("shop/same", 1, ""))
	slices.Update(p.slice("shop/web", "web-1", http, "127.0.0.1 n1", "127.0.0.2 n2"))
	slices.Update(p.slice("shop/web", "web-2", http, "127.0.0.3 n3"))
	slices.Update(p.slice("shop/same", "same-1", http, "127.0.0.1 n1"))
	p.sync()
	p.stays("web.ex.org.", "127.0.0.1 127.0.0.2 127.0.0.3")

	serial := p.index.Serial("minilb.")
	one.Close()
	p.eventually("web.ex.org.", "127.0.0.2 127.0.0.3")
	p.eventually("web.shop.minilb.", "127.0.0.2 127.0.0.3")
	p.tr.Stats() // waits for the lock under which the addresses change, and the serial after them
	if p.index.Serial("minilb.") <= serial {
		t.Error("D24: an endpoint less left the serial as it was")
	}
	p.stays("same.shop.minilb.", "127.0.0.1") // or there would be none
	p.logged("W Service shop/same and 1 more: endpoint 127.0.0.1:", " on node n1 accepts no connections (connection refused)")
	want := map[string]int{"ready": 2, "suspect": 2, "terminating": 0, "not_ready": 0, "excluded": 0}
	if got := p.tr.Stats().Endpoints; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got endpoints %v, want %v", got, want)
	}

	// The ports of what is left out are not named (D41).
	if got := p.described("_http._tcp.web.shop.minilb.", false); strings.Contains(got, "127.0.0.1 ") || !strings.Contains(got, "127-0-0-2") {
		t.Errorf("got SRV %s", got)
	}

	one = p.listen("127.0.0.1")
	p.eventually("web.ex.org.", "127.0.0.1 127.0.0.2 127.0.0.3")
	p.logged("I Service shop/same and 1 more: endpoint 127.0.0.1:", "accepts connections again")

	one.Close()
	two.Close()
	p.eventually("web.ex.org.", "127.0.0.3")
	slices.Update(p.slice("shop/web", "web-2", http)) // the last good one has gone
	p.stays("web.ex.org.", "127.0.0.1 127.0.0.2")

	// What is not answered any longer is not probed, nor counted.
	p.services().Delete(testService("shop/web", 1, ""))
	slices.Update(p.slice("shop/same", "same-1", http))
	p.publish()
	want = map[string]int{"ready": 0, "suspect": 0, "terminating": 0, "not_ready": 0, "excluded": 0}
	if got := p.tr.Stats().Endpoints; fmt.Sprint(got) != fmt.Sprint(want) || len(p.tr.services.state.probed) > 0 {
		t.Errorf("got endpoints %v, want %v; probed are %v", got, want, p.tr.services.state.probed)
	}
}

// A host that leads to several Services is not answered with those endpoints of one that are suspect
// together, as long as another has better ones.
func TestProbingUnion(t *testing.T) {
	p := newProbed(t, config.Options{})
	tcp := []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}
	for _, name := range []string{"shop/a", "shop/b"} {
		p.services().Update(testService(name, 1, "both.ex.org"))
	}
	slices := p.watcher.EndpointSlices("")
	slices.Update(p.slice("shop/a", "a-1", tcp, "127.0.0.1", "127.0.0.2"))
	slices.Update(p.slice("shop/a", "a-2", tcp, "::1"))
	slices.Update(p.slice("shop/b", "b-1", tcp, "127.0.0.3"))
	listener := p.listen("127.0.0.3")
	p.sync()
	p.eventually("both.ex.org.", "127.0.0.3 ::1")
	p.stays("a.shop.minilb.", "127.0.0.1 127.0.0.2 ::1")
	listener.Close()
	p.eventually("both.ex.org.", "127.0.0.1 127.0.0.2 127.0.0.3 ::1")
	p.listen("127.0.0.2")
	p.eventually("both.ex.org.", "127.0.0.2 ::1")
	p.eventually("a.shop.minilb.", "127.0.0.2 ::1")
}

// A namespace whose endpoints come and go does not fill the log.
func TestProbingLog(t *testing.T) {
	b := newBench(t, config.Options{Probe: probe.MinInterval})
	addr := netip.MustParseAddrPort("10.0.0.1:80")
	b.tr.services.state.probed[addr] = []cache.ObjectName{cache.NewObjectName("shop", "web")}
	for i := range 10_000 {
		b.tr.services.state.probing.Changed(probe.Change{Target: probe.Target{Addr: addr}, Unhealthy: i%2 == 0, Reason: context.DeadlineExceeded})
	}
	lines := b.log.take()
	if len(lines) < lineBurst || len(lines) > lineBurst+50 || !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "Namespace shop: there is more to be said") }) {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// Endpoints without a TCP port are not probed, and each family is judged by itself.
func TestProbingPorts(t *testing.T) {
	p := newProbed(t, config.Options{})
	udp := []object.Port{{Proto: "_udp", Service: "_dns", Number: p.port}}
	tcp := []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}
	slices := p.watcher.EndpointSlices("")
	for _, name := range []string{"shop/dns", "shop/any", "shop/dual"} {
		p.services().Update(testService(name, 1, ""))
	}
	slices.Update(p.slice("shop/dns", "dns-1", udp, "127.0.0.1", "127.0.0.2"))
	slices.Update(p.slice("shop/any", "any-1", nil, "127.0.0.1", "127.0.0.2"))
	slices.Update(p.slice("shop/dual", "dual-1", tcp, "127.0.0.1", "127.0.0.2"))
	slices.Update(p.slice("shop/dual", "dual-2", tcp, "::1"))
	p.listen("127.0.0.2")
	p.sync()
	p.eventually("dual.shop.minilb.", "127.0.0.2 ::1")
	p.stays("dual.shop.minilb.", "127.0.0.2 ::1")
	p.stays("dns.shop.minilb.", "127.0.0.1 127.0.0.2")
	p.stays("any.shop.minilb.", "127.0.0.1 127.0.0.2")
	if n := len(p.tr.services.state.probed); n != 3 {
		t.Errorf("%d targets, want 3: %v", n, p.tr.services.state.probed)
	}
}

// A family that is not answered with is not probed (D20b).
func TestProbingFamilies(t *testing.T) {
	p := newProbed(t, config.Options{NoIPv6: true})
	p.services().Update(testService("shop/dual", 1, ""))
	p.watcher.EndpointSlices("").Update(p.slice("shop/dual", "dual-2", []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}, "::1"))
	p.sync()
	if len(p.tr.services.state.probed) > 0 {
		t.Errorf("probed are %v", p.tr.services.state.probed)
	}
}

// The load that takes the place of another one suspects what that did, at once.
func TestProbingFollows(t *testing.T) {
	old := newProbed(t, config.Options{})
	feed := func(b *probed) {
		b.services().Update(testService("shop/web", 1, ""))
		b.watcher.EndpointSlices("").Update(b.slice("shop/web", "web-1", []object.Port{{Proto: "_tcp", Service: "_", Number: old.port}}, "127.0.0.1", "127.0.0.2"))
		b.sync()
	}
	old.listen("127.0.0.2")
	feed(old)
	old.eventually("web.shop.minilb.", "127.0.0.2")

	b := newBench(t, config.Options{Probe: probe.MinInterval})
	b.watcher.Follow(old.watcher)
	feed(&probed{b, old.port})
	b.want("web.shop.minilb.", "127.0.0.2")
}

// Where there is no way to the nodes, the reader is told which ones and what to do.
func TestProbingUnreached(t *testing.T) {
	p := newProbed(t, config.Options{})
	var all []probe.Target
	for i := range 12 {
		all = append(all, probe.Target{Node: fmt.Sprintf("n%02d", i), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 7}), 80)})
	}
	if !p.tr.services.state.probing.NodesUnreachable(all) {
		t.Error("it is not told")
	}
	p.logged("W probe: ", "n00 (such as 10.244.0.7), n01", "n09 (such as 10.244.9.7), 2 more", `"ip route get 10.244.0.7"`, `n00 that "minilb routes" prints`)
	p.tr.services.state.probing.LocalError(fmt.Errorf("too many open files"))
	p.logged("W probe: ", "too many open files")
}

// After a power cut nodes may be down that a snapshot, or what the API server remembers, says are up:
// that they do not answer is told when the cluster has had the time to notice, if it is still so.
func TestProbingUnreachedOutdated(t *testing.T) {
	for name, outdate := range map[string]func(*bench, bool){
		"restored": func(b *bench, is bool) {
			b.services().Set(map[bool]informer.State{true: informer.Restored, false: informer.Listed}[is])
			b.watcher.LabelledServices("").Set(informer.Listed)
			b.log.take()
		},
		"away": func(b *bench, is bool) {
			b.services().Observe(t.Context(), map[bool]error{true: errUnreachable}[is])
			b.log.take()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, config.Options{Probe: probe.MinInterval})
			all := []probe.Target{{Addr: netip.MustParseAddrPort("10.0.0.1:80"), Node: "n1"}}
			expect := func(when string, want bool) {
				t.Helper()
				told := b.tr.services.state.probing.NodesUnreachable(all)
				if lines := b.log.take(); told != want || len(lines) > 0 != want {
					t.Errorf("%s, %s: told %v, with the log %q", name, when, told, lines)
				}
			}
			outdate(b, true)
			time.Sleep(time.Second)
			expect("at first", false)
			time.Sleep(time.Hour)
			expect("still", false)
			outdate(b, false)
			expect("no longer", false)
			time.Sleep(noticing - time.Second)
			expect("not for long", false)
			time.Sleep(time.Second)
			expect("long enough", true)
		})
	}
}

// A snapshot that was written without probe does not know the nodes; the API server tells them.
func TestProbingNodesLater(t *testing.T) {
	p := newProbed(t, config.Options{})
	listener := p.listen("127.0.0.1")
	p.listen("127.0.0.2")
	tcp := []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}
	p.services().Update(testService("shop/web", 1, ""))
	slices := p.watcher.EndpointSlices("")
	slices.Update(p.slice("shop/web", "web-1", tcp, "127.0.0.1", "127.0.0.2"))
	slices.Update(p.slice("shop/web", "web-1", tcp, "127.0.0.1 n1", "127.0.0.2 n2"))
	p.sync()
	listener.Close()
	p.eventually("web.shop.minilb.", "127.0.0.2")
	p.logged("endpoint 127.0.0.1:", " on node n1 accepts no connections")
}

// E3, E8: of pods that share an address, each is probed at its own port, and left out by itself.
func TestProbingEntries(t *testing.T) {
	b := newProbed(t, config.Options{})
	down := heldPort(t)
	b.services().Update(testService("shop/web", 1, ""))
	b.listen("127.0.0.1")
	b.watcher.EndpointSlices("").Update(b.slice("shop/web", "up", []object.Port{{Proto: "_tcp", Service: "_http", Number: b.port}}, "127.0.0.1 n1"))
	b.watcher.EndpointSlices("").Update(b.slice("shop/web", "down", []object.Port{{Proto: "_tcp", Service: "_http", Number: down}}, "127.0.0.1 n1"))
	b.sync()
	want := fmt.Sprint("127-0-0-1:", b.port)
	deadline := time.Now().Add(10 * time.Second)
	for b.srv("_http._tcp.web.shop.minilb.") != want {
		if time.Now().After(deadline) {
			t.Fatalf("got %q, want %q", b.srv("_http._tcp.web.shop.minilb."), want)
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.stays("web.shop.minilb.", "127.0.0.1")
	if got := b.tr.Stats().Endpoints; got["ready"] != 1 || got["suspect"] != 1 {
		t.Errorf("got the counts %v", got)
	}
}
