package load_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// The floods, and what they may cost.
const floodSenders = 4

var (
	floodMessages    = size(20_000, 100_000)               // over UDP, and again over TCP
	floodConnections = size(2000, 10_000)                  // that idle
	floodIdle        = size(5*time.Second, 20*time.Second) // until the server closes them: all are open at once by then
	floodLatency     = size(2*time.Second, time.Second/2)  // of the right answers meanwhile, at the 99th percentile
	floodMemory      = int64(200 << 20)                    // bytes that it may take for a while
)

// TestFlood sends the server messages that are none, and opens connections that it then leaves
// alone, while others ask what they should.
func TestFlood(t *testing.T) {
	c := harness.Shared(t)
	ns := harness.NewNamespace(t, c)
	harness.Must(t, harness.Apply(c, strings.ReplaceAll(`
apiVersion: v1
kind: Service
metadata: {name: web, namespace: NS, annotations: {minilb/host: web.flood.example}}
spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}
---
`, "NS", ns)+harness.StaticSlice(ns, "web", "IPv4", "10.8.0.1", "10.8.0.2")))
	profiler := harness.FreePorts(t, 1)[0]
	s := harness.StartFastCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		HEALTH
		READY
		PROM
		pprof `+profiler+`
		timeouts {
			idle `+floodIdle.String()+`
		}
		errors
		minilb minilb {
			kubeconfig `+harness.ShippedAccounts(t, c).DNS+`
		}
		cache
		forward . `+harness.StartDNS(t, dns.HandlerFunc(harness.AnswerAsUpstream))+`
	}`)
	s.WaitReady(t)
	names := []string{"web." + ns + ".minilb.", "nope." + ns + ".minilb.", "minilb.", "web.flood.example.", "example.org."}
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect(names[0], dns.TypeA, "10.8.0.1", "10.8.0.2") })
	for range 2000 { // what it takes to be warm
		harness.Must(t, s.Expect(names[0], dns.TypeA, "10.8.0.1", "10.8.0.2"))
	}
	before, err := harness.FootprintOf(s)
	harness.Must(t, err)
	var seed uint64 = 1
	// flood does something to the server from several sides at once, while right answers are asked
	// for, and returns what the server holds then.
	flood := func(what string, from func(random *rand.Rand) error) harness.Footprint {
		t.Helper()
		asking := askMeanwhile(s, names[0], "10.8.0.1", "10.8.0.2")
		began := time.Now()
		errs := make(chan error, floodSenders)
		for range floodSenders {
			seed++
			go func() { errs <- from(rand.New(rand.NewPCG(seed, seed))) }()
		}
		for range floodSenders {
			if err := <-errs; err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		took := time.Since(began)
		during, err := harness.FootprintOf(s)
		harness.Must(t, err)
		latencies, err := asking()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if len(latencies) == 0 {
			t.Fatalf("%s: nothing was answered", what)
		}
		slices.Sort(latencies)
		p99 := latencies[len(latencies)*99/100]
		t.Logf("%s, in %v: from %v to %v; %d right answers, half of them after %v, all but one in a hundred after %v, the last after %v",
			what, took.Round(time.Millisecond), before, during, len(latencies), latencies[len(latencies)/2], p99, latencies[len(latencies)-1])
		if during.Memory > before.Memory+floodMemory {
			t.Errorf("%s: it has %v, of which it had %v before", what, during, before)
		}
		if p99 > floodLatency {
			t.Errorf("%s: right answers took %v", what, p99)
		}
		return during
	}

	flood(fmt.Sprintf("%d random messages over UDP", floodMessages), func(random *rand.Rand) error {
		return floodUDP(s.Addr, random, names, floodMessages/floodSenders)
	})
	flood(fmt.Sprintf("%d random messages over TCP", floodMessages), func(random *rand.Rand) error {
		return floodTCP(s.Addr, random, names, floodMessages/floodSenders)
	})

	n := openable(t)
	first := 0.0
	for round := range 2 {
		var mu sync.Mutex
		var idle []net.Conn
		held := flood(fmt.Sprintf("%d connections that idle", n), func(*rand.Rand) error {
			for range n / floodSenders {
				conn, err := net.DialTimeout("tcp", s.Addr, 5*time.Second)
				if err != nil {
					return fmt.Errorf("dial: %w", err)
				}
				mu.Lock()
				idle = append(idle, conn)
				mu.Unlock()
				// One that has asked may idle for longer than one that has not.
				if err := askOver(conn, names[0]); err != nil {
					return err
				}
			}
			return nil
		})
		opened := time.Now()
		if held.Files < n {
			t.Errorf("it has %v, want %d connections at once", held, n)
		}
		// Resident memory would tell when garbage was collected last, and not what is held.
		if code, _ := harness.Get("http://" + profiler + "/debug/pprof/heap?gc=1"); code != http.StatusOK {
			t.Fatalf("pprof: status %d", code)
		}
		_, metrics := harness.Get(s.Prom)
		inUse := harness.Sum(metrics, "go_memstats_heap_inuse_bytes ") + harness.Sum(metrics, "go_memstats_stack_inuse_bytes ")
		t.Logf("%.1f MB of it are in use", inUse/(1<<20))
		if round == 0 {
			first = inUse
		} else if inUse > first+first/4 {
			t.Errorf("%.1f MB are in use with the same connections as before, when %.1f MB were", inUse/(1<<20), first/(1<<20))
		}
		// It closes them by itself, as nobody else does.
		cluster.Eventually(t, time.Minute, func() error {
			after, err := harness.FootprintOf(s)
			if err == nil && (after.Files > before.Files+20 || after.Goroutines > before.Goroutines+20) {
				err = fmt.Errorf("it has %v, of which it had %v before", after, before)
			}
			return err
		})
		t.Logf("it has closed all of them after %v", time.Since(opened).Round(100*time.Millisecond))
		for _, conn := range idle {
			conn.Close()
		}
	}
	harness.Must(t, s.Expect(names[0], dns.TypeA, "10.8.0.1", "10.8.0.2"))
	after, err := harness.FootprintOf(s)
	harness.Must(t, err)
	t.Logf("in the end it has %v", after)
	if after.Memory > before.Memory+floodMemory {
		t.Errorf("in the end it has %v, of which it had %v before", after, before)
	}
	if strings.Contains(s.Log.String(), "panic") {
		t.Errorf("it panicked:\n%s", s.Log)
	}
}

// openable returns how many connections a test may hold: as many as it wants to, or it skips.
func openable(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	harness.Must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if need := uint64(floodConnections + 500); limit.Max < need { // Go raises the soft limit by itself, also that of the server
		t.Skipf("%d connections take as many open files, and RLIMIT_NOFILE is %d", floodConnections, limit.Max)
	}
	return floodConnections
}

// askMeanwhile asks for a name's addresses without pause, by turns over UDP and TCP, until what it
// returns is called, which returns how long the answers took, or what was wrong with one.
func askMeanwhile(s *harness.CoreDNS, name string, want ...string) func() ([]time.Duration, error) {
	var stop atomic.Bool
	var took []time.Duration
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for i := 0; !stop.Load(); i++ {
			network := []string{"udp", "tcp"}[i%2]
			began := time.Now()
			reply, err := harness.Ask(s.Addr, network, name, dns.TypeA)
			if err != nil {
				failed <- fmt.Errorf("over %s: %w", network, err)
				return
			}
			took = append(took, time.Since(began))
			var got []string
			for _, rr := range reply.Answer {
				if a, ok := rr.(*dns.A); ok {
					got = append(got, a.A.String())
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				failed <- fmt.Errorf("over %s: got\n%s\nwant %v", network, reply, want)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() ([]time.Duration, error) {
		stop.Store(true)
		return took, <-failed
	}
}

// floodUDP sends messages from one socket, and now and then asks for an answer, so that the
// server's socket has room for them.
func floodUDP(addr string, random *rand.Rand, names []string, n int) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer conn.Close()
	for i := range n {
		if _, err := conn.Write(hostile(random, names)); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if i%20 < 19 {
			continue
		}
		if err := catchUp(conn, names[0]); err != nil {
			return fmt.Errorf("after %d messages: %w", i+1, err)
		}
	}
	return nil
}

// catchUp asks, and reads what there is to read until the answer.
func catchUp(conn net.Conn, name string) error {
	question := new(dns.Msg).SetQuestion(name, dns.TypeNULL)
	packed, err := question.Pack()
	if err != nil {
		return err
	}
	buffer := make([]byte, 65536)
	for range 10 {
		if _, err := conn.Write(packed); err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		for {
			read, err := conn.Read(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				return fmt.Errorf("read: %w", err)
			}
			reply := new(dns.Msg)
			if reply.Unpack(buffer[:read]) == nil && reply.Id == question.Id && len(reply.Question) == 1 && reply.Question[0] == question.Question[0] {
				return nil
			}
		}
	}
	return errors.New("no answer in ten seconds")
}

// floodTCP sends messages, some of which have another length than they say, over connections that
// it closes when the server does or after some of them.
func floodTCP(addr string, random *rand.Rand, names []string, n int) error {
	for n > 0 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(io.Discard, conn)
		}()
		for range 1 + random.IntN(100) {
			message := hostile(random, names)
			size := uint16(len(message))
			if random.IntN(20) == 0 {
				size = uint16(random.Uint32())
			}
			n--
			if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, size), message...)); err != nil || n == 0 {
				break
			}
		}
		if random.IntN(2) == 0 { // half of the clients wait for answers
			conn.(*net.TCPConn).CloseWrite()
			select {
			case <-read:
			case <-time.After(time.Second):
			}
		}
		conn.Close()
		<-read
	}
	return nil
}

// askOver asks over a connection that it leaves open.
func askOver(conn net.Conn, name string) error {
	over := &dns.Conn{Conn: conn}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := over.WriteMsg(new(dns.Msg).SetQuestion(name, dns.TypeA)); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if _, err := over.ReadMsg(); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
