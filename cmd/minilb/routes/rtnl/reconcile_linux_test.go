package rtnl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// routes makes a list of "node destination gateway...".
func routes(lines ...string) (list []Route) {
	for _, line := range lines {
		fields := strings.Fields(line)
		route := Route{Node: fields[0], Destination: netip.MustParsePrefix(fields[1])}
		for _, gateway := range fields[2:] {
			route.Gateways = append(route.Gateways, netip.MustParseAddr(gateway))
		}
		list = append(list, route)
	}
	return list
}

// The routes of two nodes, and how ip(8) shows them.
var (
	one   = "one 10.244.0.0/24 192.168.1.30"
	one6  = "one fd00:244::/64 fd00:192:168:1::30"
	two   = "two 10.244.1.0/24 192.168.1.31"
	shows = map[string]string{
		one:  "10.244.0.0/24 via 192.168.1.30 dev lan metric 1090",
		two:  "10.244.1.0/24 via 192.168.1.31 dev lan metric 1090",
		one6: "fd00:244::/64 via fd00:192:168:1::30 dev lan metric 1090",
	}
)

// kept is a running Keep, and what it has said.
type kept struct {
	want chan []Route

	mu    sync.Mutex
	out   bytes.Buffer
	told  []string
	end   context.CancelFunc
	ended chan error
}

func (k *kept) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out.Write(b)
}

// keep starts it. It must end without an error, with the test at the latest.
func keep(t *testing.T) *kept {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k := &kept{want: make(chan []Route), end: cancel, ended: make(chan error, 1)}
	go func() {
		k.ended <- Keep(ctx, k.want, k, func(line string) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.told = append(k.told, line)
		})
	}()
	t.Cleanup(func() { k.stop(t) })
	return k
}

