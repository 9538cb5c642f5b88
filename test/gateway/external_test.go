package gateway_test

import (
	"github.com/minilb/minilb/test/harness"

	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// TestGatewayExternal is TestExternal with routes whose Gateways have the names of other
// people's load balancers, and upstreams that fail in every way (D30, D31).
func TestGatewayExternal(t *testing.T) {
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	objects := harness.Object("v1", "Namespace", "NS", "")
	for _, name := range []string{"lb", "gone", "broken", "refused", "silent", "loop"} {
		objects += harness.Manifest(
			harness.Gateway{Name: name, Addresses: "{type: Hostname, value: " + name + ".aws.com}"},
			harness.Route{Name: name, Hosts: name + ".NS.example, '*." + name + ".NS.example'", Parents: "{name: " + name + "}"})
	}
	harness.Must(t, c.Apply(t.Context(), strings.ReplaceAll(objects+harness.Manifest(harness.Gateway{}, harness.Route{}), "NS", "external")))
	asked := make(chan struct{}, 1)
	up := harness.StartDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		soa, _ := dns.NewRR("aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. 1 2 3 4 60")
		switch q := r.Question[0]; {
		case q.Name == "gone.aws.com.":
			m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{soa}
		case q.Name == "broken.aws.com.":
			m.Rcode = dns.RcodeServerFailure
		case q.Name == "refused.aws.com.":
			m.Rcode = dns.RcodeRefused
		case q.Name == "silent.aws.com.":
			select {
			case asked <- struct{}{}:
			default:
			}
			return
		case q.Name == "lb.aws.com." && q.Qtype == dns.TypeA:
			a, _ := dns.NewRR("lb.aws.com. 60 IN A 198.51.100.1")
			m.Answer = []dns.RR{a}
		default:
			m.Ns = []dns.RR{soa}
		}
		w.WriteMsg(m)
	}))
	s := harness.StartCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		READY
		rewrite name exact loop.aws.com loop.external.example
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
		cache {
			keepttl
		}
		forward . `+up+`
	}`)
	s.WaitReady(t)

	const soa = "aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. SERIAL 2 3 4 60"
	alias := func(name, target string) string { return name + " 5 IN CNAME " + target + ".aws.com." }
	for _, test := range []struct {
		name  string
		qtype uint16
		want  harness.Message
	}{
		{"lb.external.example.", dns.TypeA, harness.Message{Answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", alias("lb.external.example.", "lb")}}},
		{"x.lb.external.example.", dns.TypeA, harness.Message{Answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", alias("x.lb.external.example.", "lb")}}}, // D22
		{"lb.external.example.", dns.TypeAAAA, harness.Message{Answer: []string{alias("lb.external.example.", "lb")}, Authority: []string{soa}}},
		{"gone.external.example.", dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Answer: []string{alias("gone.external.example.", "gone")}, Authority: []string{soa}}}, // RFC 6604
		{"broken.external.example.", dns.TypeA, harness.Message{Rcode: dns.RcodeServerFailure, Answer: []string{alias("broken.external.example.", "broken")}}},
		// Nobody here may say; the client's resolver can follow the alias itself.
		{"refused.external.example.", dns.TypeA, harness.Message{Answer: []string{alias("refused.external.example.", "refused")}}},
		{"silent.external.example.", dns.TypeA, harness.Message{Rcode: dns.RcodeServerFailure, Answer: []string{alias("silent.external.example.", "silent")}}},
	} {
		test.want.Flags = "aa"
		slices.Sort(test.want.Answer)
		if got, err := askPatiently(s.Addr, test.name, test.qtype); err != nil || harness.MessageOf(got).String() != test.want.String() {
			t.Errorf("%s %s: %v\ngot  %s\nwant %s", test.name, dns.TypeToString[test.qtype], err, harness.MessageOf(got), test.want)
		}
	}

	t.Run("loop", func(t *testing.T) { // D31: the alias leads back here, by way of rewrite
		began := time.Now()
		reply, err := askPatiently(s.Addr, "loop.external.example.", dns.TypeA)
		harness.Must(t, err)
		if took := time.Since(began); took > time.Second || len(reply.Answer) == 0 || len(reply.Answer) > 9 {
			t.Errorf("after %v: %d records, want those of the 8 turns at most:\n%s", took, len(reply.Answer), reply)
		}
	})

	t.Run("others are answered while upstream is silent", func(t *testing.T) {
		for len(asked) > 0 {
			<-asked
		}
		done := make(chan error, 1)
		go func() {
			_, err := askPatiently(s.Addr, "y.silent.external.example.", dns.TypeAAAA)
			done <- err
		}()
		select {
		case <-asked:
		case err := <-done:
			t.Fatalf("upstream was not asked: %v", err)
		}
		for range 100 {
			began := time.Now()
			harness.Must(t, s.Expect("a.external.example.", dns.TypeA, "10.1.0.1"))
			if took := time.Since(began); took > time.Second {
				t.Errorf("answered after %v", took)
			}
		}
		select {
		case err := <-done:
			t.Fatalf("the silent question ended before them: %v", err)
		default:
		}
		harness.Must(t, <-done)
	})

	t.Run("nothing to ask", func(t *testing.T) { // D30: the alias alone
		alone := harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nREADY\nminilb minilb {\nkubeconfig "+kubeconfig+"\n}\n}\n")
		alone.WaitReady(t)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			reply, err := alone.Ask("udp", "lb.external.example.", qtype)
			harness.Must(t, err)
			if want := (harness.Message{Flags: "aa", Answer: []string{alias("lb.external.example.", "lb")}}); harness.MessageOf(reply).String() != want.String() {
				t.Errorf("%s: got %s, want %s", dns.TypeToString[qtype], harness.MessageOf(reply), want)
			}
		}
	})
}

// askPatiently asks with the patience of a resolver that waits for another one's.
func askPatiently(addr, name string, qtype uint16) (*dns.Msg, error) {
	client := dns.Client{Timeout: 20 * time.Second}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, qtype), addr)
	if err != nil {
		return new(dns.Msg), err
	}
	return reply, nil
}
