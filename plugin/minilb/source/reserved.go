package source

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// special are domains that are no domain of the LAN's, with what they are for (RFC 6761, RFC 7686).
var special = map[string]string{
	"arpa.": "names of the Internet's infrastructure", "localhost.": "whoever asks", "invalid.": "names that do not exist", "onion.": "Tor",
	"use-application-dns.net.": "browsers, which ask whether to use DNS over HTTPS",
}

// homeNetwork is the one domain below arpa that is for everybody's use (RFC 8375).
const homeNetwork = "home.arpa."

// reserved says why nobody may claim a host, as it would take over what clients ask for by themselves,
// or more than anybody has, "" if it may be claimed. A claim line that names the suffix, and a zone below
// it, makes an exception (C7).
func (o *Options) reserved(host string) (text, suffix string) {
	parent, wildcard := strings.CutPrefix(host, "*.")
	first, _, _ := strings.Cut(parent, ".")
	if IsSought(host) && !o.excepts(host, host) {
		return fmt.Sprintf("clients ask for %q by themselves, to find their proxy or tunnel", first), host
	}
	if inZone(parent, homeNetwork) {
		return "", ""
	}
	if wildcard && (isPublicSuffix(parent) || isPublicSuffix("x."+parent)) && !o.excepts(host, parent) { // the other one of *.ck
		return fmt.Sprintf("it would cover all domains of the public suffix %q", plain(parent)), parent
	}
	for suffix, use := range special {
		if inZone(parent, suffix) && !o.excepts(host, suffix) && !inZone(o.zone(host), suffix) {
			return fmt.Sprintf("%s is for %s", plain(suffix), use), suffix
		}
	}
	return "", ""
}

func isPublicSuffix(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(plain(name))
	return icann && suffix == plain(name)
}

// excepts reports whether a claim line is about the host, and names the suffix or what lies below it.
func (o *Options) excepts(host, suffix string) bool {
	return slices.ContainsFunc(o.Claims, func(rule ClaimRule) bool {
		return inZone(host, rule.Suffix) && inZone(rule.Suffix, suffix)
	})
}
