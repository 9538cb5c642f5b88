package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Name is a name to be explained.
type Name struct {
	Canonical string
	Note      string // how an argument that is not a plain name was understood, "" for one that is
}

// Names returns the names that arguments stand for: a name, the host of a URL or of an address with a port, or
// NAMESPACE/NAME for the name of a Service in the first zone, an address for its reverse name. The error is about the first one that is wrong.
func Names(arguments []string, corefile *config.Corefile) ([]Name, error) {
	var names []Name
	for _, argument := range arguments {
		name, err := parseName(argument, corefile.Blocks[0].Options.Zones[0])
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func parseName(text, zone string) (Name, error) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		addr = addr.Unmap().WithZone("")
		name, _ := dns.ReverseAddr(addr.String()) // fails only for what is not an address
		return Name{name, fmt.Sprintf("%s is the reverse name of %s", hostname.Plain(name), addr)}, nil
	}
	if namespace, service, found := strings.Cut(text, "/"); found && isLabel(namespace) && isLabel(service) {
		name := service + "." + namespace + "." + zone
		return Name{name, fmt.Sprintf("%s is the name of Service %s", hostname.Plain(name), text)}, nil
	}
	if _, ok := dns.IsDomainName(text); ok && text != "" && !strings.ContainsAny(text, "/:@;\"'") && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Name{Canonical: dns.CanonicalName(text)}, nil
	}
	if host := hostname.Suggest(text); host != "" {
		return Name{dns.CanonicalName(host), fmt.Sprintf("of %q only the host is a name of DNS", text)}, nil
	}
	return Name{}, fmt.Errorf("%q is not a DNS name", text)
}

func isLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }
