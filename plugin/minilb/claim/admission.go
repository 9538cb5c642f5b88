package claim

import (
	"fmt"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Nameserver is the label below the apex where a zone's name server stands (D26).
const Nameserver = "ns1"

// rejection is why a claim may not have a host; the zero value admits it.
type rejection struct {
	reason object.Reason
	text   string
}

// admit decides whether a claim may have a host at all: by the zone's structure (D17, C8), by what is reserved (C7), and by
// the claim rules (C6).
func (r *Resolver) admit(e *Entry, host string) rejection {
	if service, ok := r.serviceAt(e, host); ok {
		return rejection{object.ReasonReserved, fmt.Sprintf("it is the name of Service %s", service)}
	}
	for _, zone := range r.options.ReverseZones {
		if hostname.InZone(host, zone) {
			return rejection{object.ReasonReserved, "it lies in the reverse zone " + hostname.Plain(zone)}
		}
	}
	if text, suffix := r.options.Reserved(host); text != "" {
		return r.withhold(text, suffix)
	}
	if zone := r.options.Zone(host); zone != "" {
		labels := hostname.Labels(host, zone)
		switch n := len(labels); {
		case n == 1 && labels[0] == "*":
			return rejection{object.ReasonReserved, fmt.Sprintf("it would cover every namespace of zone %s", hostname.Plain(zone))}
		case n == 1 && labels[0] == Nameserver:
			return rejection{object.ReasonReserved, fmt.Sprintf("it is the name server of zone %s", hostname.Plain(zone))}
		case n == 1 && labels[0] != e.Namespace && r.options.Services && r.namespace(e, labels[0]).populated:
			return rejection{object.ReasonReserved, fmt.Sprintf("it stands above the Services of namespace %q", labels[0])}
		case n == 1 && labels[0] != e.Namespace && r.options.Services && r.namespace(e, labels[0]).exists && !r.options.Excepts(host, host): // C7
			return r.withhold(fmt.Sprintf("it is the name of namespace %q", labels[0]), host)
		case n >= 2 && labels[n-1] != e.Namespace:
			return rejection{object.ReasonReserved, fmt.Sprintf("names below %s.%s belong to namespace %q", labels[n-1], hostname.Plain(zone), labels[n-1])}
		case n >= 2:
			return rejection{} // a namespace's own subtree needs no rule
		}
	}
	if !r.options.MayClaim(host, e.Namespace) {
		return rejection{object.ReasonNotAllowed, fmt.Sprintf("no claim line of the Corefile lets namespace %q have it", e.Namespace)}
	}
	return rejection{}
}

// withhold returns the rejection of what a claim line for the suffix allows (C7). The first claim line must allow all other
// hosts as well, which nobody could claim any more otherwise (C6).
func (r *Resolver) withhold(text, suffix string) rejection {
	if len(r.options.Claims) == 0 {
		return rejection{object.ReasonWithheld, fmt.Sprintf("%s; the line \"claim . %s\" in the Corefile would allow it, and all others as before", text, hostname.Plain(suffix))}
	}
	return rejection{object.ReasonWithheld, fmt.Sprintf("%s; a claim line that names %s would allow it", text, hostname.Plain(suffix))}
}
