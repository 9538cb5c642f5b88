package faults_test

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// snapshotServer is a cluster, and how a server is started that keeps a snapshot of it.
type snapshotServer struct {
	cluster  *cluster.Cluster
	corefile string // imported, so that it can be changed
	path     string // of the snapshot
	up       string
}

// testSnapshot kills a server that keeps a snapshot, takes its API server away, and starts it
// again (D78): it answers from the snapshot at once, until the API server tells what has become of
// all. How soon after its start is measured in test/load.
func testSnapshot(t *testing.T, c *cluster.Cluster, kubeconfig string) {
	harness.InstallGatewayAPI(t, c, cluster.NewestGatewayAPI)
	ctx := t.Context()
	harness.Must(t, c.Apply(ctx, strings.ReplaceAll(harness.Manifest(harness.Gateway{Addresses: "{value: 10.9.0.9}"}, harness.Route{Hosts: "x.g.ex.org"}), "NS", "shop")))
	directory := t.TempDir()
	k := &snapshotServer{cluster: c, corefile: filepath.Join(directory, "Corefile"), path: filepath.Join(directory, "snapshot"), up: harness.StartUpstream(t)}
	k.configure(t, kubeconfig, 5)

	s := k.launch(t)
	cluster.Eventually(t, 30*time.Second, func() error { return expectKept(s) })
	// What has been answered is in the file once something is that came later.
	harness.Must(t, c.Apply(ctx, "{apiVersion: v1, kind: Service, metadata: {name: written-last, namespace: shop}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}"))
	cluster.Eventually(t, 30*time.Second, func() error {
		content, err := os.ReadFile(k.path)
		if err == nil && !bytes.Contains(content, []byte("written-last")) {
			err = fmt.Errorf("the latest Service is not in the snapshot:\n%s", s.Log)
		}
		return err
	})
	info, err := os.Stat(k.path)
	harness.Must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("the snapshot's mode is %v", info.Mode())
	}
	if age, err := gauge(s, "coredns_minilb_snapshot_age_seconds"); err != nil || age > 60 {
		t.Errorf("the snapshot is %v seconds old, %v", age, err)
	}
	if stale, err := staleAnswer(s, "web.shop.minilb"); err != nil || stale {
		t.Errorf("marked as stale: %v, %v", stale, err)
	}
	kill(t, s)
	harness.Must(t, c.StopAPIServer())
	time.Sleep(time.Until(info.ModTime().Add(3 * time.Second))) // so that its age is none that anything has

	t.Run("black hole", func(t *testing.T) { k.testRestart(t) })
	t.Run("reload", func(t *testing.T) { k.testReload(t, kubeconfig) })
	t.Run("replaced", func(t *testing.T) { k.testReplaced(t) })
}

// configure writes the Corefile.
func (k *snapshotServer) configure(t *testing.T, kubeconfig string, ttl int) {
	t.Helper()
	harness.Must(t, os.WriteFile(k.corefile, fmt.Appendf(nil, "minilb minilb 10.244.0.0/16 {\nkubeconfig %s\nsnapshot %s\nttl %d\n}\nforward . %s\n", kubeconfig, k.path, ttl, k.up), 0o600))
}

// launch starts the server and does not wait.
func (k *snapshotServer) launch(t *testing.T) *harness.CoreDNS {
	t.Helper()
	return harness.LaunchCoreDNS(t, harness.FastBinary, ".:PORT {\nbind 127.0.0.1\nHEALTH\nREADY\nPROM\nerrors\nimport "+k.corefile+"\n}\n")
}

// kill ends a server as a power cut does.
func kill(t *testing.T, s *harness.CoreDNS) {
	t.Helper()
	harness.Must(t, s.Cmd.Process.Kill())
	<-s.Exited
	s.Exited <- nil
}

