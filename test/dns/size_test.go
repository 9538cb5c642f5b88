package dns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// sizes are how many endpoints of each family the Services have.
var sizes = []int{16, 17, 200, 5000}

// longHost is a host of 200 characters, of which each answer must carry one copy at least.
var longHost = strings.Repeat(strings.Repeat("h", 63)+".", 3) + "example."

// addrOf returns the address of an endpoint.
func addrOf(i int, family discoveryv1.AddressType) netip.Addr {
	if family == discoveryv1.AddressTypeIPv4 {
		return netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 14: byte(i >> 8), 15: byte(i)})
}

// sizedServices makes a Service s<N> for each size, whose endpoints serve the port https at
// 8443. The smallest has the long host.
func sizedServices(t *testing.T, c *cluster.Cluster, namespace string) {
	t.Helper()
	for _, size := range sizes {
		name := fmt.Sprintf("s%d", size)
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}}
		class := "minilb"
		service.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &class, Ports: []corev1.ServicePort{{Name: "https", Port: 443}}}
		if size == sizes[0] {
			service.Annotations = map[string]string{"minilb/host": longHost}
		}
		_, err := c.Client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{})
		harness.Must(t, err)
		for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			var endpoints []discoveryv1.Endpoint
			for i := range size {
				endpoints = append(endpoints, discoveryv1.Endpoint{Addresses: []string{addrOf(i, family).String()}})
			}
			for chunk := range slices.Chunk(endpoints, 1000) { // as many as a slice may have
				slice := &discoveryv1.EndpointSlice{AddressType: family, Endpoints: chunk}
				slice.GenerateName, slice.Labels = name+"-", map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: "test"}
				port, number := "https", int32(8443)
				slice.Ports = []discoveryv1.EndpointPort{{Name: &port, Port: &number}}
				_, err := c.Client.DiscoveryV1().EndpointSlices(namespace).Create(t.Context(), slice, metav1.CreateOptions{})
				harness.Must(t, err)
			}
		}
	}
}

// transport is a way to ask, with how many bytes the reply may have.
type transport struct {
	name, network string
	edns          uint16 // the size that the client offers, 0 for none
	size          int
}

var transports = []transport{
	{"UDP", "udp", 0, 512}, {"UDP, EDNS 512", "udp", 512, 512}, {"UDP, EDNS 1232", "udp", 1232, 1232}, {"UDP, EDNS 4096", "udp", 4096, 4096},
	{"UDP, EDNS 65535", "udp", 65535, 8192}, {"TCP", "tcp", 0, 65535},
}

// measurer sends questions by one connection, and says how long the replies are.
type measurer struct {
	transport
	conn *dns.Conn
}

func newMeasurer(t *testing.T, addr string, by transport) *measurer {
	t.Helper()
	conn, err := dns.DialTimeout(by.network, addr, 5*time.Second)
	harness.Must(t, err)
	conn.UDPSize = dns.MaxMsgSize // whatever may come
	t.Cleanup(func() { conn.Close() })
	return &measurer{by, conn}
}

// ask returns the reply and its length.
func (m *measurer) ask(t *testing.T, name string, qtype uint16) (*dns.Msg, int) {
	t.Helper()
	question := new(dns.Msg).SetQuestion(name, qtype)
	if m.edns != 0 {
		question.SetEdns0(m.edns, false)
	}
	m.conn.SetDeadline(time.Now().Add(10 * time.Second))
	harness.Must(t, m.conn.WriteMsg(question))
	wire, err := m.conn.ReadMsgHeader(nil)
	harness.Must(t, err)
	reply := new(dns.Msg)
	harness.Must(t, reply.Unpack(wire))
	if reply.Id != question.Id {
		t.Fatalf("%s %s by %s: got the reply to another question", name, dns.TypeToString[qtype], m.name)
	}
	return reply, len(wire)
}

// sized is what a question is about.
type sized struct {
	name    string
	qtype   uint16
	records int // that there are
	each    int // bytes of one in an answer
}

func sizedQuestions(namespace string) []sized {
	var questions []sized
	for _, size := range sizes {
		name := fmt.Sprintf("s%d.%s.minilb.", size, namespace)
		questions = append(questions, sized{name, dns.TypeA, size, 16}, sized{name, dns.TypeAAAA, size, 28}, sized{"_https._tcp." + name, dns.TypeSRV, 2 * size, 0})
	}
	return append(questions, sized{longHost, dns.TypeA, sizes[0], 16}, sized{longHost, dns.TypeAAAA, sizes[0], 28})
}

// check looks at what is true of each reply, whatever its limits are.
func (q *sized) check(t *testing.T, by transport, reply *dns.Msg, length int) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%.60s %s by %s: %s", q.name, dns.TypeToString[q.qtype], by.name, fmt.Sprintf(format, args...))
	}
	if reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0 && !reply.Truncated {
		fail("got %s and no records", dns.RcodeToString[reply.Rcode])
	}
	if length > by.size {
		fail("got %d bytes, where %d may come", length, by.size)
	}
	seen := map[string]bool{}
	for _, rr := range reply.Answer {
		if rr.Header().Name != q.name || rr.Header().Rrtype != q.qtype || seen[rr.String()] {
			fail("got %s, or got it twice", rr)
		}
		seen[rr.String()] = true
	}
	for _, rr := range reply.Extra {
		if owner := rr.Header().Name; rr.Header().Rrtype != dns.TypeOPT && !slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool {
			srv, ok := rr.(*dns.SRV)
			return ok && srv.Target == owner && srv.Port == 8443
		}) {
			fail("got %s of no target", rr)
		}
	}
}

