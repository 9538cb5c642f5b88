package check

import (
	"fmt"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/reasons"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// rejected returns the hosts that are rejected, or served in another way than their objects ask for.
func rejected(all []object.Problem) []Problem {
	var problems []Problem
	for _, p := range all {
		if p.Reason != object.ReasonEndpoint && p.Reason != object.ReasonUnread { // reported of its Service, or of the kind
			problems = append(problems, rejectedHost(&p))
		}
	}
	return problems
}

// rejectedHost returns the problem of one host. If the host is answered nevertheless, the reason is none of a claim's.
func rejectedHost(r *object.Problem) Problem {
	reason, known := reasons.OfClaims[r.Reason]
	p := Problem{Error, r.Ref.Kind, r.Ref.Namespace, r.Ref.Name, reason.Name, r.Text, reason.Fix}
	explain := fmt.Sprintf("\"minilb explain %s\"", argument(hostname.Plain(r.Host)))
	switch {
	case !known:
		p.Severity, p.Reason, p.Fix = Warning, "HostDiffers", "run "+explain
	case r.Reason == object.ReasonNotice:
		p.Severity, p.Fix = Notice, "nothing, if that is intended"
	case r.Reason == object.ReasonConflict:
		p.Fix += ", which " + explain + " names"
	case r.Reason == object.ReasonNoTarget && r.Ref.Kind == "Ingress":
		p.Fix = "see that its controller copies its Service's hostname into the Ingress' status, or set the annotation minilb/service: <namespace>/<service>"
	case r.Reason == object.ReasonNoTarget && strings.HasSuffix(r.Ref.Kind, "Route"):
		p.Fix = "the route's hosts and a listener's must meet, the Gateway's controller must accept the route, and the Gateway's Service must be of our class: " +
			explain + " shows which of them is not so"
	case r.Reason == object.ReasonNoTarget:
		p.Fix = "run " + explain
	}
	return p
}

// multicast returns the zones that many clients never ask for (C7).
func (c *checker) multicast() []Problem {
	var problems []Problem
	for i := range c.options {
		for _, zone := range c.options[i].Zones {
			if hostname.IsMulticast(zone) {
				zone = hostname.Plain(zone)
				problems = append(problems, Problem{Notice, "Zone", "", zone, "MulticastZone", fmt.Sprintf("%s %s", zone, hostname.MulticastOnly),
					"choose a zone in another domain, such as home.arpa or internal"})
			}
		}
	}
	return problems
}

// openClaims returns a problem if several namespaces claim hosts and no claim line restricts them (C6).
func (c *checker) openClaims(n int) []Problem {
	o, namespaces := &c.options[n], c.runs[n].Claiming()
	if c.Guessed || len(o.Claims) > 0 || len(namespaces) < 2 {
		return nil
	}
	some := strings.Join(namespaces[:min(3, len(namespaces))], ", ")
	if len(namespaces) > 3 {
		some += ", …"
	}
	return []Problem{{Warning, "Corefile", "", hostname.Plain(o.Zones[0]), "OpenClaims",
		fmt.Sprintf("%d namespaces (%s) claim hosts outside of the zones, and no claim line restricts them: each of them, and any other, gets whatever name nobody else has claimed, "+
			"also one that the LAN asks for by itself, such as time.apple.com or dns.google", len(namespaces), some),
		fmt.Sprintf("add lines such as \"claim example.org from %s\" to the block of minilb, or \"claim .\" if all namespaces are trusted", namespaces[0])}}
}

func unavailable(all []translator.Unavailable) []Problem {
	var problems []Problem
	for _, u := range all {
		problems = append(problems, Problem{Warning, "APIResource", "", u.Resource, "Unread", u.Message,
			"run this with an account that may list and watch " + u.Resource})
	}
	return problems
}

// argument returns a host as it stands in a command that people copy into a shell: HOST in place of one that a shell
// reads as something else, or of none (R15).
func argument(host string) string {
	if len(validation.IsDNS1123Subdomain(strings.TrimPrefix(host, "*."))) > 0 {
		return "HOST"
	}
	return host
}

// endpoints returns what keeps a Service from being answered with an address, and what of its slices is ignored.
func (c *checker) endpoints(service translator.ServiceStatus) []Problem {
	problem := Problem{Error, "Service", service.Namespace, service.Name, "NoEndpoints", "", ""}
	states := map[string]int{}
	for _, endpoint := range service.Endpoints {
		if endpoint.Answered {
			return problemsOf(service)
		}
		states[endpoint.State]++
	}
	name := cache.NewObjectName(service.Namespace, service.Name)
	raw := c.byName[name]
	own := slices.DeleteFunc(slices.Clone(c.slices[name]), func(s *discoveryv1.EndpointSlice) bool { return lb.Ignored(s.Labels) })
	var parts []string
	for _, state := range []string{object.StateReady, object.StateNotReady, object.StateServing, object.StateTerminating} {
		if n := states[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	switch {
	case raw != nil && c.byCilium(raw):
		return problemsOf(service)
	case len(parts) > 0:
		problem.Text = fmt.Sprintf("no address is answered: of its endpoints %s", strings.Join(parts, ", "))
		problem.Fix = "see why its pods are not ready: kubectl describe pods"
		if states[object.StateReady] > 0 {
			problem.Fix = "answer with the family of its endpoints, too, by the property families, or let the Service have both (ipFamilyPolicy: PreferDualStack)"
		}
	case len(service.Problems) > 0:
		problem.Text = "no address is answered: " + strings.Join(service.Problems, "; ")
		problem.Fix = "let its EndpointSlices have addressType IPv4 or IPv6, and addresses that clients can reach"
		return []Problem{problem}
	case raw != nil && len(raw.Spec.Selector) == 0 && len(own) > 0:
		problem.Text = fmt.Sprintf("no address is answered: it has no selector, and its EndpointSlice %s has no endpoint", own[0].Name)
		problem.Fix = "add endpoints to it, or give the Service a selector"
	case raw != nil && len(raw.Spec.Selector) == 0:
		problem.Text = "no address is answered: it has no selector, and no EndpointSlice"
		problem.Fix = "give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"
	default:
		problem.Text = "no address is answered: its selector matches no pod that has an address"
		problem.Fix = "compare spec.selector with the labels of the pods, and see that they run"
	}
	return append(problemsOf(service), problem)
}

func problemsOf(service translator.ServiceStatus) []Problem {
	var problems []Problem
	for _, text := range service.Problems {
		problems = append(problems, Problem{Warning, "Service", service.Namespace, service.Name, "EndpointIgnored", text, reasons.OfClaims[object.ReasonEndpoint].Fix})
	}
	return problems
}