// expectKept returns an error unless all kinds of names are answered that there are.
func expectKept(s *harness.CoreDNS) error {
	for _, q := range []struct {
		name  string
		qtype uint16
		want  []string
	}{
		{"web.shop.minilb", dns.TypeA, []string{"10.244.1.7"}},
		{"empty.shop.minilb", dns.TypeA, nil},
		{"_https._tcp.web.shop.minilb", dns.TypeSRV, []string{"0 100 8443 10-244-1-7.web.shop.minilb."}},
		{"7.1.244.10.in-addr.arpa", dns.TypePTR, []string{"10-244-1-7.web.shop.minilb."}},
		{"a.ex.org", dns.TypeA, []string{"10.244.1.7"}},
		{"q.w.ex.org", dns.TypeA, []string{"10.244.1.7"}},
		{"x.g.ex.org", dns.TypeA, []string{"10.9.0.9"}},
	} {
		if err := s.Expect(q.name, q.qtype, q.want...); err != nil {
			return err
		}
	}
	for _, name := range []string{"db.shop.minilb", "nope.minilb", "8.1.244.10.in-addr.arpa"} {
		if err := s.ExpectRcode(name, dns.TypeA, dns.RcodeNameError); err != nil {
			return err
		}
	}
	return nil
}

// stale reports whether the answer is marked as stale (EDE 3).
func staleAnswer(s *harness.CoreDNS, name string) (bool, error) {
	client := dns.Client{Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).SetEdns0(1232, false), s.Addr)
	if err != nil {
		return false, err
	}
	for _, option := range reply.IsEdns0().Option {
		if ede, ok := option.(*dns.EDNS0_EDE); ok && ede.InfoCode == dns.ExtendedErrorCodeStaleAnswer {
			return true, nil
		}
	}
	return false, nil
}

