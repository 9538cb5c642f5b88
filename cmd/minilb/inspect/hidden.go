package inspect

import (
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/records"
)

// relevant returns of the objects that ask for a name those that have to do with its answer. A wildcard
// that counts and does not answer here gets a message that names what hides it (D10). As any tenant may ask for all
// names of a domain, one that is refused is left out where the name is answered or asked for by itself, and
// where it is a Service's that no wildcard of the zone could ever cover (D17).
func (i *DryRun) relevant(name string, all []ClaimStatus) []ClaimStatus {
	zone, result, node := i.Lookup(name)
	_, service := i.ServiceAt(name)
	itself := result == records.Found || slices.ContainsFunc(all, func(c ClaimStatus) bool { return dns.Fqdn(c.Host) == name })
	var relevant []ClaimStatus
	for _, c := range all {
		host := dns.Fqdn(c.Host)
		switch {
		case host == name:
		case !bool(c.Accepted) && (itself || service != "" && host == "*."+zone):
			continue
		case bool(c.Accepted) && i.Hosts[host] != node:
			c.Accepted, c.Targets, c.Services, c.Message = false, nil, nil, i.hiddenBy(name, host)
		}
		relevant = append(relevant, c)
	}
	return relevant
}

// hiddenBy returns why a wildcard that counts is not what answers for a canonical name.
func (i *DryRun) hiddenBy(name, wildcard string) string {
	o, names := i.Options, i.Names()
	wide, owner := hostname.Plain(wildcard), i.ownerOf(wildcard)
	for offset, end := 0, false; !end && name[offset:] != wildcard[2:]; offset, end = dns.NextLabel(name, offset) {
		encloser := name[offset:]
		closer := "*." + encloser
		node, claimed := i.Hosts[encloser]
		below := slices.IndexFunc(names, func(n string) bool {
			return n != encloser && hostname.InZone(n, encloser) && i.ownerOf(n) == owner // others keep it off nothing (C7b)
		})
		switch {
		case claimed && node == nil: // C6
			return fmt.Sprintf("%q does not count here: a claim line of the Corefile gives %q to other namespaces", wide, hostname.Plain(encloser))
		case offset == 0 && slices.Contains(names, name):
			return fmt.Sprintf("%q does not count here: the name exists by itself", wide)
		case hostname.IsSought(name): // C7
			return fmt.Sprintf("%q does not count here: clients ask for such names by themselves, and no wildcard covers them", wide)
		case offset > 0 && slices.Contains(names, closer):
			return fmt.Sprintf("%q does not count here: %q is closer", wide, hostname.Plain(closer))
		case slices.Contains(o.Zones, encloser):
			return fmt.Sprintf("%q does not count here: the name lies in the zone %q, which is answered for by itself", wide, hostname.Plain(encloser))
		case offset > 0 && slices.Contains(names, encloser):
			return fmt.Sprintf("%q does not count here: %q exists, and a wildcard covers nothing below that (RFC 4592); claim %q as well, or %q", wide, hostname.Plain(encloser), hostname.Plain(name), hostname.Plain(closer))
		case below >= 0:
			text := fmt.Sprintf("%q does not count here: %q exists, as %q lies below it, and a wildcard covers nothing that exists or is below that (RFC 4592); claim %q as well",
				wide, hostname.Plain(encloser), hostname.Plain(names[below]), hostname.Plain(name))
			if offset > 0 {
				text += fmt.Sprintf(", or %q", hostname.Plain(closer))
			}
			return text
		}
	}
	return fmt.Sprintf("%q does not count here: a closer name hides it", wide)
}

// ownerOf returns the namespace that has a claimed name, "" where that does not matter: in a zone.
func (i *DryRun) ownerOf(name string) string {
	out, claimed := i.Resolver.Resolution(name)
	if i.Options.Zone(name) != "" || !claimed {
		return ""
	}
	return out.Winner.Namespace
}
