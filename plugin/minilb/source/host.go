package source

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// splitHosts splits the value of a host annotation at its commas and drops what is empty (I10).
func splitHosts(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" && !yield(item) {
				return
			}
		}
	}
}

// parseHost returns a host, possibly a wildcard, as a canonical name: lower case and with
// its final dot. The error says what is wrong with it (I10, G32).
func parseHost(s string) (string, error) {
	host := lower(strings.TrimSuffix(s, "."))
	plain := strings.TrimPrefix(host, "*.")
	if _, err := netip.ParseAddr(plain); err == nil {
		return "", errors.New("it is an IP address")
	}
	if problems := validation.IsDNS1123Subdomain(plain); len(problems) > 0 {
		switch {
		case host == "*":
			return "", errors.New("a wildcard needs a domain, as in *.example.org")
		case len(host) > validation.DNS1123SubdomainMaxLength:
			return "", tooLong(host)
		}
		return "", errors.New("it is not a DNS name of letters, digits, hyphens and dots")
	}
	for label := range strings.SplitSeq(plain, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			return "", fmt.Errorf("its label %.20q… has %d characters, at most %d are allowed", label, len(label), validation.DNS1123LabelMaxLength)
		}
	}
	if len(host) > validation.DNS1123SubdomainMaxLength { // D33: with its length bytes more than the 255 of RFC 1035 §2.3.4
		return "", tooLong(host)
	}
	if labels := strings.Count(host, ".") + 1; labels > maxLabels {
		return "", fmt.Errorf("it has %d labels, at most %d are allowed", labels, maxLabels)
	}
	return host + ".", nil
}

// lower returns s in lower case by ASCII alone, as DNS compares names (RFC 4343 §3): there are
// letters of other alphabets, too, that strings.ToLower makes ASCII ones of.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func tooLong(host string) error {
	return fmt.Errorf("it has %d characters, at most %d are allowed", len(host), validation.DNS1123SubdomainMaxLength)
}

// shorten cuts what a user wrote to a length that a log line can bear.
func shorten(s string) string { return cut(s, 80) }

// cut leaves so many bytes of a text.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
