package check

import (
	"fmt"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/source"
)

// refused says which hosts are refused, or not served as their objects ask for it.
func refused(all []source.Refusal) []Finding {
	var findings []Finding
	for _, r := range all {
		if r.Reason == object.ReasonEndpoint || r.Reason == object.ReasonUnread {
			continue // it is said of its Service, or of the kind that cannot be read
		}
		reason, known := refusals[r.Reason]
		if !known {
			reason = refusals[""]
		}
		findings = append(findings, Finding{reason.severity, r.Kind, r.Namespace, r.Name, reason.reason, r.Text, reason.of(r.Kind, r.Host)})
	}
	return findings
}

// multicast says which zones many clients never ask for (C7).
func (c *checker) multicast() []Finding {
	var findings []Finding
	for i := range c.options {
		for _, zone := range c.options[i].Zones {
			if hostname.IsMulticast(zone) {
				zone = strings.TrimSuffix(zone, ".")
				findings = append(findings, Finding{Notice, "Zone", "", zone, "MulticastZone", fmt.Sprintf("%s %s", zone, hostname.MulticastOnly),
					"choose a zone in another domain, such as home.arpa or internal"})
			}
		}
	}
	return findings
}

// openClaims says where several namespaces claim hosts and the Corefile does not say which may claim what (C6).
func (c *checker) openClaims(n int) []Finding {
	o, namespaces := &c.options[n], c.inspections[n].Claiming()
	if c.Guessed || len(o.Claims) > 0 || len(namespaces) < 2 {
		return nil
	}
	some := strings.Join(namespaces[:min(3, len(namespaces))], ", ")
	if len(namespaces) > 3 {
		some += ", …"
	}
	return []Finding{{Warning, "Corefile", "", strings.TrimSuffix(o.Zones[0], "."), "OpenClaims",
		fmt.Sprintf("%d namespaces (%s) claim hosts outside of the zones, and no claim line says which may claim what: each of them, and any other, gets whatever name nobody else has claimed, "+
			"also one that the LAN asks for by itself, such as time.apple.com or dns.google", len(namespaces), some),
		fmt.Sprintf("add lines such as \"claim example.org from %s\" to the block of minilb, or \"claim .\" if all namespaces are trusted", namespaces[0])}}
}

// unread says which kinds the plugin itself could not read.
func unread(all []source.Unread) []Finding {
	var findings []Finding
	for _, u := range all {
		findings = append(findings, Finding{Warning, "APIResource", "", u.Resource, "Unread", u.Why,
			"run this with an account that may list and watch " + u.Resource})
	}
	return findings
}

// refusal is what a refused host is called, and what to do about it.
type refusal struct {
	severity Severity
	reason   string
	fix      string            // in which HOST is the host
	fixes    map[string]string // of some kinds, in place of fix
}

// of returns the fix for an object of a kind. The host may be empty.
func (r refusal) of(kind, host string) string {
	fix, has := r.fixes[kind]
	if !has {
		fix = r.fix
	}
	return strings.ReplaceAll(fix, "HOST", argument(host))
}

// argument returns a host as it stands in a command that people copy into a shell: HOST in place of one that a shell
// reads as something else, or of none (R15).
func argument(host string) string {
	if len(validation.IsDNS1123Subdomain(strings.TrimPrefix(host, "*."))) > 0 {
		return "HOST"
	}
	return host
}

// routeFix says what routes take.
const routeFix = "the route's hosts and a listener's must meet, the Gateway's controller must accept the route, and the Gateway's Service must be of our class: " +
	"\"minilb explain HOST\" shows which of them is not so"

// refusals has what is said for each reason, "" for a host that is answered, though not as asked.
var refusals = map[object.Reason]refusal{
	object.ReasonConflict:   {Error, "HostConflict", "choose another host, or remove the older claim, which \"minilb explain HOST\" names", nil},
	object.ReasonReserved:   {Error, "HostReserved", "choose a host outside of the zone, or below the object's own namespace", nil},
	object.ReasonWithheld:   {Error, "HostReserved", "choose another host, or add the line", nil},
	object.ReasonInvalid:    {Error, "InvalidHost", "write a DNS name of letters, digits, hyphens and dots", nil},
	object.ReasonTooMany:    {Error, "TooManyHosts", "remove some, or spread them over more objects and namespaces", nil},
	object.ReasonAddress:    {Error, "InvalidObject", "have its controller publish an address that clients can reach", nil},
	object.ReasonUnlisted:   {Error, "InvalidObject", "have its controller publish an address of such a network, or add the network there", nil},
	object.ReasonALPN:       {Error, "InvalidObject", "list protocols such as h2 and http/1.1, separated by commas", nil},
	object.ReasonObject:     {Error, "InvalidObject", "correct the field: its kind's definition says what belongs there", nil},
	object.ReasonNotAllowed: {Error, "HostNotAllowed", "add the object's namespace to a claim line of the Corefile, or choose a host that one allows", nil},
	object.ReasonNoTarget: {Error, "HostNotServed", "see what \"minilb explain HOST\" says", map[string]string{
		"Ingress":   "see that its controller copies its Service's hostname into the Ingress' status, or set the annotation minilb/service: <namespace>/<service>",
		"HTTPRoute": routeFix, "GRPCRoute": routeFix, "TLSRoute": routeFix,
	}},
	object.ReasonNotice: {Notice, "HostNotice", "nothing, if that is what is meant", nil},
	"":                  {Warning, "HostDiffers", "see what \"minilb explain HOST\" says", nil},
}

// endpoints says what keeps a Service from being answered with an address, or what its slices have that is not.
func (c *checker) endpoints(service source.Exposed) []Finding {
	finding := Finding{Error, "Service", service.Namespace, service.Name, "NoEndpoints", "", ""}
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
		finding.Text = fmt.Sprintf("no address is answered: of its endpoints %s", strings.Join(parts, ", "))
		finding.Fix = "see why its pods are not ready: kubectl describe pods"
		if states[object.StateReady] > 0 {
			finding.Fix = "answer with the family of its endpoints, too, by the property families, or let the Service have both (ipFamilyPolicy: PreferDualStack)"
		}
	case len(service.Problems) > 0:
		finding.Text = "no address is answered: " + strings.Join(service.Problems, "; ")
		finding.Fix = "let its EndpointSlices have addressType IPv4 or IPv6, and addresses that clients can reach"
		return []Finding{finding}
	case raw != nil && len(raw.Spec.Selector) == 0 && len(own) > 0:
		finding.Text = fmt.Sprintf("no address is answered: it has no selector, and its EndpointSlice %s has no endpoint", own[0].Name)
		finding.Fix = "add endpoints to it, or give the Service a selector"
	case raw != nil && len(raw.Spec.Selector) == 0:
		finding.Text = "no address is answered: it has no selector, and no EndpointSlice"
		finding.Fix = "give it a selector, or make EndpointSlices with the label kubernetes.io/service-name"
	default:
		finding.Text = "no address is answered: its selector matches no pod that has an address"
		finding.Fix = "compare spec.selector with the labels of the pods, and see that they run"
	}
	return append(problemsOf(service), finding)
}

// problemsOf says what is wrong with a Service's slices.
func problemsOf(service source.Exposed) []Finding {
	var findings []Finding
	for _, text := range service.Problems {
		findings = append(findings, Finding{Warning, "Service", service.Namespace, service.Name, "EndpointIgnored", text, "mend what writes the EndpointSlice"})
	}
	return findings
}
