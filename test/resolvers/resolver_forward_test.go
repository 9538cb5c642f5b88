package resolvers_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// changingService is one that the pods of its name are behind.
const changingService = `
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NS}
spec: {type: LoadBalancer, loadBalancerClass: minilb, selector: {app: NAME}, ports: [{port: 80}]}
---
`

// TestResolversForward asks minilb, and resolvers that leave the zone and the domain of claimed hosts
// to it.
func TestResolversForward(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	namespace := applyResolverState(t, c, "minilb.")
	of := func(text string) string { return strings.ReplaceAll(text, "NS", namespace) }
	harness.Must(t, c.Node(t.Context(), "resolver-node"))

	s := harness.StartCoreDNS(t, harness.ResolverFor(harness.ShippedAccounts(t, c).DNS, startPublic(t, namespace), "ttl 1", "namespaces "+namespace))
	s.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error {
		return s.Expect(of("_http._tcp.web.NS.minilb"), dns.TypeSRV, of("0 100 8080 10-244-9-1.web.NS.minilb."), of("0 100 8080 10-244-9-2.web.NS.minilb."))
	})

	names := slices.Concat(zoneNames(namespace, "minilb.", 1), hostNames(namespace))
	t.Run("minilb itself", func(t *testing.T) {
		t.Parallel()
		testCase(t, s.Addr, names)
	})
	for _, r := range resolvers {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			addr := r.start(t, s.Addr, []string{"minilb.", of("NS.example.")})
			askAll(t, r.name, addr, names)
			testAlias(t, r.name, addr, namespace)
			testChanges(t, c, s, r.name, addr, namespace)
		})
	}
}

// testAlias checks that a resolver follows a host whose address is a name elsewhere (D30, D31).
func testAlias(t *testing.T, resolver, addr, namespace string) {
	host, target := "elsewhere."+namespace+".example.", "mail."+namespace+".example."
	client := &asker{addr: addr, network: "udp"}
	defer client.close()
	for qtype, want := range map[uint16][]string{
		dns.TypeA:    {host + target, target + "192.0.2.25"},
		dns.TypeAAAA: {host + target},
	} {
		reply, err := client.ask(dns.Question{Name: host, Qtype: qtype, Qclass: dns.ClassINET}, 1232)
		if err != nil || reply.Rcode != dns.RcodeSuccess || !slices.Equal(rdata(reply.Answer), want) {
			t.Errorf("%s: %s %s: got %v, %v, want %q", resolver, host, dns.TypeToString[qtype], reply, err, want)
		}
	}
}

// testChanges checks that a resolver follows a Service that is made, and one that gets pods and
// loses them, within the TTL.
func testChanges(t *testing.T, c *cluster.Cluster, s *harness.CoreDNS, resolver, addr, namespace string) {
	ctx := t.Context()
	id := strings.ToLower(strings.NewReplacer(" ", "-").Replace(resolver))
	made, filled := "made-"+id, "filled-"+id
	client := &asker{addr: addr, network: "udp"}
	defer client.close()
	within := func(what, service string, rcode int, data ...string) {
		t.Helper()
		name := service + "." + namespace + ".minilb."
		// What takes longer than the TTL is Kubernetes' own controller, now and then.
		cluster.Eventually(t, 20*time.Second, func() error {
			if rcode != dns.RcodeSuccess {
				return s.ExpectRcode(name, dns.TypeA, rcode)
			}
			return s.Expect(name, dns.TypeA, data...)
		})
		cluster.Eventually(t, 4*time.Second, func() error {
			for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeTXT, dns.TypeA} {
				reply, err := client.ask(dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET}, 1232)
				if err != nil {
					return err
				}
				var got []string
				for _, rr := range reply.Answer {
					got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
				}
				want := data
				if qtype != dns.TypeA {
					want = nil
				}
				if reply.Rcode != rcode || !slices.Equal(got, want) {
					return fmt.Errorf("%s, %s: %s %s: got %s %q, want %s %q", resolver, what, name, dns.TypeToString[qtype], dns.RcodeToString[reply.Rcode], got, dns.RcodeToString[rcode], want)
				}
			}
			return nil
		})
	}
	create := func(service string) {
		t.Helper()
		harness.Must(t, c.Apply(ctx, strings.NewReplacer("NS", namespace, "NAME", service).Replace(changingService)))
	}
	pod := func(service, name, ip string) {
		t.Helper()
		harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: namespace, Name: service + "-" + name, Labels: map[string]string{"app": service}, Node: "resolver-node", IPs: []string{ip}}))
	}
	create(filled)
	within("without pods", filled, dns.RcodeSuccess)
	within("before there is such a Service", made, dns.RcodeNameError)
	pod(filled, "first", "10.244.9.7")
	create(made)
	pod(made, "first", "10.244.9.7")
	within("with its first pod", filled, dns.RcodeSuccess, "10.244.9.7")
	within("with its first pod", made, dns.RcodeSuccess, "10.244.9.7")
	harness.Must(t, c.SetReady(ctx, namespace, filled+"-first", false))
	pod(made, "second", "10.244.9.8")
	harness.Must(t, c.SetReady(ctx, namespace, made+"-first", false))
	within("without ready pods", filled, dns.RcodeSuccess)
	within("with another pod", made, dns.RcodeSuccess, "10.244.9.8")
}

