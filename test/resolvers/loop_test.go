package resolvers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// D4b: the resolver that sends a domain here is also the one that unclaimed names go to.
func TestForwardLoop(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T, router, server string, domains []string){
		"dnsmasq": func(t *testing.T, router, server string, domains []string) {
			startDnsmasqAt(t, router, harness.AnswersFor(router, domains[0]), harness.ResolverRecipe(t, "dnsmasq", server, domains)[0])
		},
		"Unbound": func(t *testing.T, router, server string, domains []string) {
			startUnboundAt(t, router, domains[0], "", harness.ResolverRecipe(t, "Unbound", server, domains)[0])
		},
		"BIND": func(t *testing.T, router, server string, domains []string) {
			blocks := harness.ResolverRecipe(t, "BIND", server, domains)
			harness.StartBIND(t, router, domains[0], blocks[0], blocks[1])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := harness.Shared(t)
			namespace := harness.NewNamespace(t, c)
			harness.Must(t, harness.Apply(c, harness.ExposedServiceIn(namespace, "web", "10.244.9.1", "annotations: {minilb/host: web."+namespace+".example}")))
			router := harness.FreePorts(t, 1)[0]
			domain := namespace + ".example."
			s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, router, "namespaces "+namespace))
			s.WaitReady(t)
			start(t, router, s.Addr, []string{"minilb.", domain})
			asked := func() float64 {
				_, metrics := harness.Get(s.Prom)
				return harness.Sum(metrics, "coredns_minilb_requests_total", `result="passed"`) + harness.Sum(metrics, "coredns_minilb_requests_total", `result="servfail"`)
			}
			question := func(server, name string) (*dns.Msg, time.Duration, float64) {
				t.Helper()
				before, began := asked(), time.Now()
				client := dns.Client{Timeout: 20 * time.Second}
				reply, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(name, dns.TypeA).SetEdns0(1232, false), server)
				harness.Must(t, err)
				took, questions := time.Since(began), asked()-before
				t.Logf("%s of %s: %s in %v after %v questions", name, server, dns.RcodeToString[reply.Rcode], took.Round(time.Millisecond), questions)
				return reply, took, questions
			}
			// The first name shows it, by eight proofs for itself and for the domain, each of which Unbound asks for five
			// times. Without a notice it takes hundreds of questions.
			if _, _, questions := question(router, "first."+domain); questions > 120 {
				t.Errorf("got %v questions for the first name", questions)
			}
			cluster.Eventually(t, 10*time.Second, func() error {
				if len(s.Log.Lines("Forward loop: queries in "+domain)) == 0 {
					return errors.New("the loop is not in the log")
				}
				return nil
			})
			// What went round before comes back once more when forward has waited for it, two seconds.
			cluster.Eventually(t, 30*time.Second, func() error {
				before := asked()
				time.Sleep(2500 * time.Millisecond)
				if now := asked(); now != before {
					return fmt.Errorf("%v questions more still come round", now-before)
				}
				return nil
			})
			for _, name := range []string{"second.", "third.", "deep.below.fourth."} {
				// Those that follow are answered where they arrive, each time that the resolver tries.
				if reply, _, questions := question(router, name+domain); questions > 8 || reply.Rcode != dns.RcodeServerFailure {
					t.Errorf("%s: got %s after %v questions", name, dns.RcodeToString[reply.Rcode], questions)
				}
			}
			reply, _, _ := question(s.Addr, "direct."+domain)
			if opt := reply.IsEdns0(); reply.Rcode != dns.RcodeServerFailure || opt == nil || !strings.Contains(opt.String(), "forward loop") {
				t.Errorf("asked directly: got\n%s", reply)
			}
			if reply, _, _ := question(router, "web."+domain); len(reply.Answer) != 1 {
				t.Errorf("the claimed host: got\n%s", reply)
			}
			out, _ := harness.Minilb(t, "check", "-kubeconfig", c.Kubeconfig, "-corefile", s.Corefile(), "-server", s.Addr).CombinedOutput()
			if want := "Name " + strings.TrimSuffix(domain, ".") + "  ForwardLoop\n"; !strings.Contains(string(out), "error    "+want) {
				t.Errorf("minilb check: got\n%s\nwithout %s", out, want)
			}
			if lines := s.Log.Lines("Forward loop"); len(lines) != 1 {
				t.Errorf("got %d lines, want one:\n%s", len(lines), s.Log)
			}
		})
	}
}