// gauge returns the value of a metric without labels.
func gauge(s *harness.CoreDNS, name string) (float64, error) {
	_, metrics := harness.Get(s.Prom)
	for line := range strings.Lines(metrics) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// testRestart starts the server while the API server takes connections and is silent, and kills it.
func (k *snapshotServer) testRestart(t *testing.T) {
	hole, err := net.Listen("tcp", strings.TrimPrefix(k.cluster.URL, "https://"))
	harness.Must(t, err)
	defer hole.Close()
	before, err := os.ReadFile(k.path)
	harness.Must(t, err)
	info, err := os.Stat(k.path)
	harness.Must(t, err)
	s := k.launch(t)
	// It does not wait for the API server, which would take startup_timeout (5 s), and more on a busy machine.
	cluster.Eventually(t, 20*time.Second, func() error { return expectKept(s) })
	if lines := s.Log.Lines("Starting without the cluster's state"); len(lines) > 0 {
		t.Errorf("it has waited for the API server: %q", lines)
	}
	for _, name := range []string{"web.shop.minilb", "a.ex.org", "x.g.ex.org", "nope.minilb"} {
		if stale, err := staleAnswer(s, name); err != nil || !stale {
			t.Errorf("%s: marked as stale: %v, %v", name, stale, err)
		}
	}
	cluster.Eventually(t, 5*time.Second, func() error {
		if code, body := harness.Get(s.Ready); code != http.StatusOK {
			return fmt.Errorf("/ready: %d %s", code, body)
		}
		return nil
	})
	age, err := gauge(s, "coredns_minilb_snapshot_age_seconds")
	if want := time.Since(info.ModTime()).Seconds(); err != nil || math.Abs(age-want) > 2 {
		t.Errorf("the snapshot is %v seconds old, want %v, %v", age, want, err)
	}
	for _, source := range []string{"service", "endpointslice", "ingress", "gateway", "httproute"} {
		if synced, err := gauge(s, `coredns_minilb_synced{source="`+source+`"}`); err != nil || synced != 0 {
			t.Errorf("%s: synced is %v, %v", source, synced, err)
		}
	}
	if lines := s.Log.Lines("Serving the state of "); len(lines) != 1 || !strings.Contains(lines[0], " from "+k.path+", ") {
		t.Errorf("got %q, want one line\n%s", lines, s.Log)
	}
	kill(t, s)
	if after, err := os.ReadFile(k.path); err != nil || string(after) != string(before) {
		t.Errorf("the snapshot was written without the API server: %v", err)
	}
}

// testReload changes the configuration while the API server is away.
func (k *snapshotServer) testReload(t *testing.T, kubeconfig string) {
	s := k.launch(t)
	s.WaitListening(t)
	harness.Must(t, expectKept(s))
	k.configure(t, kubeconfig, 7)
	defer k.configure(t, kubeconfig, 5)
	began := time.Now()
	harness.Must(t, s.Cmd.Process.Signal(syscall.SIGUSR1))
	cluster.Eventually(t, 10*time.Second, func() error {
		reply, err := s.Ask("udp", "web.shop.minilb", dns.TypeA)
		if err != nil || len(reply.Answer) != 1 {
			return fmt.Errorf("got %v, %v", reply, err)
		}
		if ttl := reply.Answer[0].Header().Ttl; ttl != 7 {
			return fmt.Errorf("the TTL is %d", ttl)
		}
		return nil
	})
	t.Logf("reloaded after %v", time.Since(began))
	if err := expectKept(s); err != nil {
		t.Error(err)
	}
	if stale, err := staleAnswer(s, "web.shop.minilb"); err != nil || !stale {
		t.Errorf("marked as stale: %v, %v", stale, err)
	}
	if lines := s.Log.Lines("Restart failed"); len(lines) > 0 {
		t.Errorf("got %q", lines)
	}
	kill(t, s)
}

// testReplaced lets the API server come back to a server that serves what has been deleted and
// changed meanwhile.
func (k *snapshotServer) testReplaced(t *testing.T) {
	ctx := t.Context()
	harness.Must(t, k.cluster.StartAPIServer(ctx))
	harness.Must(t, k.cluster.Delete(ctx, "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}"))
	harness.Must(t, k.cluster.Delete(ctx, "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw, namespace: shop}}"))
	// With a slice made by hand: its controller waits half a minute before it looks for the API server again.
	harness.Must(t, k.cluster.Apply(ctx, exposed("shop", "new", "10.244.1.7")))
	harness.Must(t, k.cluster.StopAPIServer())

	s := k.launch(t)
	s.WaitListening(t)
	harness.Must(t, expectKept(s))
	harness.Must(t, k.cluster.StartAPIServer(ctx))
	began := time.Now()
	cluster.Eventually(t, 20*time.Second, func() error {
		for _, name := range []string{"web.shop.minilb", "_https._tcp.web.shop.minilb"} {
			if err := s.ExpectRcode(name, dns.TypeA, dns.RcodeNameError); err != nil {
				return err
			}
		}
		if err := harness.Forwarded(s, "a.ex.org", "x.g.ex.org"); err != nil { // they are not ours any longer
			return err
		}
		if err := s.Expect("new.shop.minilb", dns.TypeA, "10.244.1.7"); err != nil {
			return err
		}
		return s.Expect("7.1.244.10.in-addr.arpa", dns.TypePTR, "10-244-1-7.new.shop.minilb.")
	})
	t.Logf("the API server's return is answered after %v", time.Since(began))
	cluster.Eventually(t, 40*time.Second, func() error {
		if stale, err := staleAnswer(s, "new.shop.minilb"); err != nil || stale {
			return fmt.Errorf("marked as stale: %v, %v", stale, err)
		}
		for _, source := range []string{"service", "endpointslice", "ingress", "gateway", "httproute"} {
			if synced, err := gauge(s, `coredns_minilb_synced{source="`+source+`"}`); err != nil || synced != 1 {
				return fmt.Errorf("%s: synced is %v, %v", source, synced, err)
			}
		}
		if age, err := gauge(s, "coredns_minilb_snapshot_age_seconds"); err != nil || age > 10 {
			return fmt.Errorf("the snapshot is %v seconds old, %v", age, err)
		}
		return nil
	})
	if lines := s.Log.Lines("All that was served from the snapshot is now as the API server has it"); len(lines) != 1 {
		t.Errorf("the end of it is not said once:\n%s", s.Log)
	}
	t.Logf("coredns said:\n%s", s.Log)
}
