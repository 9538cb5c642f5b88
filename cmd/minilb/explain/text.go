package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/wordwrap"
	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// JSON writes the explanation for programs, as one object. Its form is stable: fields are added, never
// renamed or removed, and its lists are never null.
func (x *Explanation) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(x)
}

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
	title := "Notes      "
	for _, note := range x.Notes {
		paragraph(&text, title, indent(11), note)
		title = indent(11)
	}
	title = "Claims     "
	for _, c := range x.Claims {
		writeClaim(&text, &c, title, x.Name)
		title = indent(11)
	}
	x.endpoints(&text)
	x.answers(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

func indent(n int) string { return strings.Repeat(" ", n) }

func writeClaim(text *strings.Builder, c *inspect.ClaimStatus, title, name string) {
	paragraph(text, title, indent(13), fmt.Sprintf("%s %s/%s, of %s: %s", c.Kind, c.Namespace, c.Name, c.Created.Format(time.RFC3339), c.Accepted))
	line := func(depth int, format string, args ...any) {
		paragraph(text, indent(depth), indent(depth+2), fmt.Sprintf(format, args...))
	}
	if c.Host != name {
		line(13, "asks for %s", c.Host)
	}
	for _, target := range c.Targets {
		line(13, "leads to %s", target)
	}
	if c.Message != "" {
		line(13, "%s", c.Message)
	}
	for _, p := range c.Parents {
		line(13, "parentRef %s: %s", p.Parent, cmp.Or(p.Message, "attached"))
		for _, l := range p.Listeners {
			line(15, "listener %q (%s, port %d): %s", l.Name, cmp.Or(l.Host, "any hostname"), l.Port, cmp.Or(l.Message, "serves it"))
		}
	}
}

// endpoints leaves out the Service of each if all are of one, which is named above.
func (x *Explanation) endpoints(text *strings.Builder) {
	several := slices.ContainsFunc(x.Endpoints, func(at translator.Endpoint) bool { return at.Service != x.Endpoints[0].Service })
	var rows [][]string
	for _, at := range x.Endpoints {
		row := []string{at.Addr.String(), "answered", at.State}
		if !at.Answered {
			row[1] = "left out"
		}
		if several {
			row = append(row, at.Service)
		}
		rows = append(rows, append(row, at.Node))
	}
	table(text, "Endpoints  ", rows)
}

// table writes rows of equal length in columns right of a title. A cell beyond wordwrap.Width begins a line of its own.
func table(text *strings.Builder, title string, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable.Line(cell) // a node may be called anything
		}
		widths = append(widths, make([]int, len(row)-len(widths))...)
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	margin := indent(len(title))
	for _, row := range rows {
		line := title
		for i, cell := range row {
			if i > 0 && len(line)+len(cell) > wordwrap.Width {
				text.WriteString(strings.TrimRight(line, " ") + "\n")
				line = margin + indent(2)
			}
			line += fmt.Sprintf("%-*s", widths[i]+2, cell)
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
		title = margin
	}
}

func (x *Explanation) answers(text *strings.Builder) {
	title := "Answers    "
	line := func(what, words string) {
		paragraph(text, title+fmt.Sprintf("%-6s", what), indent(17), words)
		title = indent(11)
	}
	a := &x.Answer
	switch {
	case a.Own:
		paragraph(text, title, "", "the DNS server's own addresses")
	case a.Rcode == "":
		paragraph(text, title, "", "none by minilb")
	case a.Rcode != noError:
		paragraph(text, title, "", a.Rcode+" for each type")
	case a.CNAME != "":
		line("A", "CNAME "+a.CNAME+" and its addresses")
		line("AAAA", "the same")
	case len(a.SRV) > 0:
		for _, target := range a.SRV {
			line("SRV", target)
		}
	case len(a.PTR) > 0:
		for _, name := range a.PTR {
			line("PTR", name)
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

func paragraph(text *strings.Builder, title, indentation, words string) {
	text.WriteString(wordwrap.Wrap(title, indentation, strings.Join(strings.Fields(words), " ")))
}
