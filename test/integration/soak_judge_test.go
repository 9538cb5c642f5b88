package integration_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// soakConvergence is how long a change may take to be answered, and soakRecovery how long what
	// a fault has held up may take, from its end.
	soakConvergence = 2 * time.Second
	soakRecovery    = 10 * time.Second

	// soakLag is how much later than the server under test the mirror may see a change.
	soakLag = time.Second
)

// soakUpstream is what the resolver behind the server says of any name, by type, and nothing of
// other types.
var soakUpstream = map[uint16]string{
	dns.TypeA:    "A 203.0.113.9",
	dns.TypeAAAA: "AAAA 2001:db8::9",
	dns.TypeTXT:  `TXT "upstream"`,
}

func answerAsUpstream(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.RecursionAvailable = true
	q := r.Question[0]
	record, section := soakUpstream[q.Qtype], &m.Answer
	if record == "" {
		record, section = "SOA a. b. 1 2 3 4 5", &m.Ns
	}
	rr, err := dns.NewRR(q.Name + " 60 IN " + record)
	if err == nil {
		*section = append(*section, rr)
	}
	w.WriteMsg(m)
}

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

// fault is something that is done to the server or what it depends on, for a time.
type fault struct {
	what     string
	from, to time.Time     // the latter zero while it lasts
	recovery time.Duration // for how long after it what has happened meanwhile may not be known
	silent   bool          // there may be no answers while it lasts, or such as say that there are none yet
}

// judge compares answers with the oracle once it is known what has happened around them.
type judge struct {
	mirror  *mirror
	pending chan observation

	mu     sync.Mutex
	faults []*fault

	checked, converging, excused int
	under                        map[string]int // checked while a fault lasted
	wrong                        []string
}

// begin notes a fault, and end its end.
func (j *judge) begin(f fault) *fault {
	j.mu.Lock()
	defer j.mu.Unlock()
	f.from = time.Now()
	j.faults = append(j.faults, &f)
	return &f
}

func (j *judge) end(f *fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f.to = time.Now()
}

// run judges what is pending, in order, until there is no more.
func (j *judge) run() {
	for o := range j.pending {
		time.Sleep(time.Until(o.got.Add(soakLag + 500*time.Millisecond)))
		j.judge(&o)
	}
}

func (j *judge) judge(o *observation) {
	from, to := o.sent.Add(-soakConvergence), o.got.Add(soakLag)
	silent := false
	during := map[string]bool{}
	j.mu.Lock()
	for _, f := range j.faults {
		if f.from.After(o.got) || !f.to.IsZero() && f.to.Add(f.recovery+soakConvergence).Before(o.sent) {
			continue
		}
		if before := f.from.Add(-soakConvergence); before.Before(from) {
			from = before
		}
		if f.to.IsZero() || f.to.After(o.sent) {
			silent = silent || f.silent
			during[f.what] = true
		}
	}
	j.mu.Unlock()

	verdicts := map[string]bool{}
	for _, s := range j.mirror.between(from, to, o.sent.Add(-45*time.Second)) {
		if verdicts[s.model().verdict(o.name, o.qtype)] = true; len(verdicts) > 1 {
			j.converging++
			return
		}
	}
	switch want := slices.Collect(maps.Keys(verdicts))[0]; {
	case o.said == want:
		j.checked++
		for what := range during {
			j.under[what]++
		}
	case silent && (strings.HasPrefix(o.said, "no answer") || o.said == "SERVFAIL"):
		j.excused++
	default:
		var about []string
		for what := range during {
			about = append(about, "while "+what)
		}
		j.wrong = append(j.wrong, fmt.Sprintf("%s %s\n\tgot  %s\n\twant %s\n\t%s", o, strings.Join(about, ", "), o.said, want,
			strings.Join(j.mirror.about(o.name), "\n\t")))
	}
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
	name = pick(random, a.names)
	if random.IntN(2) == 0 {
		present := a.mirror.latest().names()
		name = pick(random, present)
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
	qtype = pick(random, soakTypes)
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

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

// resetProxy passes connections on to a server, and resets all of them when asked to.
type resetProxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	conns map[*net.TCPConn]bool
}

func newResetProxy(target string) (*resetProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}
	return &resetProxy{listener: listener, target: target, conns: map[*net.TCPConn]bool{}}, nil
}

// run passes on until the listener is closed.
func (p *resetProxy) run() {
	var running sync.WaitGroup
	defer running.Wait()
	defer p.reset()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		ends := []*net.TCPConn{client.(*net.TCPConn), server.(*net.TCPConn)}
		p.mu.Lock()
		p.conns[ends[0]], p.conns[ends[1]] = true, true
		p.mu.Unlock()
		for i := range ends {
			running.Go(func() {
				ends[i].ReadFrom(ends[1-i])
				p.mu.Lock()
				defer p.mu.Unlock()
				ends[0].Close()
				ends[1].Close()
				delete(p.conns, ends[0])
				delete(p.conns, ends[1])
			})
		}
	}
}

// reset resets all connections.
func (p *resetProxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.SetLinger(0)
		conn.Close()
	}
}
