package source

import (
	"fmt"

	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// nameserver is the label below the apex where a zone's name server stands (D26).
const nameserver = "ns1"

// refusal says why a claim may not have a host; the zero value lets it.
type refusal struct {
	reason object.Reason
	text   string
}

// admit decides whether the owner may claim host at all, whoever else claims it: by the
// zone's structure (D17, C8), then by what is reserved (C7) and the claim rules (C6).
func (r *resolver) admit(owner *object.Ref, host string) refusal {
	if service, ok := r.serviceAt(host); ok {
		return refusal{object.ReasonReserved, fmt.Sprintf("it is the name of Service %s", service)}
	}
	for _, zone := range r.options.ReverseZones {
		if hostname.InZone(host, zone) {
			return refusal{object.ReasonReserved, fmt.Sprintf("it lies in the reverse zone %s", hostname.Plain(zone))}
		}
	}
	if text, suffix := r.options.Reserved(host); text != "" {
		return r.withhold(text, suffix)
	}
	if zone := r.options.Zone(host); zone != "" {
		labels := hostname.Labels(host, zone)
		switch n := len(labels); {
		case n == 1 && labels[0] == "*":
			return refusal{object.ReasonReserved, fmt.Sprintf("it would cover every namespace of zone %s", hostname.Plain(zone))}
		case n == 1 && labels[0] == nameserver:
			return refusal{object.ReasonReserved, fmt.Sprintf("it is the name server of zone %s", hostname.Plain(zone))}
		case n == 1 && labels[0] != owner.Namespace && r.options.Services && r.asked.namespace(labels[0]):
			return refusal{object.ReasonReserved, fmt.Sprintf("it stands above the Services of namespace %q", labels[0])}
		case n == 1 && labels[0] != owner.Namespace && r.options.Services && r.asked.exists(labels[0]) && !r.options.Excepts(host, host): // C7
			return r.withhold(fmt.Sprintf("it is the name of namespace %q", labels[0]), host)
		case n >= 2 && labels[n-1] != owner.Namespace:
			return refusal{object.ReasonReserved, fmt.Sprintf("names below %s.%s belong to namespace %q", labels[n-1], hostname.Plain(zone), labels[n-1])}
		case n >= 2:
			return refusal{} // a namespace's own subtree needs no rule
		}
	}
	if !r.options.MayClaim(host, owner.Namespace) {
		return refusal{object.ReasonNotAllowed, fmt.Sprintf("no claim line of the Corefile lets namespace %q have it", owner.Namespace)}
	}
	return refusal{}
}

// withhold is the refusal of what a claim line for the suffix allows (C7). The first such line must allow all
// else as well, which nobody could claim any more otherwise (C6).
func (r *resolver) withhold(text, suffix string) refusal {
	if len(r.options.Claims) == 0 {
		return refusal{object.ReasonWithheld, fmt.Sprintf("%s; the line \"claim . %s\" in the Corefile would allow it, and all others as before", text, hostname.Plain(suffix))}
	}
	return refusal{object.ReasonWithheld, fmt.Sprintf("%s; a claim line that names %s would allow it", text, hostname.Plain(suffix))}
}

// serviceAt returns the exposed Service whose name host is.
func (r *resolver) serviceAt(host string) (service cache.ObjectName, ok bool) {
	service, ok = r.options.ServiceAt(host)
	return service, ok && r.isExposed(service)
}
