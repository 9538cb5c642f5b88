package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

const (
	askTimeout  = 2 * time.Second
	askAttempts = 2  // a packet may get lost
	askAtATime  = 16 // questions
	// settleTime is how long an answer may take to follow the cluster.
	settleTime = time.Second
	// looksAgain is how often the cluster is looked at again while answers differ: pods may come and go
	// all the time.
	looksAgain = 5
	// maxDiffering is of how many names it is told how they differ.
	maxDiffering = 50
)

// Server returns the address and port of a DNS server that is written as either "address",
// "address:port" or "[address]:port"; the port is 53 without one. The address may be a name.
func Server(written string) (string, error) {
	host, port := written, "53"
	if _, err := netip.ParseAddr(written); err != nil {
		if h, p, err := net.SplitHostPort(written); err == nil {
			host, port = h, p
		} else {
			host = strings.TrimSuffix(strings.TrimPrefix(written, "["), "]")
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /[]") {
		return "", fmt.Errorf("%q: want an ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT", written)
	}
	return net.JoinHostPort(host, port), nil
}

// question is one that is asked of the server.
type question struct {
	name  string // with its final dot
	qtype uint16
}

// expected is what is known of a question.
type expected struct {
	target string // the alias, "" for none
	addrs  []netip.Addr
}

// answer is what the server said.
type answer struct {
	problem string // one clause, "" if there is none
	target  string // of the first alias, "" for none
	addrs   []netip.Addr
}

// server says what is wrong with what the DNS server answers.
func (c *checker) server(ctx context.Context) ([]Finding, error) {
	if finding := greet(ctx, c.ask, c.Server, c.options[0].Zones[0]); finding != nil {
		return []Finding{*finding}, ctx.Err()
	}
	findings, err := c.compare(ctx)
	if err != nil {
		return nil, err
	}
	return append(findings, forwardLoops(ctx, c.ask, c.Server, c.domains())...), ctx.Err()
}

// compare asks the DNS server for the addresses of every name and says where it differs from the
// cluster. What differs is asked again, some moments later, and compared with fresh looks, too, so
// that a roll-out is not a finding.
func (c *checker) compare(ctx context.Context) ([]Finding, error) {
	looks := map[question][]expected{} // at what is to be asked, the last one last
	for q, want := range expectations(c.Corefile, c.inspections) {
		looks[q] = []expected{want}
	}
	differing := differences(ctx, c.ask, looks)
	for range looksAgain {
		if len(differing) == 0 || ctx.Err() != nil {
			return nil, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settleTime):
		}
		again, err := c.inspect(ctx, c.options...)
		if err != nil {
			return nil, err
		}
		now := expectations(c.Corefile, again)
		for q := range looks {
			if want, still := now[q]; still && differing[q].text != "" {
				looks[q] = append(looks[q], want)
			} else {
				delete(looks, q)
			}
		}
		differing = differences(ctx, c.ask, looks)
	}
	var findings []Finding
	for q, how := range differing {
		name := plain(q.name)
		if how.alias {
			findings = append(findings, Finding{Error, "Name", "", name, "AliasNotFound", how.text,
				"correct the hostname that the object publishes, which \"minilb explain " + argument(name) + "\" names, or see that the server resolves it (forward)"})
			continue
		}
		findings = append(findings, Finding{Error, "Name", "", name, "AnswerDiffers",
			fmt.Sprintf("%s is asked for %s records and %s", c.Server, dns.TypeToString[q.qtype], how.text),
			"see the log and /ready of the server: it may not read this cluster, or have another Corefile; a resolver in front may cache, or filter private addresses"})
	}
	findings = sorted(findings)
	if more := len(findings) - maxDiffering; more > 0 {
		findings = append(findings[:maxDiffering:maxDiffering], Finding{Error, "DNSServer", "", c.Server, "AnswersDiffer",
			fmt.Sprintf("%d more of its answers differ from the cluster", more), "see the log and /ready of the server: it may not read this cluster, or have another Corefile"})
	}
	return findings, ctx.Err()
}

// mismatch is how an answer differs, in a clause; "" for not at all.
type mismatch struct {
	text  string
	alias bool // it is the alias that is wanted, of a name that does not exist or cannot be resolved
}

// differences asks the server and says how its answers differ.
func differences(ctx context.Context, ask asker, looks map[question][]expected) map[question]mismatch {
	differing := map[question]mismatch{}
	for q, got := range askAll(ctx, ask, slices.Collect(maps.Keys(looks))) {
		if how := difference(looks[q], got); how.text != "" {
			differing[q] = how
		}
	}
	return differing
}

// greet says why the server need not be asked for anything, nil if it answers for the zone.
func greet(ctx context.Context, ask asker, server, zone string) *Finding {
	reply, err := ask(ctx, question{zone, dns.TypeSOA})
	finding := &Finding{Severity: Error, Kind: "DNSServer", Name: server, Reason: "NotAnswering"}
	switch {
	case err != nil:
		finding.Text = "it does not answer: " + err.Error()
		finding.Fix = "see that the server runs there, and that UDP and TCP get through to the port from here"
	case reply.Rcode == dns.RcodeServerFailure:
		finding.Text = fmt.Sprintf("it answers SERVFAIL for the zone %s: it has not read the cluster yet, or cannot", plain(zone))
		finding.Fix = "see its log and its /ready"
	case reply.Rcode != dns.RcodeSuccess || !slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }):
		finding.Text = fmt.Sprintf("it does not answer for the zone %s: %s", plain(zone), dns.RcodeToString[reply.Rcode])
		finding.Fix = "name the server that runs the plugin minilb, or one that forwards the zone to it; and the Corefile or domain that it has"
	default:
		return nil
	}
	return finding
}