func (k *kept) stop(t *testing.T) {
	t.Helper()
	k.end()
	select {
	case err, running := <-k.ended:
		if running && err != nil {
			t.Error(err)
		}
		if running {
			close(k.ended)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it does not end")
	}
}

// said waits until exactly these lines have been printed and told since it was last asked.
func (k *kept) said(t *testing.T, out string, told ...string) {
	t.Helper()
	within(t, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.out.String() != out || strings.Join(k.told, "\n") != strings.Join(told, "\n") {
			return fmt.Errorf("it has printed\n%sand told %q, want\n%sand %q", &k.out, k.told, out, told)
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out.Reset()
	k.told = nil
}

// saidInAnyOrder is said for what becomes known at one look or at several: the kernel takes away the routes
// of a link one by one.
func (k *kept) saidInAnyOrder(t *testing.T, out string, told ...string) {
	t.Helper()
	slices.Sort(told)
	within(t, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.told) == len(told) {
			slices.Sort(k.told)
		}
		if !slices.Equal(k.told, told) {
			return fmt.Errorf("it has told %q, want %q", k.told, told)
		}
		return nil
	})
	k.said(t, out, told...)
}

// The life of a few nodes: they come, move, go, and come back.
func TestKeep(t *testing.T) {
	if !host(t) {
		return
	}
	// What an earlier run has left: one that is right, and one of a node that has gone since.
	ip(t, "route add 10.244.0.0/24 via 192.168.1.30 proto 109 metric 1090", "route add 10.244.9.0/24 via 192.168.1.39 proto 109 metric 1090")
	foreign := shown(t, "route show table all proto kernel")
	k := keep(t)
	// It changes nothing before it knows, whatever happens.
	time.Sleep(200 * time.Millisecond)
	ip(t, "addr add 192.168.3.1/24 dev other", "addr del 192.168.3.1/24 dev other")
	time.Sleep(200 * time.Millisecond)
	eventually(t, shows[one], "10.244.9.0/24 via 192.168.1.39 dev lan metric 1090")
	k.want <- routes(one, one6, two)
	eventually(t, shows[one], shows[two], shows[one6])
	k.said(t, "removed  10.244.9.0/24 via 192.168.1.39 dev lan\nadded    fd00:244::/64 via fd00:192:168:1::30 dev lan (one)\n"+
		"added    10.244.1.0/24 via 192.168.1.31 dev lan (two)\nkeeping  3 of 3 routes in step: ip route show proto 109\n")

	// Nobody else may while it runs.
	const running = `another "minilb routes -apply" runs on this host: end it before`
	if err := Cleanup(k); err == nil || err.Error() != running {
		t.Errorf("Cleanup beside it: got %v", err)
	}
	if err := Keep(t.Context(), nil, k, nil); err == nil || err.Error() != running {
		t.Errorf("Keep beside it: got %v", err)
	}

	// Another next hop: at no time is there none.
	k.want <- routes("one 10.244.0.0/24 192.168.1.40", one6, two)
	eventually(t, "10.244.0.0/24 via 192.168.1.40 dev lan metric 1090", shows[two], shows[one6])
	k.said(t, "changed  10.244.0.0/24 via 192.168.1.40 dev lan (one), was via 192.168.1.30\n")
	k.want <- routes("one 10.244.0.0/24 192.168.2.40", "one fd00:244::/64 fd00:192:168:1::40", two)
	eventually(t, "10.244.0.0/24 via 192.168.2.40 dev other metric 1090", shows[two], "fd00:244::/64 via fd00:192:168:1::40 dev lan metric 1090")
	k.said(t, "changed  10.244.0.0/24 via 192.168.2.40 dev other (one), was via 192.168.1.40\n"+
		"changed  fd00:244::/64 via fd00:192:168:1::40 dev lan (one), was via fd00:192:168:1::30\n")

	k.want <- routes(two)
	eventually(t, shows[two])
	k.said(t, "removed  10.244.0.0/24 via 192.168.2.40 dev other (one)\nremoved  fd00:244::/64 via fd00:192:168:1::40 dev lan (one)\n")
	k.want <- routes(one, one6, two)
	eventually(t, shows[one], shows[two], shows[one6])
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nadded    fd00:244::/64 via fd00:192:168:1::30 dev lan (one)\n")

	// The end leaves the routes, and the next run finds them.
	k.stop(t)
	eventually(t, shows[one], shows[two], shows[one6])
	k = keep(t)
	k.want <- routes(one, one6, two)
	k.said(t, "keeping  3 of 3 routes in step: ip route show proto 109\n")
	k.want <- nil
	eventually(t)
	if got := shown(t, "route show table all proto kernel"); got != foreign {
		t.Errorf("the other routes were\n%sand are\n%s", foreign, got)
	}
}

// What somebody else removes, or takes with a link, comes back.
func TestKeepRepairs(t *testing.T) {
	if !host(t) {
		return
	}
	k := keep(t)
	k.want <- routes(one, one6, two)
	eventually(t, shows[one], shows[two], shows[one6])
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nadded    fd00:244::/64 via fd00:192:168:1::30 dev lan (one)\n"+
		"added    10.244.1.0/24 via 192.168.1.31 dev lan (two)\nkeeping  3 of 3 routes in step: ip route show proto 109\n")
	began := time.Now()
	ip(t, "route del 10.244.1.0/24", "-6 route del fd00:244::/64")
	eventually(t, shows[one], shows[two], shows[one6])
	t.Logf("put back after %v", time.Since(began).Round(time.Millisecond))
	within(t, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, line := range []string{"restored fd00:244::/64 via fd00:192:168:1::30 dev lan (one)\n", "restored 10.244.1.0/24 via 192.168.1.31 dev lan (two)\n"} {
			if strings.Count(k.out.String(), line) != 1 {
				return fmt.Errorf("it has printed\n%swant %s", &k.out, line)
			}
		}
		return nil
	})
	k.mu.Lock()
	k.out.Reset()
	k.mu.Unlock()
	// Somebody has our routes lead elsewhere, or adds one under our number.
	ip(t, "route replace 10.244.1.0/24 via 192.168.1.99 proto 109 metric 1090")
	eventually(t, shows[one], shows[two], shows[one6])
	k.said(t, "changed  10.244.1.0/24 via 192.168.1.31 dev lan (two), was via 192.168.1.99\n")
	ip(t, "route add 10.244.1.0/24 via 192.168.1.99 proto 109 metric 7")
	eventually(t, shows[one], shows[two], shows[one6])

	ip(t, "link set lan down")
	eventually(t)
	k.saidInAnyOrder(t, "", "10.244.0.0/24 (one): left out: 192.168.1.30 is on no network of this host", "10.244.1.0/24 (two): left out: 192.168.1.31 is on no network of this host",
		"fd00:244::/64 (one): left out: fd00:192:168:1::30 is on no network of this host")
	ip(t, "link set lan up", "addr replace fd00:192:168:1::1/64 dev lan nodad")
	eventually(t, shows[one], shows[two], shows[one6])
	// The LAN moves to another interface, as to a bridge that is made of it. The one that it leaves has
	// another network, or the kernel would take away the routes.
	ip(t, "addr add 192.168.4.1/24 dev lan", "addr add 192.168.1.1/24 dev other", "addr del 192.168.1.1/24 dev lan")
	eventually(t, "10.244.0.0/24 via 192.168.1.30 dev other metric 1090", "10.244.1.0/24 via 192.168.1.31 dev other metric 1090", shows[one6])
}

