package harness

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// CoreDNS is a running cmd/coredns.
type CoreDNS struct {
	Addr   string // of DNS, UDP and TCP
	Ready  string // URL
	Health string // URL
	Prom   string // URL
	Log    *LogBuffer
	Cmd    *exec.Cmd
	Exited chan error
}

// StartCoreDNS runs the real binary with a Corefile in which ADDR stands for the server
// block's port and bind address, and HEALTH, READY and PROM for those plugins' addresses.
// It does not wait for anything but the listener.
func StartCoreDNS(t *testing.T, corefile string, env ...string) *CoreDNS {
	t.Helper()
	s := LaunchCoreDNS(t, CoreDNSBinary, corefile, env...)
	s.WaitListening(t)
	return s
}

// StartFastCoreDNS is StartCoreDNS for tests that measure time.
func StartFastCoreDNS(t *testing.T, corefile string) *CoreDNS {
	t.Helper()
	s := LaunchCoreDNS(t, FastBinary, corefile)
	s.WaitListening(t)
	return s
}

// StartRediscoveringCoreDNS is StartCoreDNS for tests in which kinds come and go.
func StartRediscoveringCoreDNS(t *testing.T, corefile string) *CoreDNS {
	t.Helper()
	s := LaunchCoreDNS(t, rediscoveringBinary, corefile)
	s.WaitListening(t)
	return s
}

// LaunchCoreDNS runs the real binary and waits for nothing.
func LaunchCoreDNS(t *testing.T, built func() (string, error), corefile string, env ...string) *CoreDNS {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ports := FreePorts(t, 4)
	s := &CoreDNS{
		Addr:   ports[0],
		Health: "http://" + ports[1] + "/health",
		Ready:  "http://" + ports[2] + "/ready",
		Prom:   "http://" + ports[3] + "/metrics",
		Log:    &LogBuffer{},
		Exited: make(chan error, 1),
	}
	_, port, _ := net.SplitHostPort(ports[0])
	corefile = strings.NewReplacer("PORT", port, "HEALTH", "health "+ports[1], "READY", "ready "+ports[2], "PROM", "prometheus "+ports[3]).Replace(corefile)
	path := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Cmd = exec.Command(binary, "-conf", path)
	s.Cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "KUBECONFIG=") }), env...)
	s.Cmd.Env = append(s.Cmd.Env, "GORACE=halt_on_error=1")
	s.Cmd.Stdout, s.Cmd.Stderr = s.Log, s.Log
	if err := s.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.Exited <- s.Cmd.Wait() }()
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// WaitListening waits until the server answers over TCP and UDP.
func (s *CoreDNS) WaitListening(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		select {
		case err := <-s.Exited:
			s.Exited <- err
			t.Fatalf("coredns ended: %v\n%s", err, s.Log)
		default:
		}
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.Log)
		}
		conn.Close()
		// The UDP port is opened after the TCP port. That it answers is enough: a message
		// without a question is malformed.
		client := dns.Client{Timeout: time.Second}
		_, _, err = client.Exchange(&dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}}, s.Addr)
		return err
	})
}

// WaitReady waits until /ready says so.
func (s *CoreDNS) WaitReady(t *testing.T) {
	t.Helper()
	cluster.Eventually(t, 30*time.Second, func() error {
		if code, body := Get(s.Ready); code != http.StatusOK {
			return fmt.Errorf("/ready: %d %s\n%s", code, body, s.Log)
		}
		return nil
	})
}

// Stop ends the server as a service manager does, and checks that it went cleanly.
func (s *CoreDNS) Stop(t *testing.T) {
	s.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Exited:
	case <-time.After(20 * time.Second):
		s.Cmd.Process.Kill()
		t.Errorf("coredns did not end within 20s of SIGTERM\n%s", s.Log)
	}
	s.Exited <- nil
	if out := s.Log.String(); strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic") {
		t.Errorf("coredns said:\n%s", out)
	}
}

// Ask sends a question over UDP or TCP, without recursion desired and without EDNS.
func (s *CoreDNS) Ask(network, name string, qtype uint16) (*dns.Msg, error) {
	return Ask(s.Addr, network, name, qtype)
}

// Answers returns the data of the answer's records of the type, sorted, and the rcode.
func (s *CoreDNS) Answers(name string, qtype uint16) ([]string, int, error) {
	reply, err := s.Ask("udp", name, qtype)
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

// Expect returns an error unless the question is answered by exactly these data.
func (s *CoreDNS) Expect(name string, qtype uint16, want ...string) error {
	got, rcode, err := s.Answers(name, qtype)
	if err != nil {
		return err
	}
	if rcode != dns.RcodeSuccess || !slices.Equal(got, want) {
		return fmt.Errorf("%s %s: got %s %v, want %v", name, dns.TypeToString[qtype], dns.RcodeToString[rcode], got, want)
	}
	return nil
}

// ExpectRcode returns an error unless the question is answered with the rcode and no record.
func (s *CoreDNS) ExpectRcode(name string, qtype uint16, want int) error {
	got, rcode, err := s.Answers(name, qtype)
	if err != nil {
		return err
	}
	if rcode != want || len(got) > 0 {
		return fmt.Errorf("%s %s: got %s %v, want %s", name, dns.TypeToString[qtype], dns.RcodeToString[rcode], got, dns.RcodeToString[want])
	}
	return nil
}

// Corefile returns the path of the server's.
func (s *CoreDNS) Corefile() string { return s.Cmd.Args[len(s.Cmd.Args)-1] }

// Rewrite gives the server another Corefile, of which it never reads a half.
func (s *CoreDNS) Rewrite(t *testing.T, corefile string) {
	t.Helper()
	Must(t, os.WriteFile(s.Corefile()+".new", []byte(corefile), 0o600))
	Must(t, os.Rename(s.Corefile()+".new", s.Corefile()))
}

// Edit replaces what is once in the server's Corefile.
func (s *CoreDNS) Edit(t *testing.T, old, replacement string) {
	t.Helper()
	corefile, err := os.ReadFile(s.Corefile())
	Must(t, err)
	if n := strings.Count(string(corefile), old); n != 1 {
		t.Fatalf("%q is in the Corefile %d times:\n%s", old, n, corefile)
	}
	s.Rewrite(t, strings.Replace(string(corefile), old, replacement, 1))
}
