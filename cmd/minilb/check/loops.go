package check

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/config"
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
	var hosts []string
	for _, i := range c.runs {
		hosts = append(hosts, i.Names()...)
		for _, p := range i.Problems() {
			hosts = append(hosts, p.Host)
		}
	}
	zones := c.distinct((*config.Options).AllZones)
	var found []string
	for _, host := range hosts {
		label, domain, _ := strings.Cut(host, ".")
		if domain == "" || slices.ContainsFunc(zones, func(zone string) bool { return hostname.InZone(host, zone) }) {
			continue
		}
		found = append(found, domain)
		if label != "*" && dns.CountLabel(domain) == 1 { // it may be a domain itself, as example.org is
			found = append(found, host)
		}
	}
	return config.Distinct(found)
}

// loops is the failure of a name for which the server reports a forward loop.
const loops = "reports a forward loop"

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
	failures := map[string]string{} // of names of each domain
	again := domains
	for attempt := 0; attempt < loopAttempts && len(again) > 0; attempt++ {
		if attempt > 0 && settle(ctx) != nil {
			return nil
		}
		random := map[question]string{}
		for _, domain := range again {
			random[unclaimed(domain)] = domain
		}
		again = nil
		for q, failure := range askAll(ctx, ask, maps.Keys(random), failureOf) {
			if failures[random[q]] = failure; failure != "" && failure != loops {
				again = append(again, random[q])
			}
		}
	}
	reply, err := ask(ctx, unclaimed(fmt.Sprintf("%x.", rand.Uint64())))
	elsewhere := err == nil && (reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError)
	for domain, failure := range failures {
		problem := Problem{Error, "Name", "", hostname.Plain(domain), "ForwardLoop",
			fmt.Sprintf("%s forwards unclaimed names of this domain to a resolver that sends them back to it", server),
			"in the Corefile let forward name a resolver that does not send this domain here, such as your provider's or 9.9.9.9"}
		switch {
		case failure == loops:
		case failure != "" && elsewhere:
			problem.Severity, problem.Fix = Notice, "see that the resolver runs, and "+problem.Fix
			problem.Text = fmt.Sprintf("%s is asked for an unclaimed name of this domain and %s, though others are answered: the resolver that it forwards them to may be down, or send them back to it", server, failure)
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

// failureOf returns how a name was not answered, in a clause. NXDOMAIN is an answer, and of a name that is refused nobody
// is asked (D4): these have "".
func failureOf(reply *dns.Msg, err error) string {
	switch {
	case err != nil:
		return "does not answer"
	case reply.Rcode != dns.RcodeServerFailure:
		return ""
	}
	if opt := reply.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, is := o.(*dns.EDNS0_EDE); is && ede.InfoCode == lb.ForwardLoopError {
				return loops
			}
		}
	}
	return "returns SERVFAIL"
}
