// Package hostname has the names of hosts: how they are read from what users write, how wildcards meet, and which
// zone a name lies in. Names are canonical: in lower case and with a final dot.
package hostname

import (
	"strings"

	"github.com/miekg/dns"
)

// InZone reports whether a canonical name is zone's apex or lies below it.
func InZone(name, zone string) bool {
	if zone == "." {
		return true
	}
	above, found := strings.CutSuffix(name, zone)
	if !found || above == "" {
		return found
	}
	// The dot that ends the label before must not be one inside a label, "\." (D15).
	labels, found := strings.CutSuffix(above, ".")
	return found && (len(labels)-len(strings.TrimRight(labels, `\`)))%2 == 0
}

// Labels returns the labels of host above zone, leftmost first.
func Labels(host, zone string) []string {
	labels := dns.SplitDomainName(host)
	return labels[:len(labels)-dns.CountLabel(zone)]
}

// Parent returns a name, which has no escapes, without its first label.
func Parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// Plain returns a canonical name as people write it, without its final dot.
func Plain(name string) string { return strings.TrimSuffix(name, ".") }

// IsLocalhost reports whether a canonical name means the host that asks for it (RFC 6761 §6.3).
func IsLocalhost(host string) bool {
	return InZone(host, "localhost.") || InZone(host, "localhost.localdomain.")
}

// IsMulticast reports whether many clients resolve a canonical name by multicast only (RFC 6762 §3).
func IsMulticast(name string) bool { return InZone(name, "local.") }

// MulticastOnly is what follows for such a name, as a clause.
const MulticastOnly = "lies in local, where macOS, iOS and Linux with systemd-resolved or Avahi look names up by multicast and ask no server (RFC 6762)"

// IsSought reports whether clients ask for a canonical name by themselves, to find their proxy or tunnel: no
// wildcard covers it, as whoever has that did not mean to be one (C7).
func IsSought(name string) bool {
	return strings.HasPrefix(name, "wpad.") || strings.HasPrefix(name, "isatap.")
}