// ednsSizes are none, and what resolvers ask with.
var ednsSizes = []uint16{0, 1232}

// askAll asks a server for all names in all ways. dnsmasq may forget the SOA of a negative answer before the
// answer: it has one for all names of a zone, with the TTL of the answer that came last.
func askAll(t *testing.T, server, addr string, names []named) {
	t.Helper()
	// A comes last: that there is no such data of other types must not hide the addresses.
	qtypes := []uint16{dns.TypeAAAA, dns.TypeTXT, dns.TypeHTTPS, dns.TypeMX, dns.TypeSRV, dns.TypeA}
	began, asked, failed := time.Now(), 0, 0
	for _, network := range []string{"udp", "tcp"} {
		client := &asker{addr: addr, network: network}
		defer client.close()
		for _, size := range ednsSizes {
			for _, spell := range spellings {
				for _, n := range names {
					for _, qtype := range qtypes {
						asked++
						question := dns.Question{Name: spell(n.name), Qtype: qtype, Qclass: dns.ClassINET}
						reply, err := client.ask(question, size)
						if err == nil {
							err = n.check(question, reply)
						}
						if err == nil || server == "dnsmasq" && errors.Is(err, errNoSOA) {
							continue
						}
						if failed++; failed > 20 {
							t.Fatalf("%s: and so on", server)
						}
						t.Errorf("%s, asked over %s with EDNS size %d: %s %s: %v", server, network, size, question.Name, dns.TypeToString[qtype], err)
					}
				}
			}
		}
	}
	t.Logf("%s answered %d questions in %v", server, asked, time.Since(began).Round(time.Millisecond))
}

// spellings are how a name may be written, all the same to DNS.
var spellings = []func(string) string{strings.ToLower, strings.ToUpper, mixedCase}

// mixedCase spells every second character in upper case.
func mixedCase(name string) string {
	mixed := []byte(name)
	for i := 0; i < len(mixed); i += 2 {
		mixed[i] = strings.ToUpper(name)[i]
	}
	return string(mixed)
}

// asker asks many questions over one connection.
type asker struct {
	addr, network string
	conn          *dns.Conn
	fallback      *asker // over TCP, for what was truncated
}

// ask asks with recursion desired, with an EDNS size if it is not 0. What is truncated is
// asked for again over TCP, as any client does.
func (a *asker) ask(question dns.Question, size uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(question.Name, question.Qtype)
	if size > 0 {
		m.SetEdns0(size, false)
	}
	client := dns.Client{Net: a.network, Timeout: 5 * time.Second}
	var reply *dns.Msg
	var err error
	for range 2 { // servers end a connection that has had many questions
		if a.conn == nil {
			if a.conn, err = client.Dial(a.addr); err != nil {
				return nil, err
			}
		}
		reply, _, err = client.ExchangeWithConn(m, a.conn)
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			break
		}
		a.close()
	}
	if err != nil || !reply.Truncated || a.network != "udp" {
		return reply, err
	}
	if a.fallback == nil {
		a.fallback = &asker{addr: a.addr, network: "tcp"}
	}
	return a.fallback.ask(question, size)
}

func (a *asker) close() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
	if a.fallback != nil {
		a.fallback.close()
	}
}
