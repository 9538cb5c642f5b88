package check

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

const (
	// maxDomains is of how many domains an unclaimed name is asked for.
	maxDomains = 100
	// loopAttempts is how many names are asked for: by the first ones the server notices the loop.
	loopAttempts = 3
)

// domains returns those that have claimed hosts outside of the zones, sorted, also hosts that nothing stands behind
// yet: a resolver is likely to send them here.
func (c *checker) domains() []string {
	found := map[string]bool{}
	add := func(host string) {
		within := func(zone string) bool { return hostname.InZone(host, zone) }
		for i := range c.options {
			if slices.ContainsFunc(c.options[i].AllZones(), within) {
				return
			}
		}
		label, domain, _ := strings.Cut(host, ".")
		if domain == "" {
			return
		}
		found[domain] = true
		if label != "*" && dns.CountLabel(domain) == 1 { // it may be a domain itself, as example.org is
			found[host] = true
		}
	}
	for _, i := range c.runs {
		for _, name := range i.Names() {
			add(name)
		}
		for _, p := range i.Problems() {
			add(p.Host)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// failure is how a name was not answered.
type failure struct {
	what string // a clause, "" if it was answered, if only by NXDOMAIN, or refused: nobody is asked for it then (D4)
	loop bool   // whether the server reports a forward loop
}

// forwardLoops asks for an unclaimed name of each domain and returns the domains whose names come back to the server
// that forwards them (D4b). What cannot be resolved anywhere is left out, and a failure that the server does not
// report as a loop is a notice: the resolver of the domain may be down.
func forwardLoops(ctx context.Context, ask asker, server string, domains []string) []Problem {
	var problems []Problem
	if more := len(domains) - maxDomains; more > 0 {
		domains = domains[:maxDomains]
		problems = append(problems, Problem{Notice, "DNSServer", "", server, "DomainsNotAsked",
			fmt.Sprintf("%d more domains not asked: whether unclaimed names of them go round is not known", more),
			"see the server's log: it warns of a forward loop when it meets one"})
	}
	failures := map[string]failure{}
	for attempt := range loopAttempts {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(settleTime):
			}
		}
		random := map[question]string{}
		for _, domain := range domains {
			if f := failures[domain]; attempt == 0 || f.what != "" && !f.loop {
				random[unclaimed(domain)] = domain
			}
		}
		for q, f := range inParallel(ctx, slices.Collect(maps.Keys(random)), func(q question) failure { return failureOf(ask(ctx, q)) }) {
			failures[random[q]] = f
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(failures)), func(f failure) bool { return f.what != "" && !f.loop }) {
			break
		}
	}
	reply, err := ask(ctx, unclaimed(fmt.Sprintf("%x.", rand.Uint64())))
	elsewhere := err == nil && (reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError)
	for domain, f := range failures {
		problem := Problem{Error, "Name", "", hostname.Plain(domain), "ForwardLoop",
			fmt.Sprintf("%s forwards unclaimed names of this domain to a resolver that sends them back to it", server),
			"in the Corefile let forward name a resolver that does not send this domain here, such as your provider's or 9.9.9.9"}
		switch {
		case f.loop:
		case f.what != "" && elsewhere:
			problem.Severity, problem.Fix = Notice, "see that the resolver runs, and "+problem.Fix
			problem.Text = fmt.Sprintf("%s is asked for an unclaimed name of this domain and %s, though others are answered: the resolver that it forwards them to may be down, or send them back to it", server, f.what)
		default:
			continue
		}
		problems = append(problems, problem)
	}
	return problems
}

// unclaimed returns the question for a name of the domain that nobody has thought of.
func unclaimed(domain string) question {
	return question{fmt.Sprintf("minilb-check-%x.%s", rand.Uint64(), domain), dns.TypeA}
}

func failureOf(reply *dns.Msg, err error) failure {
	switch {
	case err != nil:
		return failure{what: "does not answer"}
	case reply.Rcode != dns.RcodeServerFailure:
		return failure{}
	}
	f := failure{what: "returns SERVFAIL"}
	if opt := reply.IsEdns0(); opt != nil {
		f.loop = slices.ContainsFunc(opt.Option, func(o dns.EDNS0) bool {
			ede, is := o.(*dns.EDNS0_EDE)
			return is && ede.InfoCode == lb.ForwardLoopError
		})
	}
	return f
}