// What the kernel has removed itself, as with an interface that goes down, is not said to have been
// removed, however late that is found.
func TestRemoveGone(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add 10.244.0.0/24 via 192.168.1.30 proto 109 metric 1090", "-6 route add fd00:244::/64 via fd00:192:168:1::30 proto 109 metric 1090",
		"route add 10.244.1.0/24 via 192.168.2.31 proto 109 metric 1090")
	k := &reconciler{}
	now, err := readView(nil)
	if err != nil || len(now.ours) != 3 {
		t.Fatalf("got %v, %v", now, err)
	}
	ip(t, "link set lan down")
	wrong := map[netip.Prefix]failure{}
	got := k.prune(now.ours, nil, wrong)
	if want := []string{"removed  10.244.1.0/24 via 192.168.2.31 dev other"}; !slices.Equal(got, want) || len(wrong) > 0 {
		t.Errorf("got %q and %v, want %q", got, wrong, want)
	}
	ip(t, "link del other") // whose number nothing has any longer
	if got := k.prune(now.ours, nil, wrong); len(got) > 0 || len(wrong) > 0 {
		t.Errorf("got %q and %v, want nothing", got, wrong)
	}
	eventually(t)
}

// A route that cannot be removed, or set, is told with the reason.
func TestKeepDenied(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add 10.244.1.0/24 via 192.168.1.31 proto 109 metric 1090")
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	withoutNetAdmin(t)
	var out bytes.Buffer
	var told []string
	k := newReconciler(&out, func(line string) { told = append(told, line) })
	k.routes = routes(one)
	for range 2 {
		if err := k.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	const denied = "not permitted to change the routing table: run this as root or with CAP_NET_ADMIN"
	want := []string{"10.244.0.0/24 (one): " + denied, "10.244.1.0/24: " + denied}
	if !slices.Equal(told, want) || out.String() != "keeping  0 of 1 routes in step: ip route show proto 109\n" {
		t.Errorf("got %q and %q, want %q", told, &out, want)
	}
	if err := Cleanup(&out); err == nil || err.Error() != denied {
		t.Errorf("Cleanup: got %v", err)
	}
	eventually(t, shows[two])
}

// A route that cannot be is left out by itself, and told once.
func TestKeepLeavesOut(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add default via 192.168.2.254", "route add unreachable 172.16.0.0/12")
	k := keep(t)
	k.want <- routes("behind 10.244.7.0/24 198.51.100.7", one, "self 10.244.8.0/24 192.168.1.1", "self fd00:244:8::/64 fd00:192:168:1::1",
		"no 10.244.9.0/24 172.16.1.1", "six fd00:244:9::/64 2001:db8::9")
	eventually(t, shows[one])
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nkeeping  1 of 6 routes in step: ip route show proto 109\n",
		"10.244.7.0/24 (behind): left out: 198.51.100.7 is on no network of this host",
		"10.244.8.0/24 (self): left out: 192.168.1.1 is this host itself",
		"10.244.9.0/24 (no): left out: 172.16.1.1 is on no network of this host",
		"fd00:244:8::/64 (self): left out: fd00:192:168:1::1 is this host itself",
		"fd00:244:9::/64 (six): left out: 2001:db8::9 is on no network of this host")
	// Nor again, whatever else happens.
	ip(t, "addr add 192.168.3.1/24 dev other", "addr del 192.168.3.1/24 dev other")
	k.want <- routes("behind 10.244.7.0/24 198.51.100.7", one, two)
	eventually(t, shows[one], shows[two])
	k.said(t, "added    10.244.1.0/24 via 192.168.1.31 dev lan (two)\n")
}

// A default route without a router, as a dial-up line has it, is no way to a node.
func TestKeepLeavesOutDialUp(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add default dev other scope link")
	k := keep(t)
	k.want <- routes("behind 10.244.7.0/24 198.51.100.7", one)
	eventually(t, shows[one])
	k.said(t, "added    10.244.0.0/24 via 192.168.1.30 dev lan (one)\nkeeping  1 of 2 routes in step: ip route show proto 109\n",
		"10.244.7.0/24 (behind): left out: 198.51.100.7 is on no network of this host")
}

