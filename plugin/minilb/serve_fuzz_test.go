package minilb

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/records"
)

// fuzzRecords are names of all sorts.
func fuzzRecords() []records.Entry {
	var addrs []netip.Addr
	var hosts []records.Host
	for i := range 20 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.MustParseAddr(fmt.Sprintf("fd00::%x", i+1)))
		hosts = append(hosts, records.Host{Label: fmt.Sprintf("%060d", i%7), Addr: addrs[2*i]})
	}
	all := records.NewAddresses(addrs...)
	all.Endpoints = records.NewEndpoints(all, hosts, []records.Port{{Proto: "_tcp", Service: "_https", Number: 8443}, {Proto: "_udp", Service: "_dns", Number: 53, Labels: []string{fmt.Sprintf("%060d", 0), "fd00--1"}}})
	web := &records.Node{Addrs: records.NewAddressSet(all), NamesBelow: true, Source: "service", Namespace: "shop", Service: "web"}
	empty := &records.Node{Addrs: &records.AddressSet{}, NamesBelow: true, Source: "service", Namespace: "shop", Service: "empty"}
	alias := &records.Node{Target: "lb.example.com.", Source: "ingress", Namespace: "shop"}
	return []records.Entry{
		{Name: "web.shop.minilb.", Node: web},
		{Name: strings.Repeat("w", 55) + "." + strings.Repeat("s", 55) + "." + longZone, Node: web},
		{Name: "empty.shop.minilb.", Node: empty},
		{Name: "*.shop.minilb.", Node: alias},
		{Name: "lan.", Node: addressNode("ingress", "", "10.0.0.9")},
		{Name: "a.ex.org.", Node: &records.Node{Addrs: web.Addrs, Source: "ingress", Namespace: "shop", Service: "web"}},
		{Name: "*.w.ex.org.", Node: &records.Node{Addrs: web.Addrs, Source: "ingress", Namespace: "shop", Service: "web"}},
		{Name: "alias.ex.org.", Node: alias},
	}
}

