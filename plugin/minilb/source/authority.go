package source

import (
	"fmt"

	"k8s.io/client-go/tools/cache"
)

// nameserver is the label below the apex where a zone's name server stands (D26).
const nameserver = "ns1"

// refusal says why a claim may not have a host; the zero value lets it.
type refusal struct {
	reason reason
	text   string
}

// admit decides whether the owner may claim host at all, whoever else claims it: by the
// zone's structure (D17, C8), then by the claim rules (C6). exposed reports which Services
// have names of their own.
func (o *Options) admit(owner *owner, host string, exposed func(cache.ObjectName) bool) refusal {
	zone := o.zone(host)
	if zone != "" {
		labels := below(host, zone)
		switch n := len(labels); {
		case n == 1 && labels[0] == "*":
			return refusal{reserved, fmt.Sprintf("it would cover every namespace of zone %s", zone)}
		case n == 1 && labels[0] == nameserver:
			return refusal{reserved, fmt.Sprintf("it is the name server of zone %s", zone)}
		case n >= 2 && labels[n-1] != owner.namespace:
			return refusal{reserved, fmt.Sprintf("names below %s.%s belong to namespace %q", labels[n-1], zone, labels[n-1])}
		case n == 2 && exposed(cache.NewObjectName(labels[1], labels[0])):
			return refusal{reserved, fmt.Sprintf("it is the name of Service %s/%s", labels[1], labels[0])}
		case n >= 2:
			return refusal{} // a namespace's own subtree needs no rule
		}
	}
	if !o.allowed(host, owner.namespace) {
		return refusal{notAllowed, fmt.Sprintf("no claim line of the Corefile lets namespace %q have it", owner.namespace)}
	}
	return refusal{}
}

// serviceAt returns the Service whose name host would be by the zone's structure (M3, D16).
func (o *Options) serviceAt(host string) (cache.ObjectName, bool) {
	zone := o.zone(host)
	if zone == "" {
		return cache.ObjectName{}, false
	}
	labels := below(host, zone)
	if len(labels) != 2 {
		return cache.ObjectName{}, false
	}
	return cache.NewObjectName(labels[1], labels[0]), true
}
