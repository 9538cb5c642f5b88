package faults_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// clockBinary is the server with a clock of its own: what time.Now says is moved by as many seconds
// as the file $MINILB_TEST_CLOCK says, at any time, as it is for all programs when somebody sets
// the machine's clock. The monotonic clock, and with it all timers, go on. It is made of the same
// sources: the build overlays the standard library's Now.
var clockBinary = sync.OnceValues(func() (string, error) {
	overlay, err := clockOverlay()
	if err != nil {
		return "", err
	}
	return harness.Build("clock", "./cmd/coredns", "-overlay="+overlay)
})

// The standard library's Now begins with the first; the build has the second in its place.
const (
	readsClock = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	movesClock = "\tsec, nsec, mono := runtimeNow()\n\tsec += Jump.Load()\n\tif mono == 0 {\n"
)

// clockOverlay writes what is overlaid and returns the file that says what it is.
func clockOverlay() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask for GOROOT: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "src/time")
	text, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return "", fmt.Errorf("read the standard library: %w", err)
	}
	if strings.Count(string(text), readsClock) != 1 {
		return "", fmt.Errorf("time.Now of this Go does not begin with %q: the test has to follow it", readsClock)
	}
	dir, err := harness.LastingDir()
	if err != nil {
		return "", fmt.Errorf("make a directory for the overlay: %w", err)
	}
	command, err := filepath.Abs("../../cmd/coredns")
	if err != nil {
		return "", fmt.Errorf("find cmd/coredns: %w", err)
	}
	files := map[string]string{
		filepath.Join(library, "time.go"): strings.Replace(string(text), readsClock, movesClock, 1),
		filepath.Join(library, "jump.go"): `package time

import "sync/atomic"

// Jump is by how many seconds the clock is moved.
var Jump atomic.Int64
`,
		filepath.Join(command, "jump.go"): `package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

func init() {
	go func() {
		for ; ; time.Sleep(20 * time.Millisecond) {
			text, _ := os.ReadFile(os.Getenv("MINILB_TEST_CLOCK"))
			if seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
				time.Jump.Store(seconds)
			}
		}
	}()
}
`,
	}
	replaced := map[string]string{}
	for path, text := range files {
		replaced[path] = filepath.Join(dir, strconv.Itoa(len(replaced))+".go")
		if err := os.WriteFile(replaced[path], []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write the overlay: %w", err)
		}
	}
	text, err = json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", fmt.Errorf("encode the overlay: %w", err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// TestClock sets the clock of a running server by an hour, forth and back, with the API server
