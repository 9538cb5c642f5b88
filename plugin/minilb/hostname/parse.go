package hostname

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Split yields the items of a host annotation, which commas and white space separate (I10).
func Split(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := strings.TrimLeftFunc(value, IsSeparator); rest != ""; rest = strings.TrimLeftFunc(rest, IsSeparator) {
			end := ItemEnd(rest)
			if !yield(strings.TrimSpace(rest[:end])) {
				return
			}
			rest = rest[end:]
		}
	}
}

func IsSeparator(r rune) bool { return r == ',' || unicode.IsSpace(r) }

// spans are placeholders, JSON and quotes: separators within do not end an item.
var spans = []struct {
	opening, closing string
	anywhere         bool
}{{"{{", "}}", true}, {"<", ">", true}, {"[", "]", false}, {"{", "}", false}, {`"`, `"`, false}, {"'", "'", false}}

// maxSpan bounds, in bytes, how far is looked for the end of a span.
const maxSpan = 1024

// ItemEnd returns the length of the item that s begins with.
func ItemEnd(s string) int {
	if isComment(s) {
		return commentEnd(s)
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if IsSeparator(r) {
			return i
		}
		for _, span := range spans {
			if within, opens := strings.CutPrefix(s[i:], span.opening); opens && (i == 0 || span.anywhere) {
				if end := strings.Index(within[:min(len(within), maxSpan)], span.closing); end >= 0 {
					size = len(span.opening) + end + len(span.closing)
				}
				break
			}
		}
		i += size
	}
	return len(s)
}

// commentEnd returns the length of the comment that s begins with: to the end of the line, or to a comma before an item
// that is a host with a dot (I10).
func commentEnd(s string) int {
	line := s
	if end := strings.IndexAny(s, "\r\n"); end >= 0 {
		line = s[:end]
	}
	for i, r := range line {
		if r != ',' {
			continue
		}
		part, _, _ := strings.Cut(line[i+1:], ",")
		part = strings.TrimSuffix(strings.TrimSpace(part), ".")
		if _, err := Parse(part); err == nil && strings.Contains(part, ".") {
			return i
		}
	}
	return len(line)
}

// Parse returns a host, possibly a wildcard, as a canonical name: lower case and with
// its final dot. The error says what is wrong with it (I10, G32).
func Parse(s string) (string, error) {
	host, err := parseName(s)
	if err != nil {
		return "", err
	}
	if last := host[strings.LastIndexByte(host[:len(host)-1], '.')+1:]; strings.Trim(last, "0123456789") == "." {
		return "", fmt.Errorf("its last label %q is a number, as if it were an IP address", Plain(last))
	}
	return host, nil
}

// ParseRelative parses a host, which is relative to the zone if it has no dot, and reports whether it is. localhost is the
// same everywhere (RFC 6761 §6.3).
func ParseRelative(s, zone string) (host string, relative bool, err error) {
	if zone == "" || strings.Contains(s, ".") {
		host, err = Parse(s)
		return host, false, err
	}
	if host, err = parseName(s); err != nil || IsLocalhost(host) {
		return host, false, err
	}
	host, err = Parse(host + zone)
	return host, true, err
}

func parseName(s string) (string, error) {
	host := Lower(strings.TrimSuffix(s, "."))
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
		return "", errors.New(diagnose(s))
	}
	for label := range strings.SplitSeq(plain, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			return "", fmt.Errorf("its label %.20q… has %d characters, at most %d are allowed", label, len(label), validation.DNS1123LabelMaxLength)
		}
	}
	if len(host) > validation.DNS1123SubdomainMaxLength { // D33: with its length bytes more than the 255 of RFC 1035 §2.3.4
		return "", tooLong(host)
	}
	if labels := strings.Count(host, ".") + 1; labels > MaxLabels {
		return "", fmt.Errorf("it has %d labels, at most %d are allowed", labels, MaxLabels)
	}
	return host + ".", nil
}

// MaxLabels bounds the depth of a name: a deeper one would slow down the look-ups of all others.
const MaxLabels = 32

// Lower lowers ASCII only, as DNS compares names (RFC 4343 §3): strings.ToLower turns some other letters into ASCII.
func Lower(s string) string {
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
