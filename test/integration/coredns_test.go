package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// coredns is a running cmd/coredns.
type coredns struct {
	addr   string // of DNS, UDP and TCP
	ready  string // URL
	health string // URL
	prom   string // URL
	log    *logBuffer
	cmd    *exec.Cmd
	exited chan error
}

// The binaries under test: with the race detector, but for those that measure time.
var (
	corednsBinary = sync.OnceValues(func() (string, error) { return build("./cmd/coredns", race()...) })
	fastBinary    = sync.OnceValues(func() (string, error) { return build("./cmd/coredns") })
	minilbBinary  = sync.OnceValues(func() (string, error) { return build("./cmd/minilb", race()...) })
	fastMinilb    = sync.OnceValues(func() (string, error) { return build("./cmd/minilb") })

	// rediscoveringBinary asks often which kinds the API server serves, so that a test need
	// not wait for half a minute.
	rediscoveringBinary = sync.OnceValues(func() (string, error) {
		return build("./cmd/coredns", append(race(), "-ldflags=-X=github.com/minilb/minilb/plugin/minilb/source.discoveryInterval=500ms")...)
	})
)

func build(pkg string, flags ...string) (string, error) {
	dir, err := lastingDir()
	if err != nil {
		return "", err
	}
	return cluster.Build(context.Background(), dir, pkg, flags...)
}

// race returns the flag that builds with the race detector, where there is the C compiler
// that this takes.
func race() []string {
	compiler, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return nil
	}
	if _, err := exec.LookPath(strings.TrimSpace(string(compiler))); err != nil {
		fmt.Fprintln(os.Stderr, "no C compiler: the binaries are tested without the race detector")
		return nil
	}
	return []string{"-race"}
}

// lasting are the directories to remove when the package's tests have run.
var lasting struct {
	sync.Mutex
	dirs []string
}

// lastingDir makes a directory that lasts until then.
func lastingDir() (string, error) {
	dir, err := os.MkdirTemp("", "minilb-integration-")
	if err == nil {
		lasting.Lock()
		defer lasting.Unlock()
		lasting.dirs = append(lasting.dirs, dir)
	}
	return dir, err
}

// startCoreDNS runs the real binary with a Corefile in which ADDR stands for the server
// block's port and bind address, and HEALTH, READY and PROM for those plugins' addresses.
// It does not wait for anything but the listener.
func startCoreDNS(t *testing.T, corefile string, env ...string) *coredns {
	t.Helper()
	s := launchCoreDNS(t, corednsBinary, corefile, env...)
	s.waitListening(t)
	return s
}

// startFastCoreDNS is startCoreDNS for tests that measure time.
func startFastCoreDNS(t *testing.T, corefile string) *coredns {
	t.Helper()
	s := launchCoreDNS(t, fastBinary, corefile)
	s.waitListening(t)
	return s
}

// startRediscoveringCoreDNS is startCoreDNS for tests in which kinds come and go.
func startRediscoveringCoreDNS(t *testing.T, corefile string) *coredns {
	t.Helper()
	s := launchCoreDNS(t, rediscoveringBinary, corefile)
	s.waitListening(t)
	return s
}

func (s *coredns) waitListening(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		select {
		case err := <-s.exited:
			s.exited <- err
			t.Fatalf("coredns ended: %v\n%s", err, s.log)
		default:
		}
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.log)
		}
		conn.Close()
		// The UDP port is opened after the TCP port. That it answers is enough: a message
		// without a question is malformed.
		client := dns.Client{Timeout: time.Second}
		_, _, err = client.Exchange(&dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}}, s.addr)
		return err
	})
}

// launchCoreDNS runs the real binary and waits for nothing.
func launchCoreDNS(t *testing.T, built func() (string, error), corefile string, env ...string) *coredns {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 4)
	s := &coredns{
		addr:   ports[0],
		health: "http://" + ports[1] + "/health",
		ready:  "http://" + ports[2] + "/ready",
		prom:   "http://" + ports[3] + "/metrics",
		log:    &logBuffer{},
		exited: make(chan error, 1),
	}
	_, port, _ := net.SplitHostPort(ports[0])
	corefile = strings.NewReplacer("PORT", port, "HEALTH", "health "+ports[1], "READY", "ready "+ports[2], "PROM", "prometheus "+ports[3]).Replace(corefile)
	path := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(binary, "-conf", path)
	s.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "KUBECONFIG=") }), env...)
	s.cmd.Env = append(s.cmd.Env, "GORACE=halt_on_error=1")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop ends the server as a service manager does, and checks that it went cleanly.
func (s *coredns) stop(t *testing.T) {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.cmd.Process.Kill()
		t.Errorf("coredns did not end within 20s of SIGTERM\n%s", s.log)
	}
	s.exited <- nil
	if out := s.log.String(); strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic") {
		t.Errorf("coredns said:\n%s", out)
	}
}

// waitReady waits until /ready says so.
func (s *coredns) waitReady(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		if code, body := get(s.ready); code != http.StatusOK {
			return fmt.Errorf("/ready: %d %s\n%s", code, body, s.log)
		}
		return nil
	})
}

// get returns the status and body of a URL, 0 if it cannot be had.
func get(url string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// ask sends a question over UDP or TCP, without recursion desired and without EDNS.
func (s *coredns) ask(network, name string, qtype uint16) (*dns.Msg, error) {
	return ask(s.addr, network, name, qtype)
}

func ask(addr, network, name string, qtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	client := dns.Client{Net: network, Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(m, addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, dns.TypeToString[qtype], err)
	}
	return reply, nil
}

// answers returns the data of the answer's records of the type, sorted, and the rcode.
func (s *coredns) answers(name string, qtype uint16) ([]string, int, error) {
	reply, err := s.ask("udp", name, qtype)
	if err != nil {
		return nil, 0, err
	}
	var data []string
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == qtype {
			data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	slices.Sort(data)
	return data, reply.Rcode, nil
}

// expect returns an error unless the question is answered by exactly these data.
func (s *coredns) expect(name string, qtype uint16, want ...string) error {
	got, rcode, err := s.answers(name, qtype)
	if err != nil {
		return err
	}
	if rcode != dns.RcodeSuccess || !slices.Equal(got, want) {
		return fmt.Errorf("%s %s: got %s %v, want %v", name, dns.TypeToString[qtype], dns.RcodeToString[rcode], got, want)
	}
	return nil
}

// expectRcode returns an error unless the question is answered with the rcode and no record.
func (s *coredns) expectRcode(name string, qtype uint16, want int) error {
	got, rcode, err := s.answers(name, qtype)
	if err != nil {
		return err
	}
	if rcode != want || len(got) > 0 {
		return fmt.Errorf("%s %s: got %s %v, want %s", name, dns.TypeToString[qtype], dns.RcodeToString[rcode], got, dns.RcodeToString[want])
	}
	return nil
}

// freePorts returns n addresses on loopback that are free for UDP and TCP.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	addrs, err := cluster.FreeAddrs(n)
	must(t, err)
	return addrs
}

// logBuffer collects the output of a process while it is read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// lines returns the lines that contain text.
func (b *logBuffer) lines(text string) []string {
	var lines []string
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
