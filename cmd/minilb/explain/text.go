package explain

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/minilb/minilb/cmd/minilb/columns"
)

// Text writes the explanation for people, apart from one before it if there was one.
func (x *Explanation) Text(w io.Writer, apart bool) error {
	var text strings.Builder
	if apart {
		text.WriteString("\n")
	}
	fmt.Fprintln(&text, x.Name)
	paragraph(&text, "", "", x.Summary)
	fmt.Fprintln(&text)
	paragraph(&text, "Zone       ", indent(11), x.About)
	for i, note := range x.Notes {
		title := indent(11)
		if i == 0 {
			title = "Notes      "
		}
		paragraph(&text, title, indent(11), note)
	}
	for i, c := range x.Claims {
		title := indent(11)
		if i == 0 {
			title = "Claims     "
		}
		c.text(&text, title, x.Name)
	}
	x.endpoints(&text)
	x.answers(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

func indent(n int) string { return strings.Repeat(" ", n) }

func (c *Claim) text(text *strings.Builder, title, name string) {
	paragraph(text, title, indent(13), fmt.Sprintf("%s %s/%s, of %s: %s", c.Kind, c.Namespace, c.Name, c.Created, c.Verdict))
	line := func(depth int, format string, args ...any) {
		paragraph(text, indent(depth), indent(depth+2), fmt.Sprintf(format, args...))
	}
	if c.Host != name {
		line(13, "asks for %s", c.Host)
	}
	for _, lead := range c.Leads {
		line(13, "leads to %s", lead)
	}
	if c.Why != "" {
		line(13, "%s", c.Why)
	}
	for _, p := range c.Parents {
		verdict := "attached"
		if p.Why != "" {
			verdict = p.Why
		}
		line(13, "parentRef %s: %s", p.Parent, verdict)
		for _, l := range p.Listeners {
			host, why := l.Hostname, "serves it"
			if host == "" {
				host = "any hostname"
			}
			if l.Why != "" {
				why = l.Why
			}
			line(15, "listener %q (%s, port %d): %s", l.Name, host, l.Port, why)
		}
	}
}

func (x *Explanation) endpoints(text *strings.Builder) {
	if len(x.Endpoints) == 0 {
		return
	}
	table := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	for i, at := range x.Endpoints {
		title := indent(9)
		if i == 0 {
			title = "Endpoints"
		}
		answered := "answered"
		if !at.Answered {
			answered = "left out"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", title, at.Address, answered, at.State, at.Service, at.Node)
	}
	table.Flush()
}

func (x *Explanation) answers(text *strings.Builder) {
	title := "Answers    "
	line := func(what, words string) {
		paragraph(text, title+fmt.Sprintf("%-6s", what), indent(17), words)
		title = indent(11)
	}
	a := &x.Answer
	switch {
	case x.own:
		paragraph(text, title, "", "the DNS server's own addresses")
	case a.Rcode == "":
		paragraph(text, title, "", "none by minilb")
	case a.Rcode != "NOERROR":
		paragraph(text, title, "", a.Rcode+" for each type")
	case a.CNAME != "":
		line("A", "CNAME "+a.CNAME+" and its addresses")
		line("AAAA", "the same")
	case len(a.SRV) > 0:
		for _, target := range a.SRV {
			line("SRV", target)
		}
	default:
		line("A", orNoData(a.A))
		line("AAAA", orNoData(a.AAAA))
	}
}

func orNoData(addrs []string) string {
	if len(addrs) == 0 {
		return "NODATA"
	}
	return strings.Join(addrs, " ")
}

// paragraph writes words in lines: the first one begins with the title, the others with the
// indentation.
func paragraph(text *strings.Builder, title, indentation, words string) {
	text.WriteString(columns.Wrap(title, indentation, strings.Join(strings.Fields(words), " ")))
}
