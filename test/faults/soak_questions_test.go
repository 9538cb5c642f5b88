package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// soakTypes are what is asked for, those with more to get wrong more often.
var soakTypes = []uint16{
	dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeSRV, dns.TypeSRV, dns.TypePTR,
	dns.TypeTXT, dns.TypeHTTPS, dns.TypeANY, dns.TypeSOA, dns.TypeNS, dns.TypeMX,
}

// observation is a question with its answer.
type observation struct {
	network, name string
	qtype         uint16
	sent, got     time.Time
	said          string // as a verdict, or why there is none
}

func (o *observation) String() string {
	return fmt.Sprintf("%s %s over %s at %s", o.name, dns.TypeToString[o.qtype], o.network, o.sent.Format("15:04:05.000"))
}

// observe asks one question, once more if there is no answer.
func observe(addr, network, name string, qtype uint16) (o observation) {
	o = observation{network: network, name: name, qtype: qtype}
	m := new(dns.Msg).SetQuestion(name, qtype).SetEdns0(4096, false)
	client := dns.Client{Net: network, Timeout: 3 * time.Second}
	for range 2 {
		o.sent = time.Now()
		reply, _, err := client.Exchange(m, addr)
		o.got = time.Now()
		if err == nil {
			o.said = written(m, reply)
			return o
		}
		o.said = "no answer: " + err.Error()
	}
	return o
}

// written writes a reply as a verdict, with what is wrong with it whatever the question.
func written(asked, reply *dns.Msg) string {
	q := asked.Question[0]
	switch {
	case len(reply.Question) != 1 || reply.Question[0] != q:
		return fmt.Sprintf("a reply to %v", reply.Question)
	case reply.Truncated:
		return "a truncated reply"
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return dns.RcodeToString[reply.Rcode]
	case !reply.Authoritative:
		return soakPassed
	}
	if len(reply.Answer) == 0 {
		if len(reply.Ns) != 1 || reply.Ns[0].Header().Rrtype != dns.TypeSOA || reply.Ns[0].Header().Ttl != 5 || reply.Ns[0].(*dns.SOA).Minttl != 5 {
			return fmt.Sprintf("%s with the authority %v, want an SOA with TTL and MINIMUM 5", dns.RcodeToString[reply.Rcode], reply.Ns)
		}
		what := "NODATA of "
		if reply.Rcode == dns.RcodeNameError {
			what = "NXDOMAIN of "
		}
		return what + reply.Ns[0].Header().Name
	}
	var data, extra []string
	for i, rr := range reply.Answer {
		header := rr.Header()
		aliased := i > 0 && reply.Answer[0].Header().Rrtype == dns.TypeCNAME
		if !aliased && (header.Name != q.Name || header.Ttl != 5) {
			return fmt.Sprintf("the record %v, want owner %s and TTL 5", rr, q.Name)
		}
		of := strings.TrimPrefix(rr.String(), header.String())
		switch rr := rr.(type) {
		case *dns.SOA:
			of = rr.Ns
		case *dns.SRV: // its target is written as the name that was asked for
			of = strings.ToLower(of)
		}
		data = append(data, dns.TypeToString[header.Rrtype]+" "+of)
	}
	if len(once(data)) != len(data) {
		return fmt.Sprintf("a record twice in %v", data)
	}
	if q.Qtype == dns.TypeSRV {
		for _, rr := range reply.Extra {
			switch rr := rr.(type) {
			case *dns.A:
				extra = append(extra, strings.ToLower(rr.Hdr.Name)+" "+rr.A.String())
			case *dns.AAAA:
				extra = append(extra, strings.ToLower(rr.Hdr.Name)+" "+rr.AAAA.String())
			}
		}
	}
	return record(data, extra)
}

// inquirer asks random questions of the server.
type inquirer struct {
	addr   string
	mirror *mirror
	judge  *judge
	names  []string // that somebody may have, whether or not anybody does
}

// run asks at a rate, a second, until the context ends.
func (a *inquirer) run(ctx context.Context, random *rand.Rand, rate int) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		network, name, qtype := a.question(random)
		a.judge.pending <- observe(a.addr, network, name, qtype)
	}
}

func (a *inquirer) question(random *rand.Rand) (network, name string, qtype uint16) {
	name = harness.Pick(random, a.names)
	switch random.IntN(4) {
	case 0, 1:
		name = harness.Pick(random, a.mirror.latest().names())
	case 2:
		if touched := a.mirror.touched(a.names); len(touched) > 0 {
			name = harness.Pick(random, touched)
		}
	}
	switch random.IntN(12) {
	case 0:
		name = "x." + name
	case 1:
		name = "_http._tcp." + name
	case 2:
		if _, above, found := strings.Cut(name, "."); found && above != "" {
			name = above
		}
	case 3:
		name = "10-244-0-" + fmt.Sprint(random.IntN(8)) + "." + name
	}
	if random.IntN(4) == 0 {
		name = strings.ToUpper(name)
	}
	qtype = harness.Pick(random, soakTypes)
	switch {
	case strings.HasPrefix(name, "_") && random.IntN(2) == 0:
		qtype = dns.TypeSRV
	case dns.IsSubDomain(soakReverse, name) && random.IntN(2) == 0:
		qtype = dns.TypePTR
	}
	if qtype == dns.TypeNS && strings.EqualFold(name, soakReverse) {
		qtype = dns.TypeSOA
	}
	network = "udp"
	if qtype == dns.TypeSRV || random.IntN(5) == 0 { // over UDP there may be less beside the answer
		network = "tcp"
	}
	return network, name, qtype
}
