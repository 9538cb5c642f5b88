package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// log is a buffer that is written to and read at the same time.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lanNamespace runs a test anew in a process that has a network namespace of its own, in which the
// interface "lan" has an address, and a /run for the lock. It returns true there.
func lanNamespace(t *testing.T, addr string, more ...string) bool {
	t.Helper()
	const inNamespace = "MINILB_TEST_NAMESPACE"
	if os.Getenv(inNamespace) == "" {
		if os.Geteuid() != 0 {
			t.Skip("network namespaces need root")
		}
		if _, err := exec.LookPath("ip"); err != nil && os.Getenv("MINILB_REQUIRE_PROGRAMS") == "" {
			t.Skip("ip is not installed: apt-get install iproute2")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
		cmd.Env = append(os.Environ(), inNamespace+"=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS} // with all mounts private
		out, err := cmd.CombinedOutput()
		if errors.Is(err, fs.ErrPermission) {
			t.Skipf("network namespaces cannot be made here: %v", err)
		}
		if err != nil {
			t.Fatalf("in a namespace: %v\n%s", err, out)
		}
		return false
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	for _, line := range append([]string{"link set lo up", "link add lan type veth peer name far", "link set far up", "link set lan up", "addr add " + addr + " dev lan"}, more...) {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	return true
}

// applied keeps the routes until the test ends, and returns when it has printed these lines and told
// this one, or not in time.
func applied(t *testing.T, r *routesRun, want, refused string, nodes ...corev1.Node) {
	t.Helper()
	client, _ := lanOf(t, nodes...)
	stdout, stderr := r.stdout.(*log), r.stderr.(*log)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.apply(ctx, client); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	for deadline := time.Now().Add(10 * time.Second); (stdout.String() != want || !strings.Contains(stderr.String(), refused)) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// R7, R8: on a LAN in k3s' default pod network, where a podCIDR contains the nodes' addresses, no route
// changes after the first second.
func TestApplyInPodNetwork(t *testing.T) {
	if !lanNamespace(t, "10.42.255.1/16") {
		return
	}
	var stdout, stderr, monitor log
	listening := exec.CommandContext(t.Context(), "ip", "-4", "monitor", "route")
	listening.Stdout = &monitor
	if err := listening.Start(); err != nil {
		t.Fatal(err)
	}
	defer listening.Wait()
	defer listening.Process.Kill()

	var nodes []corev1.Node
	for i := range 3 {
		nodes = append(nodes, *lanNode(fmt.Sprintf("k3s-%d", i), fmt.Sprintf("10.42.%d.0/24", i), fmt.Sprintf("10.42.0.%d", 10+i)))
	}
	began := time.Now()
	const added = "added    10.42.1.0/24 via 10.42.0.11 dev lan (k3s-1)\nadded    10.42.2.0/24 via 10.42.0.12 dev lan (k3s-2)\nkeeping  2 of 2 routes in step: ip route show proto 109\n"
	const refused = "minilb: node k3s-0: podCIDR 10.42.0.0/24 contains 10.42.0.10, the InternalIP of node k3s-0: a route would cut it off\n"
	applied(t, &routesRun{clients: noResources, stdout: &stdout, stderr: &stderr}, added, refused, nodes...)
	for deadline := began.Add(10 * time.Second); !strings.Contains(monitor.String(), "10.42.2.0/24") && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // the monitor is a process of its own
	}
	time.Sleep(time.Until(began.Add(time.Second))) // what comes after it is counted
	before := monitor.String()
	time.Sleep(3 * time.Second)
	if after := monitor.String(); after != before || strings.Count(before, "10.42.1.0/24") != 1 {
		t.Errorf("routes change:\n%safter\n%s", strings.TrimPrefix(after, before), before)
	}
	if stdout.String() != added || strings.Count(stderr.String(), refused) != 1 {
		t.Errorf("got\n%sand\n%s", &stdout, &stderr)
	}
}

// R7: on such a LAN the podCIDR that contains the router gets no route, whether it is the next hop of this
// host's default route or is said.
func TestApplyBesideRouter(t *testing.T) {
	var nodes []corev1.Node
	for i := range 3 {
		nodes = append(nodes, *lanNode(fmt.Sprintf("k3s-%d", i), fmt.Sprintf("10.42.%d.0/24", i), fmt.Sprintf("10.42.9.%d", 11+i)))
	}
	const added = "added    10.42.1.0/24 via 10.42.9.12 dev lan (k3s-1)\nadded    10.42.2.0/24 via 10.42.9.13 dev lan (k3s-2)\nkeeping  2 of %d routes in step: ip route show proto 109\n"
	for _, tc := range []struct {
		name, route, gateway string
		of                   int
		refused              string
	}{
		{"found", "route add default via 10.42.0.1", "", 3,
			"minilb: 10.42.0.0/24 (k3s-0): left out: it contains 10.42.0.1, the next hop of the route 0.0.0.0/0 via 10.42.0.1 dev lan, which it would cut off\n"},
		{"said", "route add 10.0.0.0/8 via 10.42.3.1", "10.42.0.1", 2, "minilb: node k3s-0: podCIDR 10.42.0.0/24 contains 10.42.0.1, the LAN's router: a route would cut it off\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !lanNamespace(t, "10.42.7.7/16", tc.route) {
				return
			}
			var stdout, stderr log
			r := &routesRun{clients: noResources, stdout: &stdout, stderr: &stderr}
			if err := r.choose("ip", tc.gateway, "", false); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(added, tc.of)
			applied(t, r, want, tc.refused, nodes...)
			if stdout.String() != want || strings.Count(stderr.String(), tc.refused) != 1 {
				t.Errorf("got\n%sand\n%s", &stdout, &stderr)
			}
		})
	}
}

// R7, R7b, R8: whatever podCIDRs a Node is given, it gets no route to where the LAN's hosts, this host's routers, the
// API server or the pods of others are, nor to the Internet; and of the routes that are right none changes.
func TestApplyHostileNode(t *testing.T) {
	if !lanNamespace(t, "192.168.1.7/24", "route add default via 192.168.1.1", "-6 addr add fd00:192::7/64 dev lan nodad", "-6 route add default via fd00:192::1") {
		return
	}
	var monitor log
	listening := exec.CommandContext(t.Context(), "ip", "monitor", "route")
	listening.Stdout = &monitor
	if err := listening.Start(); err != nil {
		t.Fatal(err)
	}
	defer listening.Wait()
	defer listening.Process.Kill()

	made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	of := func(name string, hours int, last int, cidrs ...string) *corev1.Node {
		n := lanNode(name, "", fmt.Sprintf("192.168.1.%d", last))
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("fd00:192::%d", last)})
		n.CreationTimestamp.Time = made.Add(time.Duration(hours) * time.Hour)
		n.Spec.PodCIDRs = cidrs
		return n
	}
	client, events := lanOf(t, *of("node1", 0, 31, "10.244.1.0/24", "fd00:244:1::/64"), *of("node2", 1, 32, "10.244.2.0/24"))
	var stdout, stderr log
	r := &routesRun{clients: noResources, stdout: &stdout, stderr: &stderr}
	r.lan.Server = "10.9.9.9"
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.apply(ctx, client); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	eventually := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: it prints\n%sand tells\n%s", what, &stdout, &stderr)
			}
		}
	}
	const added = "added    10.244.1.0/24 via 192.168.1.31 dev lan (node1)\nadded    fd00:244:1::/64 via fd00:192::31 dev lan (node1)\n" +
		"added    10.244.2.0/24 via 192.168.1.32 dev lan (node2)\nkeeping  3 of 3 routes in step: ip route show proto 109\n"
	eventually("the good ones", func() bool { return stdout.String() == added })
	seen := func() string { // what the kernel has told of routes, but for neighbours of which IPv6 says much
		var lines []string
		for line := range strings.Lines(monitor.String()) {
			if !strings.Contains(line, "fe80:") && !strings.Contains(line, "ff00:") && !strings.Contains(line, "local ") && !strings.Contains(line, "anycast ") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	eventually("the kernel's word", func() bool { return strings.Count(seen(), "proto 109") == 3 })
	before := seen()

	attacks := []string{
		"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "9.9.9.9/32", "9.0.0.0/8", "127.0.0.0/8", "127.0.0.1/32", "224.0.0.0/8", "239.255.255.250/32", "169.254.169.254/32", "255.255.255.255/32",
		"192.168.1.31/32", "192.168.1.0/24", "192.168.0.0/16", "192.168.1.1/32", "192.168.1.7/32", "10.9.9.9/32", "10.0.0.0/8", "10.244.1.0/24", "10.244.1.128/25", "10.244.2.9/32", "10.244.0.0/16",
		"::/0", "::/1", "2000::/3", "::1/128", "fe80::/64", "ff02::/16", "2620:fe::fe/128", "fd00:192::/64", "fd00:192::1/128", "fd00:192::7/128", "fd00:244:1::1/128", "fd00::/16",
	}
	for i, cidr := range attacks {
		events.Modify(of(fmt.Sprintf("evil%d", i), 2, 66, cidr))
	}
	for _, cidr := range attacks {
		eventually(cidr, func() bool { return strings.Contains(stderr.String(), cidr) })
	}
	// What it may have, it gets, and the rest it does not get with that.
	events.Modify(of("evil", 2, 66, "10.66.0.0/24", "9.9.9.9/32", "0.0.0.0/1"))
	const its = "added    10.66.0.0/24 via 192.168.1.66 dev lan (evil)\n"
	eventually("a pod network", func() bool { return stdout.String() == added+its })
	events.Delete(of("evil", 2, 66))
	eventually("its end", func() bool {
		return strings.HasSuffix(stdout.String(), "removed  10.66.0.0/24 via 192.168.1.66 dev lan (evil)\n")
	})
	eventually("the kernel's word", func() bool { return strings.Count(seen(), "10.66.0.0/24") == 2 })
	for line := range strings.Lines(strings.TrimPrefix(seen(), before)) {
		if !strings.Contains(line, "10.66.0.0/24") {
			t.Errorf("a route changes: %s", line)
		}
	}
	for _, family := range []string{"-4", "-6"} {
		out, err := exec.Command("ip", family, "route", "show", "default").CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 1 {
			t.Errorf("the default routes are\n%s%v", out, err)
		}
	}
}
