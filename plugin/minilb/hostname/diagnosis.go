package hostname

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// diagnose returns what is wrong with what is not a DNS name, and the name to write if one can be found (I10).
func diagnose(s string) string {
	what := diagnosis(s)
	if what == "" {
		return "it is not a DNS name of letters, digits, hyphens and dots"
	}
	if meant := Suggest(s); meant != "" && !isComment(s) {
		what += fmt.Sprintf(": write %q", meant)
	}
	return what
}

func diagnosis(s string) string {
	host, port, _ := strings.Cut(s, ":")
	switch invisible, foreign := strings.IndexFunc(s, isInvisible), strings.IndexFunc(s, isForeign); {
	case invisible >= 0:
		return fmt.Sprintf("it has an invisible character, %U", firstRune(s[invisible:]))
	case isComment(s):
		return "it is a comment, which annotations do not have"
	case strings.Contains(s, "{{"), strings.Contains(s, "}}"), strings.Contains(s, "${"), strings.Contains(s, "$("), strings.ContainsAny(s, "<>"):
		return "it is a template or a placeholder that nothing has filled in"
	case isAddress(s):
		return "it is an IP address"
	case strings.ContainsAny(s, "[]{}"):
		return "it is JSON, and the hosts are to be separated by commas alone"
	case strings.ContainsAny(s, quotes):
		return "it has quotes"
	case strings.Contains(s, ";"):
		return "hosts are separated by commas or white space, not by semicolons"
	case strings.Contains(s, "://"):
		return "it is a URL"
	case strings.Contains(s, "/"):
		return "it has a path, which DNS does not know"
	case host != "" && port != "" && strings.Trim(port, "0123456789") == "":
		return "it has a port, which DNS does not know"
	case foreign >= 0:
		return fmt.Sprintf("it has a letter beyond ASCII, %q", firstRune(s[foreign:]))
	}
	return ""
}

const quotes = "\"'`“”„‘’«»"

func isComment(s string) bool { return strings.HasPrefix(s, "#") || strings.HasPrefix(s, "//") }

func isInvisible(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) }

func isForeign(r rune) bool { return r > unicode.MaxASCII }

func firstRune(s string) rune { return []rune(s)[0] }

func isAddress(s string) bool {
	_, port := netip.ParseAddrPort(s)
	_, prefix := netip.ParsePrefix(s)
	_, brackets := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return port == nil || prefix == nil || brackets == nil
}

// Suggest returns the host in a URL or a malformed name, in ASCII and without a final dot, "" if there is none.
func Suggest(s string) string {
	s = strings.Map(func(r rune) rune {
		if isInvisible(r) {
			return -1
		}
		return r
	}, s)
	s = strings.Trim(s, quotes)
	if _, rest, found := strings.Cut(s, "://"); found {
		s = rest
	}
	if end := strings.IndexAny(s, "/?#"); end >= 0 {
		s = s[:end]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	if host, port, found := strings.Cut(s, ":"); found && strings.Trim(port, "0123456789") == "" {
		s = host
	}
	s = strings.TrimSuffix(s, ";")
	if strings.ContainsFunc(s, isForeign) {
		rest, wildcard := strings.CutPrefix(s, "*.")
		ascii, err := idna.Lookup.ToASCII(rest)
		if err != nil {
			return ""
		}
		if s = ascii; wildcard {
			s = "*." + ascii
		}
	}
	// What is left may have flaws of its own, but none that this finds a name in.
	if diagnosis(s) != "" {
		return ""
	}
	host, err := Parse(s)
	if err != nil {
		return ""
	}
	return Plain(host)
}