// there and away. TTLs, the serial, NOTIFY, readiness and what is said of stale answers go by the
// time that passes (D24, D78).
func TestClock(t *testing.T) {
	if !harness.Full {
		t.Skip("everything is built anew with another clock, which takes minutes: set MINILB_FULL=1")
	}
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	harness.Must(t, c.Apply(t.Context(), "{apiVersion: v1, kind: Namespace, metadata: {name: load}}"))
	harness.Must(t, harness.Apply(c, clockService+"---\n"+harness.StaticSlice("load", "web", "IPv4", "10.8.0.1")))
	notified := make(chan struct{}, 100)
	secondary := harness.StartDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		w.WriteMsg(new(dns.Msg).SetReply(r))
		if r.Opcode == dns.OpcodeNotify {
			notified <- struct{}{}
		}
	}))
	clock := filepath.Join(t.TempDir(), "clock")
	set := func(d time.Duration) {
		t.Helper()
		harness.Must(t, os.WriteFile(clock+".new", []byte(strconv.Itoa(int(d.Seconds()))), 0o600))
		harness.Must(t, os.Rename(clock+".new", clock))
		time.Sleep(200 * time.Millisecond)
	}
	set(0)
	s := harness.LaunchCoreDNS(t, clockBinary, `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		PROM
		errors
		minilb minilb {
			kubeconfig `+harness.ShippedAccounts(t, c).DNS+`
		}
		transfer {
			to `+secondary+`
		}
	}`, "MINILB_TEST_CLOCK="+clock)
	s.WaitListening(t)
	s.WaitReady(t)

	endpoint, serial := 1, uint32(0)
	answered := func() error { return s.Expect("web.load.minilb", dns.TypeA, fmt.Sprintf("10.8.0.%d", endpoint)) }
	// steady checks what the clock is nothing to.
	steady := func(when string) {
		t.Helper()
		reply := askExtended(t, s, "web.load.minilb")
		if len(reply.Answer) != 1 || reply.Answer[0].Header().Ttl != 5 || len(reply.IsEdns0().Option) > 0 {
			t.Errorf("%s: got\n%s\nwant an address with TTL 5 and no extended error", when, reply)
		}
		if code, body := harness.Get(s.Ready); code != 200 {
			t.Errorf("%s: /ready: %d %s", when, code, body)
		}
		if negative := askExtended(t, s, "nope.load.minilb"); len(negative.Ns) != 1 || negative.Ns[0].(*dns.SOA).Hdr.Ttl != 5 || negative.Ns[0].(*dns.SOA).Serial < serial {
			t.Errorf("%s: got\n%s\nwant an SOA with TTL 5 and no serial before %d", when, negative, serial)
		}
	}
	// change changes the endpoint, and checks that it is answered, that the secondary is told, and
	// that the serial has grown.
	change := func(when string) {
		t.Helper()
		time.Sleep(1200 * time.Millisecond) // NOTIFYs are a second apart
		for len(notified) > 0 {
			<-notified
		}
		endpoint++
		harness.Must(t, harness.Apply(c, harness.StaticSlice("load", "web", "IPv4", fmt.Sprintf("10.8.0.%d", endpoint))))
		cluster.Eventually(t, 10*time.Second, answered)
		before := serial
		cluster.Eventually(t, 3*time.Second, func() error {
			if serial = soaSerial(t, s); serial <= before {
				return fmt.Errorf("%s: a change moved the serial from %d to %d", when, before, serial)
			}
			return nil
		})
		select {
		case <-notified:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the secondary is not told of a change", when)
		}
	}

	change("before")
	for _, jump := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
		when := fmt.Sprintf("with the clock set to %v from what it is", jump)
		before := soaSerial(t, s)
		set(jump)
		if after := soaSerial(t, s); after != before {
			t.Errorf("%s: nothing has changed and the serial went from %d to %d", when, before, after)
		}
		steady(when)
		change(when)
		steady(when)
	}
	if now := time.Now().Add(time.Hour).Unix(); int64(serial) < now-60 || int64(serial) > now+60 {
		t.Errorf("the serial is %d, want it to have followed the clock, which has been at %d", serial, now)
	}

	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		when := fmt.Sprintf("without the API server, with the clock set to %v from what it is", jump)
		losses := len(s.Log.Lines("serving the last known state"))
		harness.Must(t, c.StopAPIServer())
		cluster.Eventually(t, 10*time.Second, func() error {
			if len(s.Log.Lines("serving the last known state")) == losses {
				return fmt.Errorf("the loss of the API server is not noticed:\n%s", s.Log)
			}
			return nil
		})
		set(jump)
		steady(when)
		harness.Must(t, c.StartAPIServer(t.Context()))
		change(when)
		set(0)
		steady("after " + when)
	}
	change("in the end")
	if lines := s.Log.Lines("[ERROR]"); len(lines) > 0 {
		t.Errorf("coredns said: %q", lines)
	}
}

const clockService = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: load}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
`

func soaSerial(t *testing.T, s *harness.CoreDNS) uint32 {
	t.Helper()
	reply, err := s.Ask("udp", "minilb", dns.TypeSOA)
	harness.Must(t, err)
	if len(reply.Answer) != 1 {
		t.Fatalf("got\n%s\nwant an SOA", reply)
	}
	return reply.Answer[0].(*dns.SOA).Serial
}

// askExtended asks for the addresses with EDNS, so that the answer can say that it is stale.
func askExtended(t *testing.T, s *harness.CoreDNS, name string) *dns.Msg {
	t.Helper()
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).SetEdns0(1232, false)
	client := dns.Client{Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(question, s.Addr)
	harness.Must(t, err)
	if reply.IsEdns0() == nil {
		t.Fatalf("got\n%s\nwant EDNS", reply)
	}
	return reply
}