// TestSize asks for few and many endpoints by all ways there are: D23, D23b, D32, D41.
func TestSize(t *testing.T) {
	t.Parallel()
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	namespace := harness.NewNamespace(t, c)
	sizedServices(t, c, namespace)
	up := harness.StartUpstream(t)
	total := 0
	for _, size := range sizes {
		total += 2 * size
	}
	start := func(t *testing.T, properties ...string) *harness.CoreDNS {
		s := harness.StartCoreDNS(t, harness.ResolverFor(kubeconfig, up, append(properties, "namespaces "+namespace)...))
		s.WaitReady(t)
		cluster.Eventually(t, 10*time.Second, func() error {
			_, metrics := harness.Get(s.Prom)
			if want := fmt.Sprintf("coredns_minilb_endpoints{state=\"ready\"} %d\n", total); !strings.Contains(metrics, want) {
				return fmt.Errorf("the metrics have no line %s", want)
			}
			return nil
		})
		return s
	}

	t.Run("max_answers 16", func(t *testing.T) {
		s := start(t)
		for _, by := range transports {
			a := newMeasurer(t, s.Addr, by)
			for _, q := range sizedQuestions(namespace) {
				for range 5 { // each has others
					reply, length := a.ask(t, q.name, q.qtype)
					q.check(t, by, reply, length)
					what := fmt.Sprintf("%.60s %s by %s", q.name, dns.TypeToString[q.qtype], by.name)
					if q.qtype == dns.TypeSRV { // D23b
						if reply.Truncated == (len(reply.Answer) == q.records) {
							t.Errorf("%s: got %d records of %d, and TC is %v", what, len(reply.Answer), q.records, reply.Truncated)
						}
						continue
					}
					if reply.Truncated { // a client would have to come again by TCP for a part of what it could have had
						t.Errorf("%s: truncated after %d records", what, len(reply.Answer))
						break
					}
					// The question, an OPT record, and an answer each: what of 16 fits must be there.
					fits := (by.size - 12 - len(q.name) - 1 - 4 - 11) / q.each
					if n, least := len(reply.Answer), min(16, fits); n > 16 || n < least {
						t.Errorf("%s: got %d records, want 16 at most, and %d that fit", what, n, least)
						break
					}
				}
			}
		}
	})

	t.Run("max_answers 0", func(t *testing.T) {
		s := start(t, "max_answers 0")
		for _, by := range transports {
			a := newMeasurer(t, s.Addr, by)
			for _, q := range sizedQuestions(namespace) {
				began := time.Now()
				reply, length := a.ask(t, q.name, q.qtype)
				took := time.Since(began)
				q.check(t, by, reply, length)
				what := fmt.Sprintf("%.60s %s by %s", q.name, dns.TypeToString[q.qtype], by.name)
				if reply.Truncated == (len(reply.Answer) == q.records) {
					t.Errorf("%s: got %d records of %d, and TC is %v", what, len(reply.Answer), q.records, reply.Truncated)
				}
				if by.network == "tcp" && q.records <= 400 && reply.Truncated {
					t.Errorf("%s: truncated after %d records of %d", what, len(reply.Answer), q.records)
				}
				if q.each > 0 {
					all := 12 + len(q.name) + 1 + 4 + q.records*q.each
					if by.edns != 0 {
						all += 11
					}
					if fits := all <= by.size; fits == reply.Truncated {
						t.Errorf("%s: all would take %d bytes of %d, and TC is %v", what, all, by.size, reply.Truncated)
					}
					if reply.Truncated && length < by.size-11-q.each && by.network == "tcp" {
						t.Errorf("%s: one more would fit with %d bytes of %d", what, length, by.size)
					}
				}
				if took > 2*time.Second {
					t.Errorf("%s: took %s", what, took)
				}
				if by.network == "tcp" && reply.Truncated {
					t.Logf("%s: %d records of %d fit %d bytes, in %s", what, len(reply.Answer), q.records, length, took)
				}
			}
		}
		t.Run("clients", func(t *testing.T) { tooManyForClients(t, s, namespace) })
	})
}

// tooManyForClients asks as programs do for more addresses than any message can have. By TCP,
// too, TC is set then, and they take what there is, as the C libraries do.
func tooManyForClients(t *testing.T, s *harness.CoreDNS, namespace string) {
	name := "s5000." + namespace + ".minilb."
	host, port, _ := net.SplitHostPort(s.Addr)
	const header, question, opt, record = 12, 1 + 4, 11, 16
	inMessage := func(rest int) int { return (dns.MaxMsgSize - header - len(name) - question - rest) / record }

	// dig takes what came, and says that it was cut.
	out, err := harness.Run(t, harness.Program(t, "dig", "bind9-dnsutils"), "@"+host, "-p", port, "+tcp", "+noedns", name, "A")
	harness.Must(t, err)
	if n := strings.Count(out, "\tA\t10.200."); n != inMessage(0) || !strings.Contains(out, "flags: qr aa tc rd") {
		t.Errorf("dig shows %d addresses, want %d and the flag tc\n%.500s", n, inMessage(0), out)
	}
	// So does Go's resolver, which comes by UDP first.
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr)
	}}
	addrs, err := resolver.LookupNetIP(t.Context(), "ip4", name)
	if err != nil || len(addrs) != inMessage(opt) {
		t.Errorf("Go: got %d addresses and %v, want %d", len(addrs), err, inMessage(opt))
	}
}
