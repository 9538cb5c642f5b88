package gateway_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// TestGatewayExternal has routes whose Gateways have the names of other people's load balancers,
// and upstreams that fail in every way (D30, D31).
func TestGatewayExternal(t *testing.T) {
	t.Parallel()
	c := harness.GatewayCluster(t, cluster.NewestGatewayAPI)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	namespace := harness.NewNamespace(t, c)
	objects := ""
	for _, name := range []string{"lb", "gone", "broken", "refused", "silent", "loop"} {
		objects += harness.Manifest(
			harness.Gateway{Name: name, Addresses: "{type: Hostname, value: " + name + ".aws.com}"},
			harness.Route{Name: name, Hosts: name + ".NS.example, '*." + name + ".NS.example'", Parents: "{name: " + name + "}"})
	}
	harness.Must(t, c.Apply(t.Context(), strings.ReplaceAll(objects+harness.Manifest(harness.Gateway{}, harness.Route{}), "NS", namespace)))
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
	alone := harness.FreePorts(t, 1)[0]
	_, port, _ := net.SplitHostPort(alone)
	s := harness.StartCoreDNS(t, `.:PORT {
		bind 127.0.0.1
		READY
		rewrite name exact loop.aws.com loop.`+namespace+`.example
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
		cache {
			keepttl
		}
		forward . `+up+`
	}
	.:`+port+` {
		bind 127.0.0.1
		READY
		minilb minilb {
			kubeconfig `+kubeconfig+`
		}
	}`)
	s.WaitReady(t)

	const soa = "aws.com. 60 IN SOA ns.aws.com. hostmaster.aws.com. SERIAL 2 3 4 60"
	host := func(name string) string { return name + "." + namespace + ".example." }
	alias := func(name, target string) string { return host(name) + " 5 IN CNAME " + target + ".aws.com." }
	for _, test := range []struct {
		name  string
		qtype uint16
		want  harness.Message
	}{
		{host("lb"), dns.TypeA, harness.Message{Answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", alias("lb", "lb")}}},
		{host("x.lb"), dns.TypeA, harness.Message{Answer: []string{"lb.aws.com. 60 IN A 198.51.100.1", alias("x.lb", "lb")}}}, // D22
		{host("lb"), dns.TypeAAAA, harness.Message{Answer: []string{alias("lb", "lb")}, Authority: []string{soa}}},
		{host("gone"), dns.TypeA, harness.Message{Rcode: dns.RcodeNameError, Answer: []string{alias("gone", "gone")}, Authority: []string{soa}}}, // RFC 6604
		{host("broken"), dns.TypeA, harness.Message{Rcode: dns.RcodeServerFailure, Answer: []string{alias("broken", "broken")}}},
		// Nobody here may say; the client's resolver can follow the alias itself.
		{host("refused"), dns.TypeA, harness.Message{Answer: []string{alias("refused", "refused")}}},
	} {
		test.want.Flags = "aa"
		slices.Sort(test.want.Answer)
		if got, err := askPatiently(s.Addr, test.name, test.qtype); err != nil || harness.MessageOf(got).String() != test.want.String() {
			t.Errorf("%s %s: %v\ngot  %s\nwant %s", test.name, dns.TypeToString[test.qtype], err, harness.MessageOf(got), test.want)
		}
	}

	t.Run("loop", func(t *testing.T) { // D31: the alias leads back here, by way of rewrite
		began := time.Now()
		reply, err := askPatiently(s.Addr, host("loop"), dns.TypeA)
		harness.Must(t, err)
		// A loop that does not end by itself ends by forward's deadline of 5s.
		if took := time.Since(began); took > 3*time.Second || len(reply.Answer) == 0 || len(reply.Answer) > 9 {
			t.Errorf("after %v: %d records, want those of the 8 turns at most:\n%s", took, len(reply.Answer), reply)
		}
	})

	t.Run("others are answered while upstream is silent", func(t *testing.T) {
		type result struct {
			reply *dns.Msg
			err   error
		}
		done := make(chan result, 1)
		go func() {
			reply, err := askPatiently(s.Addr, host("silent"), dns.TypeA)
			done <- result{reply, err}
		}()
		select {
		case <-asked:
		case silent := <-done:
			t.Fatalf("upstream was not asked: %v", silent.err)
		}
		for range 20 {
			harness.Must(t, s.Expect(host("a"), dns.TypeA, "10.1.0.1"))
		}
		select {
		case silent := <-done:
			t.Fatalf("the silent question ended before them: %v", silent.err)
		default:
		}
		silent := <-done
		want := harness.Message{Rcode: dns.RcodeServerFailure, Flags: "aa", Answer: []string{alias("silent", "silent")}}
		if silent.err != nil || harness.MessageOf(silent.reply).String() != want.String() {
			t.Errorf("the silent question: %v\ngot  %s\nwant %s", silent.err, harness.MessageOf(silent.reply), want)
		}
	})

	t.Run("nothing to ask", func(t *testing.T) { // D30: the alias alone
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			reply, err := harness.Ask(alone, "udp", host("lb"), qtype)
			harness.Must(t, err)
			if want := (harness.Message{Flags: "aa", Answer: []string{alias("lb", "lb")}}); harness.MessageOf(reply).String() != want.String() {
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
