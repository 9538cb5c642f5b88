package config

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// special are domains that are no domain of the LAN's, with what they are for (RFC 6761, RFC 7686).
var special = map[string]string{
	"arpa.": "names of the Internet's infrastructure", "localhost.": "whoever asks", "invalid.": "names that do not exist", "onion.": "Tor",
	"use-application-dns.net.": "browsers, which ask whether to use DNS over HTTPS",
}

// homeNetwork is the one domain below arpa that is for everybody's use (RFC 8375).
const homeNetwork = "home.arpa."

// Reserved returns why nobody may claim a host, as it would take over what clients ask for by themselves,
// or more than anybody has, "" if it may be claimed. A claim line that names the suffix, and a zone below
// it, makes an exception (C7).
func (o *Options) Reserved(host string) (text, suffix string) {
	parent, wildcard := strings.CutPrefix(host, "*.")
	first, _, _ := strings.Cut(parent, ".")
	if hostname.IsSought(host) && !o.Excepts(host, host) {
		return fmt.Sprintf("clients ask for %q by themselves, to find their proxy or tunnel", first), host
	}
	if hostname.InZone(parent, homeNetwork) {
		return "", ""
	}
	if wildcard && (isPublicSuffix(parent) || isPublicSuffix("x."+parent)) && !o.Excepts(host, parent) { // the other one of *.ck
		return fmt.Sprintf("it would cover all domains of the public suffix %q", hostname.Plain(parent)), parent
	}
	for suffix, use := range special {
		if hostname.InZone(parent, suffix) && !o.Excepts(host, suffix) && !hostname.InZone(o.Zone(host), suffix) {
			return fmt.Sprintf("%s is for %s", hostname.Plain(suffix), use), suffix
		}
	}
	return "", ""
}

func isPublicSuffix(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(hostname.Plain(name))
	return icann && suffix == hostname.Plain(name)
}

// Excepts reports whether a claim line is about the host, and names the suffix or what lies below it.
func (o *Options) Excepts(host, suffix string) bool {
	return slices.ContainsFunc(o.Claims, func(rule ClaimRule) bool {
		return hostname.InZone(host, rule.Suffix) && hostname.InZone(rule.Suffix, suffix)
	})
}