// Where somebody else has a route there is none of ours, whoever was first.
func TestKeepLeavesForeign(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add 10.244.0.0/24 via 192.168.2.30 proto static metric 5000", "-6 route add unreachable fd00:244::/64")
	k := keep(t)
	k.want <- routes(one, one6, two)
	eventually(t, shows[two])
	k.said(t, "added    10.244.1.0/24 via 192.168.1.31 dev lan (two)\nkeeping  1 of 3 routes in step: ip route show proto 109\n",
		"10.244.0.0/24 (one): left to the route that is there and not ours: 10.244.0.0/24 via 192.168.2.30 dev other proto static",
		"fd00:244::/64 (one): left to the route that is there and not ours: fd00:244::/64 dev lo proto boot")
	ip(t, "route add 10.244.1.0/24 via 192.168.1.99")
	eventually(t)
	k.said(t, "removed  10.244.1.0/24 via 192.168.1.31 dev lan (two)\n",
		"10.244.1.0/24 (two): left to the route that is there and not ours: 10.244.1.0/24 via 192.168.1.99 dev lan proto boot")
	if got, want := shown(t, "route show 10.244.0.0/16")+shown(t, "route show 10.244.0.0/24")+shown(t, "route show 10.244.1.0/24")+shown(t, "-6 route show type unreachable fd00:244::/64"),
		"10.244.0.0/24 via 192.168.2.30 dev other proto static metric 5000\n10.244.1.0/24 via 192.168.1.99 dev lan\n"+
			"unreachable fd00:244::/64 dev lo metric 1024\n"; got != want {
		t.Errorf("the other routes are\n%swant\n%s", got, want)
	}
	// When it goes, ours is back.
	ip(t, "route del 10.244.1.0/24 via 192.168.1.99", "route del 10.244.0.0/24 proto static", "-6 route del unreachable fd00:244::/64")
	eventually(t, shows[one], shows[two], shows[one6])
}

// Cleanup removes what carries our number, wherever it is, and nothing else.
func TestCleanup(t *testing.T) {
	if !host(t) {
		return
	}
	ip(t, "route add 10.9.0.0/24 via 192.168.1.9", "route add 10.9.1.0/24 via 192.168.1.9 proto 108")
	others := func() string {
		return shown(t, "route show table all proto boot") + shown(t, "route show table all proto 108")
	}
	before := others()
	ip(t, "route add 10.244.0.0/24 via 192.168.1.30 proto 109 metric 1090", "route add 10.9.0.0/24 via 192.168.1.10 proto 109 metric 1090",
		"route add 10.244.1.0/24 via 192.168.1.31 proto 109 table 700", "-6 route add fd00:244::/64 via fd00:192:168:1::30 proto 109 metric 1090",
		"route add 10.244.2.0/24 proto 109 nexthop via 192.168.1.31 nexthop via 192.168.2.31")
	reader, writer := io.Pipe()
	reader.Close()
	if err := Cleanup(writer); err == nil { // which comes after the first was removed
		t.Error("standard output that is gone is no error")
	}
	ip(t, "route add 10.9.0.0/24 via 192.168.1.10 proto 109 metric 1090")
	var out bytes.Buffer
	if err := Cleanup(&out); err != nil {
		t.Fatal(err)
	}
	if want := "removed  10.9.0.0/24 via 192.168.1.10 dev lan\nremoved  10.244.0.0/24 via 192.168.1.30 dev lan\nremoved  10.244.1.0/24 via 192.168.1.31 dev lan table 700\n" +
		"removed  10.244.2.0/24\nremoved  fd00:244::/64 via fd00:192:168:1::30 dev lan\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	eventually(t)
	if got := others(); got != before {
		t.Errorf("the others were\n%sand are\n%s", before, got)
	}
	out.Reset()
	if err := Cleanup(&out); err != nil || out.String() != "no routes with protocol 109\n" {
		t.Errorf("got %v and %q", err, &out)
	}
}

// Who may not change routes is told so before anything else, and what to do.
func TestCheck(t *testing.T) {
	if !host(t) {
		return
	}
	if err := Check(); err != nil {
		t.Errorf("as root: got %v", err)
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	withoutNetAdmin(t)
	if err := Check(); err == nil || err.Error() != "not permitted to change the routing table: run this as root or with CAP_NET_ADMIN" {
		t.Errorf("without CAP_NET_ADMIN: got %v", err)
	}
	if err := Cleanup(new(bytes.Buffer)); err != nil { // there is nothing to remove
		t.Errorf("got %v", err)
	}
}