// expectations returns what the cluster has for all names, each by the plugin block that is asked for it.
func expectations(corefile *config.Corefile, inspections []*source.Inspection) map[question]expected {
	all := map[question]expected{}
	for n, i := range inspections {
		for _, name := range i.Names() {
			if i, elsewhere := corefile.BlockOf(name); i != n || elsewhere != "" {
				continue
			}
			if !corefile.Covered(name) { // D8
				continue
			}
			_, result, node := i.Lookup(name)
			if result != records.Found || node == nil {
				continue
			}
			v4, v6 := expected{target: node.Target}, expected{target: node.Target}
			if node.Addrs != nil {
				v4.addrs, v6.addrs = node.Addrs.Load().V4, node.Addrs.Load().V6
			}
			all[question{name, dns.TypeA}], all[question{name, dns.TypeAAAA}] = v4, v6
		}
	}
	return all
}

// difference says how an answer differs from all that was right at one of the looks. Some of the addresses are
// enough: a server has its max_answers (D23).
func difference(looks []expected, got answer) mismatch {
	last := looks[len(looks)-1]
	right := func(is func(expected) bool) bool { return slices.ContainsFunc(looks, is) }
	differs := func(format string, args ...any) mismatch { return mismatch{text: fmt.Sprintf(format, args...)} }
	switch {
	case got.problem != "" && got.target != "" && right(func(e expected) bool { return e.target == got.target }):
		return mismatch{fmt.Sprintf("it is an alias of %s, for which the server %s", plain(got.target), got.problem), true}
	case got.problem != "":
		return mismatch{text: got.problem}
	case right(func(e expected) bool { return e.target != "" }):
		if !right(func(e expected) bool { return e.target == got.target }) {
			return differs("gives %s, want an alias of %s", cmp.Or(plain(got.target), "no alias"), plain(last.target))
		}
		return mismatch{}
	case len(got.addrs) == 0 && !right(func(e expected) bool { return len(e.addrs) == 0 }):
		return differs("gives no address, want %s", some(last.addrs))
	}
	var foreign []netip.Addr
	for _, addr := range got.addrs {
		if !right(func(e expected) bool { return slices.Contains(e.addrs, addr) }) {
			foreign = append(foreign, addr)
		}
	}
	if len(foreign) == 0 {
		return mismatch{}
	}
	slices.SortFunc(foreign, netip.Addr.Compare)
	if len(last.addrs) == 0 {
		return differs("gives %s, want no address", some(foreign))
	}
	return differs("gives %s, which is not among %s", some(foreign), some(last.addrs))
}

// plain returns a name as people write it.
func plain(name string) string { return strings.TrimSuffix(name, ".") }

// some returns the first addresses, and how many more there are.
func some(addrs []netip.Addr) string {
	const shown = 4
	var texts []string
	for _, addr := range addrs[:min(shown, len(addrs))] {
		texts = append(texts, addr.String())
	}
	text := strings.Join(texts, ", ")
	if more := len(addrs) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// askAll asks the server all questions, until the context ends.
func askAll(ctx context.Context, ask asker, questions []question) map[question]answer {
	return someAtATime(ctx, questions, func(q question) answer { return answerTo(ctx, ask, q) })
}

// someAtATime calls f with each question until the context ends, and returns what it returned.
func someAtATime[T any](ctx context.Context, questions []question, f func(question) T) map[question]T {
	queue := make(chan question)
	var mu sync.Mutex
	var running sync.WaitGroup
	answers := map[question]T{}
	for range askAtATime {
		running.Go(func() {
			for q := range queue {
				got := f(q)
				mu.Lock()
				answers[q] = got
				mu.Unlock()
			}
		})
	}
	for _, q := range questions {
		select {
		case queue <- q:
		case <-ctx.Done():
		}
	}
	close(queue)
	running.Wait()
	return answers
}

// answerTo returns what the server says to a question.
func answerTo(ctx context.Context, ask asker, q question) answer {
	reply, err := ask(ctx, q)
	if err != nil {
		return answer{problem: "does not answer: " + err.Error()}
	}
	var got answer
	if reply.Rcode != dns.RcodeSuccess {
		got.problem = "says " + dns.RcodeToString[reply.Rcode] // of what an alias leads to, if there is one (RFC 6604)
	}
	for _, rr := range reply.Answer {
		var addr netip.Addr
		switch rr := rr.(type) {
		case *dns.CNAME:
			if got.target == "" {
				got.target = dns.CanonicalName(rr.Target)
			}
			continue
		case *dns.A:
			addr, _ = netip.AddrFromSlice(rr.A)
		case *dns.AAAA:
			addr, _ = netip.AddrFromSlice(rr.AAAA)
		default:
			continue
		}
		got.addrs = append(got.addrs, addr.Unmap())
	}
	return got
}

// asker asks a DNS server.
type asker func(context.Context, question) (*dns.Msg, error)

// over returns the asker of the server at an address: over UDP, and over TCP what does not fit there.
func over(server string) asker {
	return func(ctx context.Context, q question) (*dns.Msg, error) {
		message := new(dns.Msg)
		message.SetQuestion(q.name, q.qtype)
		message.SetEdns0(1232, false)
		var reply *dns.Msg
		var err error
		for range askAttempts {
			client := dns.Client{Net: "udp", Timeout: askTimeout}
			if reply, _, err = client.ExchangeContext(ctx, message, server); err == nil && reply.Truncated {
				client.Net = "tcp"
				reply, _, err = client.ExchangeContext(ctx, message, server)
			}
			if err == nil || ctx.Err() != nil {
				break
			}
		}
		return reply, err
	}
}
