package harness

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Message is what of a reply is compared: all but its ID, and with the serials taken out.
type Message struct {
	Rcode                    int
	Flags                    string // of aa, tc, ra, ad
	Answer, Authority, Extra []string
}

func (m Message) String() string {
	return fmt.Sprintf("%s [%s] ANSWER %q AUTHORITY %q ADDITIONAL %q", dns.RcodeToString[m.Rcode], m.Flags, m.Answer, m.Authority, m.Extra)
}

var (
	Blanks = regexp.MustCompile(`\s+`)
	Serial = regexp.MustCompile(`(SOA \S+ \S+) \d+ `)
)

// MessageOf returns what a message says, its serials masked.
func MessageOf(m *dns.Msg) Message {
	section := func(rrs []dns.RR) []string {
		var lines []string
		for _, rr := range rrs {
			lines = append(lines, Serial.ReplaceAllString(Blanks.ReplaceAllString(rr.String(), " "), "$1 SERIAL "))
		}
		slices.Sort(lines)
		return lines
	}
	var flags []string
	for flag, set := range map[string]bool{"aa": m.Authoritative, "tc": m.Truncated, "ra": m.RecursionAvailable, "ad": m.AuthenticatedData} {
		if set {
			flags = append(flags, flag)
		}
	}
	slices.Sort(flags)
	return Message{Rcode: m.Rcode, Flags: strings.Join(flags, " "), Answer: section(m.Answer), Authority: section(m.Ns), Extra: section(m.Extra)}
}
