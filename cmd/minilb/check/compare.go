package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/records"
)

const (
	// settleTime is how long an answer may take to follow the cluster.
	settleTime = time.Second
	// maxRetries is how often the cluster is looked at again while answers differ: pods may come and go
	// all the time.
	maxRetries = 5
	// maxDiffering limits the names whose difference is reported.
	maxDiffering = 50
)

// expected is what is known of a question.
type expected struct {
	target string // the alias, "" for none
	addrs  []netip.Addr
}

// server finds what is wrong with the DNS server's answers.
func (c *checker) server(ctx context.Context) error {
	if problem := probeServer(ctx, c.ask, c.Server, c.options[0].Zones[0]); problem != nil {
		c.add(*problem)
		return ctx.Err()
	}
	if err := c.compare(ctx); err != nil {
		return err
	}
	c.problems = append(c.problems, forwardLoops(ctx, c.ask, c.Server, c.domains())...)
	return ctx.Err()
}

// compare asks the DNS server for the addresses of every name and compares them with the cluster. Names that differ
// are compared again later, also with the cluster as it is then, so that a roll-out is not a problem.
func (c *checker) compare(ctx context.Context) (err error) {
	runs := c.runs
	var looks map[question][]expected // at what is to be asked, the last one last
	var differing map[question]mismatch
	for attempt := range 1 + maxRetries {
		if attempt > 0 {
			if err := settle(ctx); err != nil {
				return err
			}
			if runs, err = c.dryRun(ctx, c.options...); err != nil {
				return err
			}
		}
		before := looks
		looks = map[question][]expected{}
		for q, want := range expectations(c.Corefile, runs) {
			if _, differs := differing[q]; differs || attempt == 0 {
				looks[q] = append(before[q], want)
			}
		}
		if differing = differences(ctx, c.ask, looks); len(differing) == 0 {
			break
		}
	}
	var problems []Problem
	for q, how := range differing {
		name := hostname.Plain(q.name)
		p := Problem{Error, "Name", "", name, "AnswerDiffers",
			fmt.Sprintf("%s is asked for %s records and %s", c.Server, dns.TypeToString[q.qtype], how.text),
			"see the log and /ready of the server: it may not read this cluster, or have another Corefile; a resolver in front may cache, or filter private addresses"}
		if how.alias {
			p.Reason, p.Text = "AliasNotFound", how.text
			p.Fix = "correct the hostname that the object publishes, which \"minilb explain " + argument(name) + "\" names, or see that the server resolves it (forward)"
		}
		problems = append(problems, p)
	}
	problems = sorted(problems)
	c.problems = append(c.problems, problems[:min(maxDiffering, len(problems))]...)
	if more := len(problems) - maxDiffering; more > 0 {
		c.add(Problem{Error, "DNSServer", "", c.Server, "AnswersDiffer",
			fmt.Sprintf("%d more of its answers differ from the cluster", more), "see the log and /ready of the server: it may not read this cluster, or have another Corefile"})
	}
	return ctx.Err()
}

// settle waits for settleTime. It fails if the context ends meanwhile.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(settleTime):
	}
	return ctx.Err()
}

// mismatch is how an answer differs, in a clause; "" for not at all.
type mismatch struct {
	text  string
	alias bool // it is the alias that is wanted, of a name that does not exist or cannot be resolved
}

func differences(ctx context.Context, ask asker, looks map[question][]expected) map[question]mismatch {
	differing := map[question]mismatch{}
	for q, got := range askAll(ctx, ask, maps.Keys(looks), answerOf) {
		if how := difference(looks[q], got); how.text != "" {
			differing[q] = how
		}
	}
	return differing
}

// probeServer returns the problem of a server that does not answer for the zone, nil for one that does.
func probeServer(ctx context.Context, ask asker, server, zone string) *Problem {
	reply, err := ask(ctx, question{zone, dns.TypeSOA})
	problem := &Problem{Severity: Error, Kind: "DNSServer", Name: server, Reason: "NotAnswering"}
	switch {
	case err != nil:
		problem.Text = "it does not answer: " + err.Error()
		problem.Fix = "see that the server runs there, and that UDP and TCP get through to the port from here"
	case reply.Rcode == dns.RcodeServerFailure:
		problem.Text = fmt.Sprintf("it answers SERVFAIL for the zone %s: it has not read the cluster yet, or cannot", hostname.Plain(zone))
		problem.Fix = "see its log and its /ready"
	case reply.Rcode != dns.RcodeSuccess || !slices.ContainsFunc(reply.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA }):
		problem.Text = fmt.Sprintf("it does not answer for the zone %s: %s", hostname.Plain(zone), dns.RcodeToString[reply.Rcode])
		problem.Fix = "name the server that runs the plugin minilb, or one that forwards the zone to it; and the Corefile or domain that it has"
	default:
		return nil
	}
	return problem
}

// expectations returns what the cluster has for all names, each by the plugin block that is asked for it.
func expectations(corefile *config.Corefile, runs []*inspect.DryRun) map[question]expected {
	all := map[question]expected{}
	for n, i := range runs {
		for _, name := range i.Names() {
			block, elsewhere := corefile.BlockOf(name)
			_, result, node := i.Lookup(name)
			if block != n || elsewhere != "" || !corefile.Covered(name) || result != records.Found || node == nil { // D8
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

// difference returns how an answer differs from what was right at each of the looks. Some of the addresses are
// enough: a server has its max_answers (D23).
func difference(looks []expected, got answer) mismatch {
	last := looks[len(looks)-1]
	right := func(is func(expected) bool) bool { return slices.ContainsFunc(looks, is) }
	differs := func(format string, args ...any) mismatch { return mismatch{text: fmt.Sprintf(format, args...)} }
	switch {
	case got.problem != "" && got.target != "" && right(func(e expected) bool { return e.target == got.target }):
		return mismatch{fmt.Sprintf("it is an alias of %s, for which the server %s", hostname.Plain(got.target), got.problem), true}
	case got.problem != "":
		return mismatch{text: got.problem}
	case right(func(e expected) bool { return e.target != "" }):
		if !right(func(e expected) bool { return e.target == got.target }) {
			return differs("gives %s, want an alias of %s", cmp.Or(hostname.Plain(got.target), "no alias"), hostname.Plain(last.target))
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
