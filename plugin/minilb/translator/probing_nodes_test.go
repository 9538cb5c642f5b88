//go:build linux

package translator

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/probe"
)

// silence has the kernel drop what asks a listener for connections, as its queue is full, until silent is false.
func (p *probed) silence(listener net.Listener, silent bool) {
	p.t.Helper()
	conn, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	backlog := 128
	if silent {
		backlog = 0
		fill, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { fill.Close() })
	}
	if err := conn.Control(func(fd uintptr) { err = syscall.Listen(int(fd), backlog) }); err != nil {
		p.t.Fatal(err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// mute returns a listener that is silent from the start on.
func (p *probed) mute(addr string) net.Listener {
	listener := p.listen(addr)
	p.silence(listener, true)
	return listener
}

// count returns how many of the logged lines have a text.
func count(lines []string, text string) (n int) {
	for _, line := range lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// L7: endpoints that cannot be probed leave the answers with their node, in all plugin blocks, and come back with it.
func TestProbingNodes(t *testing.T) {
	p := newProbed(t, config.Options{})
	other := NewTranslator(p.watcher, config.Options{Zones: []string{"other."}, Class: p.tr.options.Class, Services: true, Probe: probe.MinInterval}, p.index, Hooks{})
	if other.services.state.probing != p.tr.services.state.probing {
		t.Fatal("the blocks probe for themselves")
	}
	tcp := []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}
	udp := []object.Port{{Proto: "_udp", Service: "_dns", Number: 53}}
	sctp := []object.Port{{Proto: "_sctp", Service: "_", Number: 53}}
	slices := p.watcher.EndpointSlices("")
	for _, name := range []string{"shop/one", "web/two", "shop/udp", "shop/sctp", "shop/any", "shop/only", "shop/nowhere"} {
		p.services().Update(testService(name, 1, ""))
	}
	one, two := p.listen("127.0.0.1"), p.listen("127.0.0.2")
	p.listen("127.0.0.3")
	slices.Update(p.slice("shop/one", "one-1", tcp, "127.0.0.1 n1", "127.0.0.3 n2"))
	slices.Update(p.slice("web/two", "two-1", tcp, "127.0.0.2 n1"))
	slices.Update(p.slice("shop/udp", "udp-1", udp, "10.0.1.1 n1", "10.0.2.1 n2"))
	slices.Update(p.slice("shop/sctp", "sctp-1", sctp, "10.0.1.1 n1", "10.0.2.1 n2"))
	slices.Update(p.slice("shop/any", "any-1", nil, "10.0.1.1 n1", "10.0.2.1 n2"))
	slices.Update(p.slice("shop/only", "only-1", udp, "10.0.1.1 n1", "10.0.1.2 n1"))
	slices.Update(p.slice("shop/nowhere", "nowhere-1", udp, "10.0.1.1", "10.0.2.1 n2"))
	p.sync()
	p.stays("udp.shop.minilb.", "10.0.1.1 10.0.2.1")

	p.silence(one, true)
	p.eventually("one.shop.minilb.", "127.0.0.3")
	p.stays("udp.shop.minilb.", "10.0.1.1 10.0.2.1") // another endpoint of the node answers
	p.silence(two, true)
	p.eventually("udp.shop.minilb.", "10.0.2.1")
	p.eventually("sctp.shop.minilb.", "10.0.2.1")
	p.eventually("any.shop.minilb.", "10.0.2.1")
	p.stays("only.shop.minilb.", "10.0.1.1 10.0.1.2") // or there would be none
	p.stays("nowhere.shop.minilb.", "10.0.1.1 10.0.2.1")
	p.logged("W Service shop/any and 3 more: no probed endpoint on node n1 answers any longer")
	if got, want := p.tr.Stats().Endpoints["suspect"], 1+1+3+2; got != want {
		t.Errorf("%d are suspect, want %d", got, want)
	}
	slices.Update(p.slice("shop/udp", "udp-2", udp, "10.0.1.9 n1"))
	p.stays("udp.shop.minilb.", "10.0.2.1") // it comes to a node that is down
	slices.Delete(p.slice("shop/udp", "udp-2", udp))

	two.Close() // it refuses
	p.eventually("udp.shop.minilb.", "10.0.1.1 10.0.2.1")
	p.logged("I Service shop/any and 3 more: node n1 is no longer taken for dead")
	p.silence(one, false)
	p.eventually("one.shop.minilb.", "127.0.0.1 127.0.0.3")

	for _, name := range []string{"shop/udp", "shop/sctp", "shop/any", "shop/only", "shop/nowhere"} {
		p.services().Delete(testService(name, 1, ""))
	}
	if n := len(p.tr.services.state.followers); n > 0 {
		t.Errorf("nodes of what is not answered: %v", p.tr.services.state.followers)
	}
}

// One probed endpoint on a node, or refused ones, do not make it down.
func TestProbingNodesUp(t *testing.T) {
	p := newProbed(t, config.Options{})
	tcp := []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}
	udp := []object.Port{{Proto: "_udp", Service: "_dns", Number: 53}}
	slices := p.watcher.EndpointSlices("")
	for _, name := range []string{"shop/web", "shop/udp"} {
		p.services().Update(testService(name, 1, ""))
	}
	one, two := p.listen("127.0.0.1"), p.listen("127.0.0.2")
	p.listen("127.0.0.3")
	p.listen("127.0.0.4")
	slices.Update(p.slice("shop/web", "web-1", tcp, "127.0.0.1 n1", "127.0.0.2 n2", "127.0.0.3 n2", "127.0.0.4 n3"))
	slices.Update(p.slice("shop/udp", "udp-1", udp, "10.0.1.1 n1", "10.0.2.1 n2", "10.0.3.1 n3"))
	p.sync()
	p.stays("web.shop.minilb.", "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4")
	p.silence(one, true)
	two.Close()
	p.eventually("web.shop.minilb.", "127.0.0.3 127.0.0.4")
	p.stays("udp.shop.minilb.", "10.0.1.1 10.0.2.1 10.0.3.1")
}

// Where nothing of a Service has ever answered, though others on its nodes do, the log says once for its namespace what to do,
// and all are answered.
func TestProbingBlocked(t *testing.T) {
	p := newProbed(t, config.Options{})
	tcp := []object.Port{{Proto: "_tcp", Service: "_", Number: p.port}}
	watched := p.watcher.EndpointSlices("")
	for _, name := range []string{"shop/web", "shop/api", "open/web", "lone/web"} {
		p.services().Update(testService(name, 1, ""))
	}
	known := p.tr.services.state.probing.blocked
	for i := range maxBudgets {
		known[fmt.Sprint("namespace-", i)] = true
	}
	for i := range 4 {
		p.mute(fmt.Sprintf("127.0.1.%d", i+1))
	}
	p.listen("127.0.2.1")
	watched.Update(p.slice("shop/web", "web-1", tcp, "127.0.1.1 n1", "127.0.1.2 n2"))
	watched.Update(p.slice("lone/web", "lone-1", tcp, "127.0.1.3 n3"))
	p.sync()
	p.eventually("web.shop.minilb.", "127.0.1.1 127.0.1.2")
	p.logged("W Service lone/web: endpoint 127.0.1.3:", "accepts no connections")
	time.Sleep(5 * probe.MinInterval)
	if lines := p.log.take(); count(lines, "NetworkPolicy") > 0 {
		t.Errorf("nobody answers, and it is said that a NetworkPolicy may be the reason:\n%s", strings.Join(lines, "\n"))
	}

	watched.Update(p.slice("open/web", "open-1", tcp, "127.0.2.1 n1"))
	p.logged("W Service shop/web: its endpoints (2, such as 127.0.1.1:", "on node n1) have never answered", "NetworkPolicy", "pods of namespace shop")
	if len(known) != 1 {
		t.Errorf("%d namespaces are remembered", len(known))
	}
	watched.Update(p.slice("shop/api", "api-1", tcp, "127.0.1.4 n1"))
	time.Sleep(5 * probe.MinInterval)
	if lines := p.log.take(); len(lines) > 0 {
		t.Errorf("it is said more than once for the namespace, or of another:\n%s", strings.Join(lines, "\n"))
	}
	p.stays("web.shop.minilb.", "127.0.1.1 127.0.1.2")
	p.stays("api.shop.minilb.", "127.0.1.4")
	if got := p.tr.Stats().Endpoints["suspect"]; got != 4 {
		t.Errorf("%d are suspect, want all four that are silent", got)
	}
}