// fuzzServer is CoreDNS's own server with the plugin alone in its chain. It does not recover
// from panics.
func fuzzServer(t testing.TB, synced bool) (*dnsserver.Server, *Minilb) {
	conf := testConfig()
	conf.Options.Zones = append(conf.Options.Zones, longZone)
	m := newMinilb(conf, records.NewAddressSet(records.NewAddresses(netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53"))))
	if synced {
		m.index.Update(nil, fuzzRecords(), false)
	}
	site := &dnsserver.Config{Zone: ".", Transport: "dns", Debug: true}
	site.AddPlugin(func(plugin.Handler) plugin.Handler { return m })
	server, err := dnsserver.NewServer("dns://127.0.0.1:53", []*dnsserver.Config{site})
	if err != nil {
		t.Fatal(err)
	}
	clog.D.Clear() // which the server has set for all
	return server, m
}

// wireWriter keeps what is written, as it goes out.
type wireWriter struct {
	test.ResponseWriter
	t       *testing.T
	written [][]byte
}

func (w *wireWriter) WriteMsg(m *dns.Msg) error {
	wire, err := m.Pack()
	if err != nil {
		w.t.Errorf("%v, of the reply\n%s", err, m)
		return err
	}
	_, err = w.Write(wire)
	return err
}

func (w *wireWriter) Write(wire []byte) (int, error) {
	w.written = append(w.written, wire)
	return len(wire), nil
}

// accepted reads a message as miekg/dns' server does, or as DNS over HTTPS and gRPC do, which
// look at no header. It returns nil for what does not reach CoreDNS.
func accepted(data []byte, anyHeader bool) *dns.Msg {
	if len(data) < 12 {
		return nil
	}
	field := func(i int) uint16 { return binary.BigEndian.Uint16(data[2*i:]) }
	header := dns.Header{Id: field(0), Bits: field(1), Qdcount: field(2), Ancount: field(3), Nscount: field(4), Arcount: field(5)}
	m := new(dns.Msg)
	if !anyHeader && dns.DefaultMsgAcceptFunc(header) != dns.MsgAccept || m.Unpack(data) != nil {
		return nil
	}
	return m
}

// checkReply checks what is true of every reply, and returns it.
func checkReply(t *testing.T, w *wireWriter, asked *dns.Msg, size int) *dns.Msg {
	if len(w.written) != 1 {
		t.Fatalf("got %d replies to\n%s", len(w.written), asked)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(w.written[0]); err != nil {
		t.Fatalf("%v, of the reply to\n%s", err, asked)
	}
	if n := len(w.written[0]); n > size {
		t.Errorf("the reply has %d bytes, %d fit\n%s", n, size, reply)
	}
	if reply.Id != asked.Id || !reply.Response || reply.Opcode != asked.Opcode || !slices.Equal(reply.Question, asked.Question[:min(1, len(asked.Question))]) {
		t.Errorf("got\n%s\nin reply to\n%s", reply, asked)
	}
	opts := 0
	for _, rr := range reply.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			opts++
		}
	}
	if want := asked.IsEdns0() != nil; opts > 1 || (opts == 1) != want { // RFC 6891 §6.1.1, §7
		t.Errorf("got %d OPT records\n%s\nin reply to\n%s", opts, reply, asked)
	}
	return reply
}

// rdata returns a record without its header, but for its type.
func rdata(rr dns.RR) string {
	return dns.TypeToString[rr.Header().Rrtype] + " " + strings.TrimPrefix(rr.String(), rr.Header().String())
}

// expected is what the index makes of a question that reached the plugin, by the rules of what
// is answered and none of the code that answers.
type expected struct {
	rcode    int
	answers  []string // data of the records that may be there, some of them; nil for a negative answer
	soa      string   // owner of the SOA of a negative answer
	at       string   // owner of the answers
	passedOn bool     // to nobody, and so answered REFUSED or NOTIMP
}

func expect(m *Minilb, asked *dns.Msg) expected {
	q := asked.Question[0]
	name := strings.ToLower(q.Name)
	zone := m.index.Zone(name)
	result, node := m.index.Lookup(zone, name)
	e := expected{at: q.Name, soa: zone}
	if zone == "" {
		e.soa = q.Name // D5
	}
	pass := expected{passedOn: true, rcode: dns.RcodeRefused} // D4
	switch {
	case asked.Opcode == dns.OpcodeNotify && zone != "": // D29b
		return expected{passedOn: true, rcode: dns.RcodeNotImplemented}
	case asked.Opcode == dns.OpcodeNotify:
		return pass
	case q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR: // D29
		return pass
	case zone == "" && result != records.Found: // D3
		return pass
	case zone == "" && !slices.Contains([]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeANY}, q.Qtype) && (q.Qtype != dns.TypeCNAME || node.Target == ""): // D6
		return pass
	case result == records.NotSynced: // D72
		e.rcode, e.soa = dns.RcodeServerFailure, ""
	case result == records.NameError:
		e.rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeANY: // D28
		e.answers = []string{`HINFO "RFC8482" ""`}
	case name == zone && q.Qtype == dns.TypeSOA:
		e.answers = []string{fmt.Sprintf("SOA ns1.%s hostmaster.%s %d 7200 1800 86400 5", zone, zone, m.index.Serial(zone))}
	case name == zone && q.Qtype == dns.TypeNS:
		e.answers = []string{"NS ns1." + zone}
	case node == nil:
	case node.Target != "": // D30: nobody knows the target
		e.answers = []string{"CNAME " + node.Target}
	case node.Ports != nil && q.Qtype == dns.TypeSRV: // D41
		service := q.Name[strings.Index(q.Name, ".")+1:]
		for _, target := range node.Targets(service[strings.Index(service, ".")+1:], 0) {
			if len(target.Name) <= 254 { // D33
				e.answers = append(e.answers, fmt.Sprintf("SRV 0 100 %d %s", node.Ports[0].Number, target.Name))
			}
		}
	case node.Ports != nil:
	case q.Qtype == dns.TypeA:
		for _, addr := range node.Addrs.Load().V4 {
			e.answers = append(e.answers, "A "+addr.String())
		}
	case q.Qtype == dns.TypeAAAA:
		for _, addr := range node.Addrs.Load().V6 {
			e.answers = append(e.answers, "AAAA "+addr.String())
		}
	}
	return e
}

// check compares a reply with what is expected of it.
func (e *expected) check(t *testing.T, reply *dns.Msg, limit int) {
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format+"\n%s", append(args, reply)...)
	}
	if reply.Rcode != e.rcode {
		fail("got %s, want %s", dns.RcodeToString[reply.Rcode], dns.RcodeToString[e.rcode])
	}
	if want := !e.passedOn && e.rcode != dns.RcodeServerFailure; reply.Authoritative != want {
		fail("authoritative is %v", !want)
	}
	if e.passedOn {
		return
	}
	seen := map[string]bool{}
	for _, rr := range reply.Answer {
		got := rdata(rr)
		if !slices.Contains(e.answers, got) || seen[got] {
			fail("the answer %s is none of %q, or there twice", got, e.answers)
		}
		if rr.Header().Name != e.at { // D22
			fail("the owner is %s, want %s", rr.Header().Name, e.at)
		}
		seen[got] = true
	}
	if len(reply.Question) > 0 && reply.Question[0].Qtype == dns.TypeSRV && !reply.Truncated { // D23b
		limit = len(e.answers)
		if len(reply.Answer) < limit {
			fail("got %d targets of %d", len(reply.Answer), limit)
		}
	}
	if n := len(reply.Answer); n > limit && !reply.Truncated || n == 0 && len(e.answers) > 0 && !reply.Truncated {
		fail("got %d answers of %d", n, len(e.answers))
	}
	var soa []string
	for _, rr := range reply.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			soa = append(soa, rr.Header().Name)
		}
	}
	want := []string(nil)
	if len(e.answers) == 0 && e.soa != "" { // D25
		want = []string{e.soa}
	}
	if !reply.Truncated && (!slices.Equal(soa, want) || len(reply.Ns) != len(want)) {
		fail("got the SOA of %q, want %q", soa, want)
	}
	for _, rr := range reply.Extra { // whole addresses of what was named, and nothing else
		switch rr.Header().Rrtype {
		case dns.TypeOPT:
		case dns.TypeA, dns.TypeAAAA:
			name := rr.Header().Name
			if !slices.ContainsFunc(reply.Answer, func(answer dns.RR) bool { return strings.HasSuffix(rdata(answer), " "+name) }) {
				fail("nobody asked for %s", rr)
			}
		default:
			fail("got %s besides", rr)
		}
	}
}

