package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/config"
)

// answering returns the asker of a server that has the zone, and for other names what answer returns.
func answering(answer func(name string) []string) asker {
	return func(_ context.Context, q question) (*dns.Msg, error) {
		reply := new(dns.Msg)
		var records []string
		if q.qtype == dns.TypeSOA {
			records = []string{"SOA ns1.minilb. x.minilb. 1 2 3 4 5"}
		} else if q.qtype == dns.TypeA {
			records = answer(q.name)
		}
		for _, record := range records {
			rr, err := dns.NewRR(q.name + " 5 IN " + record)
			if err != nil {
				return nil, err
			}
			reply.Answer = append(reply.Answer, rr)
		}
		return reply, nil
	}
}

// A server's answers are compared with the cluster as it is and as it was a moment ago, and what
// differs for long is told, with an end to it.
func TestCompare(t *testing.T) {
	moved := strings.Replace(sound, "10.244.1.7", "10.244.1.8", 1)
	many := sound
	for i := range maxDiffering + 3 {
		many += ingress(fmt.Sprintf("a/i%d", i), fmt.Sprintf("h%02d.ex.org", i), old, "ip: 10.9.9.9")
	}
	const right, other = "A 10.244.1.7", "A 10.244.1.8"
	differs := func(got, want string) string {
		return fmt.Sprintf("error Name web.shop.minilb AnswerDiffers: 192.0.2.1:53 is asked for A records and gives %s, which is not among %s; see the log and /ready of the server", got, want)
	}
	for _, tc := range []struct {
		name    string
		cluster []string                   // as it is at each look, the last one for good
		answer  func(time.Duration) string // after so long
		looks   int
		want    []string
	}{
		{"right", []string{sound}, func(time.Duration) string { return right }, 1, nil},
		{"wrong", []string{sound}, func(time.Duration) string { return other }, 1 + maxRetries, []string{differs("10.244.1.8", "10.244.1.7")}},
		{"late", []string{sound}, func(after time.Duration) string {
			if after < 3*settleTime {
				return other
			}
			return right
		}, 4, nil},
		{"moved meanwhile", []string{sound, moved}, func(time.Duration) string { return other }, 2, nil},
		{"moved, and the server did not notice", []string{sound, moved}, func(time.Duration) string { return "A 10.244.1.9" }, 1 + maxRetries, []string{differs("10.244.1.9", "10.244.1.8")}},
		{"gone meanwhile", []string{sound, sound[:strings.Index(sound, "\n---\n")]}, func(time.Duration) string { return other }, 2, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, looks, began := ofCluster(t, ". {\n minilb minilb\n}", sound), 0, time.Now()
			c.Server, c.ask = "192.0.2.1:53", answering(func(string) []string { return []string{tc.answer(time.Since(began))} })
			c.dryRun = inspecting(c.Corefile, func() []runtime.Object {
				looks++
				return parse(t, tc.cluster[min(looks, len(tc.cluster))-1])
			})
			report := mustRun(t, c)
			expect(t, slices.DeleteFunc(report.Problems, func(f Problem) bool { return f.Kind == "Service" }), tc.want)
			if looks != tc.looks || time.Since(began) != time.Duration(looks-1)*settleTime {
				t.Errorf("%s: %d looks in %v, want %d", tc.name, looks, time.Since(began), tc.looks)
			}
		})
	}

	synctest.Test(t, func(t *testing.T) {
		c := ofCluster(t, ". {\n minilb minilb\n}", many)
		c.Server, c.ask = "192.0.2.1:53", answering(func(string) []string { return nil })
		var names []string
		for _, f := range mustRun(t, c).Problems {
			if f.Reason == "AnswerDiffers" {
				names = append(names, f.Name)
			} else if got := lines([]Problem{f})[0]; !strings.HasPrefix(got, "error DNSServer 192.0.2.1:53 AnswersDiffer: 4 more of its answers differ from the cluster; see the log and /ready of the server") {
				t.Errorf("got %s", got)
			}
		}
		if len(names) != maxDiffering || names[0] != "h00.ex.org" || names[maxDiffering-1] != "h49.ex.org" {
			t.Errorf("got %d names: %q", len(names), names)
		}
	})
}

