package check

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/source"
)

// refused says which hosts are refused, or not served as their objects ask for it.
func refused(all []source.Refusal) []Finding {
	var findings []Finding
	for _, r := range all {
		if r.Kind == "EndpointSlice" {
			continue // it is said of its Service
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
			if source.IsMulticast(zone) {
				zone = strings.TrimSuffix(zone, ".")
				findings = append(findings, Finding{Notice, "Zone", "", zone, "MulticastZone", fmt.Sprintf("%s %s", zone, source.MulticastOnly),
					"choose a zone in another domain, such as home.arpa or internal"})
			}
		}
	}
	return findings
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
	return strings.ReplaceAll(fix, "HOST", cmp.Or(host, "HOST"))
}

// routeFix says what routes take.
const routeFix = "the route's hosts and a listener's must meet, the Gateway's controller must accept the route, and the Gateway's Service must be of our class: " +
	"\"minilb explain HOST\" shows which of them is not so"

// refusals has what is said for each of source.Reasons.
var refusals = map[string]refusal{
	"conflict":    {Error, "HostConflict", "choose another host, or remove the older claim, which \"minilb explain HOST\" names", nil},
	"reserved":    {Error, "HostReserved", "choose a host outside of the zone, or below the object's own namespace", nil},
	"invalid":     {Error, "InvalidHost", "write a DNS name of letters, digits, hyphens and dots, and addresses that clients can reach", nil},
	"not_allowed": {Error, "HostNotAllowed", "add the object's namespace to a claim line of the Corefile, or choose a host that one allows", nil},
	"dead": {Error, "HostNotServed", "see what \"minilb explain HOST\" says", map[string]string{
		"Ingress":   "see that its controller copies its Service's hostname into the Ingress' status, or set the annotation minilb/service: <namespace>/<service>",
		"HTTPRoute": routeFix, "GRPCRoute": routeFix, "TLSRoute": routeFix,
	}},
	source.ReasonNotice: {Notice, "HostNotice", "nothing, if that is what is meant", nil},
	"":                  {Warning, "HostDiffers", "see what \"minilb explain HOST\" says", nil},
}

// endpoints says what keeps a Service from being answered with an address.
func (c *checker) endpoints(service source.Exposed) []Finding {
	finding := Finding{Error, "Service", service.Namespace, service.Name, "NoEndpoints", "", ""}
	states := map[string]int{}
	for _, endpoint := range service.Endpoints {
		if endpoint.Answered {
			return problemsOf(service)
		}
		states[endpoint.State]++
	}
	raw := c.byName[cache.NewObjectName(service.Namespace, service.Name)]
	var parts []string
	for _, state := range []string{"ready", "not ready", "terminating, still serving", "terminating"} {
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
		if states["ready"] > 0 {
			finding.Fix = "answer with the family of its endpoints, too, by the property families, or let the Service have both (ipFamilyPolicy: PreferDualStack)"
		}
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