// fuzzQuestions are messages as clients send them, and as none should.
func fuzzQuestions(t testing.TB) [][]byte {
	var wires [][]byte
	add := func(m *dns.Msg) {
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		wires = append(wires, wire)
	}
	names := []string{".", "minilb.", "MiniLB.", "shop.minilb.", "nope.minilb.", "web.nope.minilb.", "q.shop.minilb.", "ns1.lan.", "x.ex.org.", "q.w.ex.org.", `a\.b.minilb.`, `\000.shop.minilb.`, "*.shop.minilb.",
		"_https._tcp.web.shop.minilb.", "_DNS._udp.web.SHOP.minilb.", "_tcp.web.shop.minilb.", "10-0-0-1.web.shop.minilb.", "fd00--1.web.shop.minilb.", fmt.Sprintf("%060d.web.shop.minilb.", 1)}
	for _, r := range fuzzRecords() {
		names = append(names, r.Name)
		if len(r.Name) < 242 {
			names = append(names, "_https._tcp."+r.Name)
		}
	}
	for i, name := range names {
		for j, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeSOA, dns.TypeNS, dns.TypeANY, dns.TypeTXT, dns.TypeHTTPS, dns.TypeAXFR, dns.TypeIXFR, dns.TypeDS, dns.TypeCNAME, 0, 65535} {
			m := new(dns.Msg).SetQuestion(name, qtype)
			switch (i + j) % 4 {
			case 1:
				m.SetEdns0(1232, true)
			case 2:
				m.SetEdns0(uint16(j), false)
				m.CheckingDisabled, m.AuthenticatedData = true, true
			}
			if qtype == dns.TypeIXFR {
				m.Ns = []dns.RR{test.SOA("minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. 1 7200 1800 86400 5")}
			}
			add(m)
		}
	}
	odd := func(change func(*dns.Msg)) {
		m := new(dns.Msg).SetQuestion("web.shop.minilb.", dns.TypeA).SetEdns0(4096, false)
		change(m)
		add(m)
	}
	odd(func(m *dns.Msg) { m.Extra = append(m.Extra, dns.Copy(m.Extra[0])) })
	odd(func(m *dns.Msg) { m.IsEdns0().SetVersion(1) })
	odd(func(m *dns.Msg) { m.IsEdns0().Hdr.Name = "web.shop.minilb." })
	odd(func(m *dns.Msg) {
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{10, 0, 0, 0}}}
	})
	odd(func(m *dns.Msg) { m.Extra[0] = test.A("web.shop.minilb. 5 IN A 10.0.0.1") })
	odd(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) })
	odd(func(m *dns.Msg) { m.Question = nil })
	odd(func(m *dns.Msg) { m.Response = true })
	odd(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })
	odd(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY })
	for opcode := range 8 {
		odd(func(m *dns.Msg) { m.Opcode = opcode })
	}
	odd(func(m *dns.Msg) {
		m.Opcode, m.Question[0].Qtype, m.Question[0].Name = dns.OpcodeNotify, dns.TypeSOA, "minilb."
		m.Answer = []dns.RR{test.SOA("minilb. 5 IN SOA ns1.minilb. hostmaster.minilb. 1 7200 1800 86400 5")}
	})
	odd(func(m *dns.Msg) { m.Rcode, m.Truncated, m.Zero = dns.RcodeNameError, true, true })
	return wires
}

