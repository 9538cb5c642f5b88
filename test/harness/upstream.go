package harness

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Upstream starts a DNS server that answers every question for an A with 192.0.2.53, and
// returns its address.
func Upstream(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	Must(t, err)
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		reply := new(dns.Msg).SetReply(request)
		question := request.Question[0]
		if question.Qtype == dns.TypeA {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.IPv4(192, 0, 2, 53),
			})
		}
		w.WriteMsg(reply)
	})}
	stopped := make(chan error, 1)
	go func() { stopped <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		conn.Close()
		<-stopped
	})
	return conn.LocalAddr().String()
}

// SoakUpstream is what the resolver behind the server says of any name, by type, and nothing of
// other types.
var SoakUpstream = map[uint16]string{
	dns.TypeA:    "A 203.0.113.9",
	dns.TypeAAAA: "AAAA 2001:db8::9",
	dns.TypeTXT:  `TXT "upstream"`,
}

// AnswerAsUpstream answers what is forwarded, by its type.
func AnswerAsUpstream(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	record, section := SoakUpstream[q.Qtype], &m.Answer
	if record == "" {
		record, section = "SOA a. b. 1 2 3 4 5", &m.Ns
	}
	rr, err := dns.NewRR(q.Name + " 60 IN " + record)
	if err == nil {
		*section = append(*section, rr)
	}
	w.WriteMsg(m)
}

// Pick returns a random item of a list.
func Pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

// StartUpstream runs a resolver that answers every question with a TXT record "upstream", so
// that a test sees what was passed on to it, and returns its address. For names that have some
// of these records it answers with them, or with the SOA record among them.
func StartUpstream(t *testing.T, records ...string) string {
	t.Helper()
	return StartDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		q := r.Question[0]
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		known := false
		for _, record := range records {
			switch rr, _ := dns.NewRR(record); {
			case rr.Header().Rrtype == dns.TypeSOA:
				m.Ns = append(m.Ns, rr)
			case strings.EqualFold(rr.Header().Name, q.Name):
				known = true
				if rr.Header().Rrtype == q.Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
		}
		if len(m.Answer) > 0 || !known {
			m.Ns = nil
		}
		if !known {
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{"upstream"}}}
		}
		w.WriteMsg(m)
	}))
}

// StartDNS serves the handler over UDP and TCP on loopback until the test ends.
func StartDNS(t *testing.T, handler dns.Handler) string {
	t.Helper()
	addr := FreePorts(t, 1)[0]
	packets, err := net.ListenPacket("udp", addr)
	Must(t, err)
	listener, err := net.Listen("tcp", addr)
	Must(t, err)
	for _, server := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		go server.ActivateAndServe()
		t.Cleanup(func() { server.Shutdown() })
	}
	return addr
}
