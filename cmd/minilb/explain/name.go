package explain

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// Name returns the name that an argument means, as DNS has it: itself, the host of a URL or of an
// address with a port, or the name in the zone of a Service that is given as NAMESPACE/NAME. The
// note says what was made of it, "" of a plain name, and the error what is wrong with it.
func Name(text, zone string) (name, note string, err error) {
	if _, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return "", "", fmt.Errorf("%q is an address: name what should lead to it", text)
	}
	if namespace, service, found := strings.Cut(text, "/"); found && isLabel(namespace) && isLabel(service) {
		name = service + "." + namespace + "." + zone
		return name, fmt.Sprintf("%s is the name of Service %s", plain(name), text), nil
	}
	if _, ok := dns.IsDomainName(text); ok && text != "" && !strings.ContainsAny(text, "/:@;\"'") && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return dns.CanonicalName(text), "", nil
	}
	if host := hostname.Suggest(text); host != "" {
		return dns.CanonicalName(host), fmt.Sprintf("of %q only the host is a name of DNS", text), nil
	}
	return "", "", fmt.Errorf("%q is not a DNS name", text)
}

func isLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }
