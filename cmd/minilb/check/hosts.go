package check

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/cmd/minilb/reasons"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// rejected finds the hosts that are rejected, or served in another way than their objects ask for.
func (c *checker) rejected(all []object.Problem) {
	for _, r := range all {
		if r.Reason == object.ReasonEndpoint || r.Reason == object.ReasonUnread {
			continue // reported of its Service, or of the kind
		}
		reason, known := reasons.OfClaims[r.Reason]
		p := Problem{Error, r.Ref.Kind, r.Ref.Namespace, r.Ref.Name, reason.Name, r.Text, reason.Fix}
		explain := fmt.Sprintf("\"minilb explain %s\"", argument(hostname.Plain(r.Host)))
		switch {
		case !known: // it is answered nevertheless
			p.Severity, p.Reason, p.Fix = Warning, "HostDiffers", "run "+explain
		case r.Reason == object.ReasonNotice:
			p.Severity, p.Fix = Notice, "nothing, if that is intended"
		case r.Reason == object.ReasonValue:
			p.Severity = Warning
		case r.Reason == object.ReasonConflict:
			p.Fix += ", which " + explain + " names"
		case r.Reason != object.ReasonNoTarget:
		case r.Ref.Kind == "Ingress":
			p.Fix = "see that its controller copies its Service's hostname into the Ingress' status, or set the annotation minilb/service: <namespace>/<service>"
		case strings.HasSuffix(r.Ref.Kind, "Route"):
			p.Fix = "the route's hosts and a listener's must meet, the Gateway's controller must accept the route, and the Gateway's Service must be of our class: " +
				explain + " shows which of them is not so"
		default:
			p.Fix = "run " + explain
		}
		c.add(p)
	}
}

// multicast finds the zones that many clients never ask for (C7).
func (c *checker) multicast() {
	for _, zone := range c.distinct(func(o *config.Options) []string { return o.Zones }) {
		if hostname.IsMulticast(zone) {
			zone = hostname.Plain(zone)
			c.add(Problem{Notice, "Zone", "", zone, "MulticastZone", fmt.Sprintf("%s %s", zone, hostname.MulticastOnly),
				"choose a zone in another domain, such as home.arpa or internal"})
		}
	}
}

// openClaims finds a plugin block in which several namespaces claim hosts and no claim line restricts them (C6).
func (c *checker) openClaims(n int) {
	o, namespaces := &c.options[n], c.runs[n].Claiming()
	if c.Guessed || len(o.Claims) > 0 || len(namespaces) < 2 {
		return
	}
	some := strings.Join(namespaces[:min(3, len(namespaces))], ", ")
	if len(namespaces) > 3 {
		some += ", …"
	}
	c.add(Problem{Warning, "Corefile", "", hostname.Plain(o.Zones[0]), "OpenClaims",
		fmt.Sprintf("%d namespaces (%s) claim hosts outside of the zones, and no claim line restricts them: each of them, and any other, gets whatever name nobody else has claimed, "+
			"also one that the LAN asks for by itself, such as time.apple.com or dns.google", len(namespaces), some),
		fmt.Sprintf("add lines such as \"claim example.org from %s\" to the block of minilb, or \"claim .\" if all namespaces are trusted", namespaces[0])})
}

func (c *checker) unavailable(all []translator.Unavailable) {
	for _, u := range all {
		c.add(Problem{Warning, "APIResource", "", u.Resource, "Unread", u.Message, "run this with an account that may list and watch " + u.Resource})
	}
}

// inCluster finds the Gateways and Ingresses that lead to addresses that only the cluster reaches: some
// controllers publish their Service's ClusterIP, or its name in the cluster's own DNS.
func (c *checker) inCluster() {
	known := lb.NewInCluster(c.services)
	for _, i := range c.runs {
		for _, at := range i.Addresses() {
			if what := known.Describe(at.Address); what != "" {
				c.add(Problem{Warning, at.Kind, at.Namespace, at.Name, "InClusterAddress",
					fmt.Sprintf("its status address %s is %s: clients outside of the cluster do not reach hosts that lead there", at.Address, what),
					"let its controller publish a Service of type LoadBalancer and of our class, or name one by the annotation " + lb.ServiceAnnotation + ": <namespace>/<service>"})
			}
		}
	}
}

// argument returns a host as it stands in a command that people copy into a shell: HOST in place of one that a shell
// reads as something else, or of none (R15).
func argument(host string) string {
	if len(validation.IsDNS1123Subdomain(strings.TrimPrefix(host, "*."))) > 0 {
		return "HOST"
	}
	return host
}