// serving is the server with its plugin: one that has read the cluster, and one that has not.
type serving struct {
	server *dnsserver.Server
	minilb *Minilb
}

// The bits of a mode say how a message comes, and in which state the server is.
const (
	overTCP = 1 << iota
	overHTTPS
	unsynced
	away // is the API server, for long
	modes
)

// fuzzServers returns the server that has read the cluster, and the one that has not.
func fuzzServers(t testing.TB) [2]serving {
	var both [2]serving
	for i := range both {
		both[i].server, both[i].minilb = fuzzServer(t, i == 0)
	}
	return both
}

// serve sends a message and checks what comes back.
func serve(t *testing.T, both *[2]serving, data []byte, mode byte) {
	question := accepted(data, mode&overHTTPS != 0)
	if question == nil {
		return
	}
	s := both[mode&unsynced/unsynced]
	s.minilb.outage = func() time.Duration { return time.Duration(mode&away) * staleAfter }
	asked, size := question.Copy(), dns.MinMsgSize // the server writes into what it gets
	opt := asked.IsEdns0()
	if opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	w := &wireWriter{t: t}
	if w.TCP = mode&(overTCP|overHTTPS) != 0; w.TCP {
		size = dns.MaxMsgSize
	}
	ctx := context.WithValue(t.Context(), dnsserver.Key{}, s.server)
	s.server.ServeDNS(context.WithValue(ctx, dnsserver.LoopKey{}, 0), w, question)
	reply := checkReply(t, w, asked, size)
	switch { // what the server answers by itself
	case len(asked.Question) == 0 || asked.Question[0].Qclass != dns.ClassINET || opt != nil && opt.Version() != 0:
	case asked.Opcode != dns.OpcodeQuery && asked.Opcode != dns.OpcodeNotify:
	default:
		e := expect(s.minilb, asked)
		e.check(t, reply, s.minilb.maxAnswers)
	}
	if t.Failed() {
		t.Fatalf("asked, in mode %04b\n%s", mode, asked)
	}
}

// Each message in each mode.
func TestServe(t *testing.T) {
	both := fuzzServers(t)
	for _, wire := range fuzzQuestions(t) {
		for mode := range byte(modes) {
			serve(t, &both, wire, mode)
		}
	}
}

// FuzzServe sends whatever bytes to CoreDNS's server with the plugin: D22, D25, D28–D33, D29b, D72, D75.
func FuzzServe(f *testing.F) {
	for i, wire := range fuzzQuestions(f) {
		if i%7 == 0 { // the fuzzer tries each slowly
			f.Add(wire, byte(i))
		}
	}
	both := fuzzServers(f)
	f.Fuzz(func(t *testing.T, data []byte, mode byte) { serve(t, &both, data, mode%modes) })
}