// G44, RFC 6604: an alias of what does not exist is answered as it should be, whatever the server reads; the
// object that publishes it is to be corrected.
func TestCompareAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		manifest := sound + ingress("a/i", "a.ex.org", old, "hostname: x.example")
		c := ofCluster(t, ". {\n minilb minilb\n}", manifest)
		zone := answering(func(string) []string { return []string{"A 10.244.1.7"} })
		c.Server, c.ask = "192.0.2.1:53", func(ctx context.Context, q question) (*dns.Msg, error) {
			reply, err := zone(ctx, q)
			if q.name == "a.ex.org." {
				rr, _ := dns.NewRR("a.ex.org. 5 IN CNAME x.example.")
				reply.Answer, reply.Rcode = []dns.RR{rr}, dns.RcodeNameError
			}
			return reply, err
		}
		expect(t, mustRun(t, c).Problems, []string{"error Name a.ex.org AliasNotFound: it is an alias of x.example, for which the server returns NXDOMAIN; " +
			"correct the hostname that the object publishes, which \"minilb explain a.ex.org\" names, or see that the server resolves it (forward)"})
	})
}

// A server that does not answer is one problem, and the end of the context is an error.
func TestCompareEnds(t *testing.T) {
	silent := func(context.Context, question) (*dns.Msg, error) { return nil, errors.New("timeout") }
	synctest.Test(t, func(t *testing.T) {
		c := ofCluster(t, ". {\n minilb minilb\n}", sound)
		c.Server, c.ask = "192.0.2.1:53", silent
		expect(t, mustRun(t, c).Problems, []string{"error DNSServer 192.0.2.1:53 NotAnswering: it does not answer: timeout; see that the server runs there"})

		broken := errors.New("the API server went away")
		c = ofCluster(t, ". {\n minilb minilb\n}", sound)
		c.Server, c.ask = "192.0.2.1:53", answering(func(string) []string { return []string{"A 10.0.0.1"} })
		run, looks := c.dryRun, 0
		c.dryRun = func(ctx context.Context, options ...config.Options) ([]*inspect.DryRun, error) {
			if looks++; looks > 1 {
				return nil, broken
			}
			return run(ctx, options...)
		}
		if _, err := c.run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("got error %v", err)
		}

		for _, after := range []time.Duration{0, settleTime / 2, 2 * settleTime} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			c = ofCluster(t, ". {\n minilb minilb\n}", sound)
			c.Server, c.ask = "192.0.2.1:53", answering(func(string) []string { return []string{"A 10.0.0.1"} })
			if _, err := c.run(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %v: got error %v", after, err)
			}
			cancel()
		}
	})
}

// D8, G44: names are asked for that the server is asked for, each as its own server block has it.
func TestExpectations(t *testing.T) {
	const alias = "hostname: x.example"
	manifest := sound + ingress("a/i", "a.ex.org", old, "ip: 10.9.9.9") + ingress("a/j", "b.other.org", old, alias) + ingress("a/k", "c.lan", old, "ip: 10.9.9.8")
	for _, tc := range []struct {
		name, corefile string
		want           []string
	}{
		{"all", ". {\n minilb minilb\n}", []string{"a.ex.org. A 10.9.9.9", "b.other.org. A x.example.", "b.other.org. AAAA x.example.", "c.lan. A 10.9.9.8", "web.shop.minilb. A 10.244.1.7"}},
		{"of the zones that are asked for", "minilb ex.org {\n minilb minilb\n}", []string{"a.ex.org. A 10.9.9.9", "web.shop.minilb. A 10.244.1.7"}},
		{"of each server block", ".:53 {\n minilb minilb\n}\nlan:53 {\n minilb lan {\n  class other\n }\n}", []string{
			"a.ex.org. A 10.9.9.9", "b.other.org. A x.example.", "b.other.org. AAAA x.example.", "c.lan. A 10.9.9.8", "web.shop.minilb. A 10.244.1.7"}},
		{"not of others", ".:53 {\n minilb minilb\n}\nex.org {\n whoami\n}", []string{"b.other.org. A x.example.", "b.other.org. AAAA x.example.", "c.lan. A 10.9.9.8", "web.shop.minilb. A 10.244.1.7"}},
	} {
		c := ofCluster(t, tc.corefile, manifest)
		if err := c.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := expectations(c.Corefile, c.runs)
		var got []string
		for q, e := range all {
			if e.target != "" || e.addrs != nil {
				got = append(got, q.name+" "+dns.TypeToString[q.qtype]+" "+e.target+strings.Trim(fmt.Sprint(e.addrs), "[]"))
			}
		}
		if slices.Sort(got); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		for _, q := range slices.Collect(maps.Keys(all)) {
			if _, a := all[question{q.name, dns.TypeA}]; !a {
				t.Errorf("%s: %s is asked for one family only", tc.name, q.name)
			}
		}
	}
}
