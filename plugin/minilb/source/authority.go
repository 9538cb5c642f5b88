package source

import (
	"fmt"

	"k8s.io/client-go/tools/cache"
)

// nameserver is the label below the apex where a zone's name server stands (D26).
const nameserver = "ns1"

// refusal says why a claim may not have a host; the zero value lets it.
type refusal struct {
	reason Reason
	text   string
}

// admit decides whether the owner may claim host at all, whoever else claims it: by the
// zone's structure (D17, C8), then by what is reserved (C7) and the claim rules (C6).
func (r *resolver) admit(owner *owner, host string) refusal {
	if service, ok := r.serviceAt(host); ok {
		return refusal{ReasonReserved, fmt.Sprintf("it is the name of Service %s", service)}
	}
	for _, zone := range r.options.ReverseZones {
		if inZone(host, zone) {
			return refusal{ReasonReserved, fmt.Sprintf("it lies in the reverse zone %s", plain(zone))}
		}
	}
	if text, suffix := r.options.reserved(host); text != "" {
		return r.withhold(text, suffix)
	}
	if zone := r.options.zone(host); zone != "" {
		labels := below(host, zone)
		switch n := len(labels); {
		case n == 1 && labels[0] == "*":
			return refusal{ReasonReserved, fmt.Sprintf("it would cover every namespace of zone %s", plain(zone))}
		case n == 1 && labels[0] == nameserver:
			return refusal{ReasonReserved, fmt.Sprintf("it is the name server of zone %s", plain(zone))}
		case n == 1 && labels[0] != owner.namespace && r.options.Services && r.asked.namespace(labels[0]):
			return refusal{ReasonReserved, fmt.Sprintf("it stands above the Services of namespace %q", labels[0])}
		case n == 1 && labels[0] != owner.namespace && r.options.Services && r.asked.exists(labels[0]) && !r.options.excepts(host, host): // C7
			return r.withhold(fmt.Sprintf("it is the name of namespace %q", labels[0]), host)
		case n >= 2 && labels[n-1] != owner.namespace:
			return refusal{ReasonReserved, fmt.Sprintf("names below %s.%s belong to namespace %q", labels[n-1], plain(zone), labels[n-1])}
		case n >= 2:
			return refusal{} // a namespace's own subtree needs no rule
		}
	}
	if !r.options.allowed(host, owner.namespace) {
		return refusal{ReasonNotAllowed, fmt.Sprintf("no claim line of the Corefile lets namespace %q have it", owner.namespace)}
	}
	return refusal{}
}

// withhold is the refusal of what a claim line for the suffix allows (C7). The first such line must allow all
// else as well, which nobody could claim any more otherwise (C6).
func (r *resolver) withhold(text, suffix string) refusal {
	if len(r.options.Claims) == 0 {
		return refusal{ReasonWithheld, fmt.Sprintf("%s; the line \"claim . %s\" in the Corefile would allow it, and all others as before", text, plain(suffix))}
	}
	return refusal{ReasonWithheld, fmt.Sprintf("%s; a claim line that names %s would allow it", text, plain(suffix))}
}

// serviceAt returns the exposed Service whose name host is.
func (r *resolver) serviceAt(host string) (service cache.ObjectName, ok bool) {
	service, ok = r.options.serviceNamed(host)
	return service, ok && r.isExposed(service)
}
