package load_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestTransferTSIG lets BIND fetch a zone of several messages with a key (RFC 8945), without
// which nobody gets it. A change has secondaryLimit to get there.
func TestTransferTSIG(t *testing.T) {
	const key, endpoints = "c2VjcmV0IG9mIG5vYm9keSBhdCBhbGwsIDMyIGJ5dGVz", 900
	c := harness.Shared(t)
	ctx, ns := t.Context(), harness.NewNamespace(t, c)
	_, err := c.Client.CoreV1().Services(ns).Create(ctx, harness.LoadService("web"), metav1.CreateOptions{})
	harness.Must(t, err)
	slice := harness.LoadSlice("web", 1)
	for i := 1; i < endpoints; i++ {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.245.%d.%d", i/200, i%200)}})
	}
	_, err = c.Client.DiscoveryV1().EndpointSlices(ns).Create(ctx, slice, metav1.CreateOptions{})
	harness.Must(t, err)

	ports := harness.FreePorts(t, 2)
	addr, own := ports[0], startNotified(t, ports[1])
	s := harness.StartCoreDNS(t, fmt.Sprintf(`minilb:PORT {
		bind 127.0.0.1
		READY
		errors
		tsig {
			secret secondaries. %s
			require AXFR IXFR
		}
		transfer {
			to %s
		}
		minilb {
			kubeconfig %s
			namespaces %s
		}
	}`, key, own.addr+" "+addr, c.Kubeconfig, ns))
	own.follow(s.Addr)
	s.WaitReady(t)

	dir := t.TempDir()
	conf := filepath.Join(dir, "named.conf")
	harness.Must(t, os.WriteFile(conf, []byte(strings.NewReplacer("DIR", dir, "PORT", harness.PortOf(addr), "PRIMARY", harness.PortOf(s.Addr), "KEY", key).Replace(`
		options {
			directory "DIR"; pid-file none; session-keyfile "DIR/session.key";
			listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; };
			recursion no; dnssec-validation no;
		};
		controls {};
		key "secondaries" { algorithm hmac-sha256; secret "KEY"; };
		zone "minilb" { type secondary; primaries { 127.0.0.1 port PRIMARY key secondaries; }; max-records-per-type 0; };
	`)), 0o600))
	harness.StartDaemon(t, func() error {
		_, err := harness.Ask(addr, "udp", "minilb", dns.TypeSOA)
		return err
	}, harness.Program(t, "named", "bind9"), "-f", "-g", "-n", "1", "-c", conf)
	bind := secondary{"BIND with a key", addr}
	last := fmt.Sprintf("10-245-%d-%d.web.%s.minilb", (endpoints-1)/200, (endpoints-1)%200, ns)
	cluster.Eventually(t, 5*time.Second, func() error {
		return bind.expect(last, dns.TypeA, fmt.Sprintf("10.245.%d.%d", (endpoints-1)/200, (endpoints-1)%200))
	})
	whole, err := harness.Transfer(addr, new(dns.Msg).SetAxfr("minilb."))
	harness.Must(t, err)
	if want := 2*endpoints + 4; len(whole) != want {
		t.Errorf("BIND has %d records, want %d", len(whole), want)
	}

	_, err = c.Client.DiscoveryV1().EndpointSlices(ns).Update(ctx, harness.LoadSlice("web", 7), metav1.UpdateOptions{})
	harness.Must(t, err)
	expectAll(t, own, []secondary{bind}, time.Now(), "a change", "web."+ns+".minilb", dns.TypeA, "10.244.0.7")

	for what, sign := range map[string]func(*dns.Msg){
		"no key":         func(*dns.Msg) {},
		"an unknown key": func(q *dns.Msg) { q.SetTsig("others.", dns.HmacSHA256, 300, time.Now().Unix()) },
		"a wrong key":    func(q *dns.Msg) { q.SetTsig("secondaries.", dns.HmacSHA256, 300, time.Now().Unix()) },
	} {
		q := new(dns.Msg).SetAxfr("minilb.")
		sign(q)
		wrong := map[string]string{"secondaries.": "d3Jvbmc=", "others.": key}
		reply, _, err := (&dns.Client{Net: "tcp", Timeout: 5 * time.Second, TsigSecret: wrong}).Exchange(q, s.Addr)
		if reply == nil {
			t.Errorf("AXFR with %s: %v", what, err)
		} else if reply.Rcode == dns.RcodeSuccess || len(reply.Answer) > 0 {
			t.Errorf("AXFR with %s: want an error and no record, got %s and %d", what, dns.RcodeToString[reply.Rcode], len(reply.Answer))
		}
	}
}
