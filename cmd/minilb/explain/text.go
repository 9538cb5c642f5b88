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
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

func (e *explainer) summarize(result records.Result, node *records.Node) {
	switch {
	case result == records.NameError:
		e.Summary = e.unknown()
	case result == records.NoData && e.Name == e.Zone:
		e.Summary = "It is the apex of a zone: it has SOA and NS records, and no addresses."
	case result == records.NoData:
		e.Summary = "It exists because other names stand below it, and has no records of its own: NODATA."
	case result != records.Found:
		e.Summary = "Unknown: Services or EndpointSlices have not been read. The server answers SERVFAIL."
	case node.Target != "":
		e.Summary = fmt.Sprintf("It is an alias of %s, which is not ours: the server looks that up and gives its addresses.", hostname.Plain(node.Target))
	case node.Ports != nil:
		e.Summary = fmt.Sprintf("It is a named port: SRV answers with %s.", wordwrap.Count(len(e.Answer.SRV), "target"))
	case node.Pointers != nil:
		e.Summary = fmt.Sprintf("It is the reverse name of an address: PTR answers with %s.", strings.Join(e.Answer.PTR, " and "))
	case e.Answer.Own:
		e.Summary = "It is answered with the DNS server's own addresses."
	case len(e.Answer.A)+len(e.Answer.AAAA) == 0:
		e.Summary = "It exists and has no address, so that A and AAAA are NODATA: " + e.without() + "."
	default:
		e.Summary = fmt.Sprintf("It is answered with %s and %s", wordwrap.Count(len(e.Answer.A), "IPv4 address"), wordwrap.Count(len(e.Answer.AAAA), "IPv6 address"))
		if e.Shares != nil {
			e.Summary += ", in each answer with those of one Service"
		}
		e.Summary += "."
	}
}

func (e *explainer) unknown() string {
	verdict := "It does not exist: NXDOMAIN. "
	if e.Answer.Rcode == "" {
		verdict = "minilb has no such name and passes it on to the plugin that follows, such as forward. "
	}
	switch {
	case len(e.Claims) > 0:
		return verdict + fmt.Sprintf("It is asked for by %s, of which none counts: see why below.", wordwrap.Count(len(e.Claims), "object"))
	case len(e.Notes) > 0:
		return verdict + "See the notes for why."
	}
	return verdict + "No object asks for it."
}

// without returns why a name that exists has no address.
func (e *explainer) without() string {
	if len(e.Endpoints) == 0 {
		return "its Service has no endpoints, as no pod matches its selector or none has an address yet"
	}
	if slices.ContainsFunc(e.Endpoints, func(at translator.Endpoint) bool { return at.State == object.StateReady }) {
		return "its endpoints are ready, and the families that the server answers with leave them out"
	}
	if len(e.Endpoints) == 1 {
		return "its only endpoint is not ready; kubectl describe of the pod shows which probe fails"
	}
	return fmt.Sprintf("none of its %d endpoints is ready; kubectl describe of a pod shows which probe fails", len(e.Endpoints))
}

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
	p := &page{}
	if apart {
		p.WriteString("\n")
	}
	p.WriteString(x.Name + "\n" + wordwrap.Wrap("", "", strings.Join(strings.Fields(x.Summary), " ")) + "\n")
	p.title = "Zone"
	p.paragraph("", 0, x.About)
	p.title = "Notes"
	for _, note := range x.Notes {
		p.paragraph("", 0, note)
	}
	p.title = "Claims"
	for _, c := range x.Claims {
		p.claim(&c, x.Name)
	}
	p.title = "Endpoints"
	p.endpoints(x.Endpoints)
	p.title = "Shares"
	for _, s := range x.Shares {
		p.paragraph("", 2, fmt.Sprintf("%s: %.4g%% of A, %.4g%% of AAAA (weight %d, priority %d)", cmp.Or(s.Service, "addresses of no Service"), s.A, s.AAAA, s.Weight, s.Priority))
	}
	p.title = "Answers"
	p.answers(&x.Answer)
	if x.Client != nil {
		p.title = "Client"
		p.client(x.Client)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// page is what is printed, in sections right of their titles.
type page struct {
	strings.Builder
	title string // of a section that has no line yet, else ""
}

// begin returns what the next line begins with, left of the section.
func (p *page) begin() string {
	title := p.title
	p.title = ""
	return fmt.Sprintf("%-11s", title)
}

// paragraph writes words behind a lead; further lines are indented within the section.
func (p *page) paragraph(lead string, indent int, words string) {
	begin := p.begin()
	p.WriteString(wordwrap.Wrap(begin+lead, strings.Repeat(" ", len(begin)+indent), strings.Join(strings.Fields(words), " ")))
}

func (p *page) claim(c *inspect.ClaimStatus, name string) {
	p.paragraph("", 2, fmt.Sprintf("%s %s/%s, of %s: %s", c.Kind, c.Namespace, c.Name, c.Created.Format(time.RFC3339), c.Accepted))
	line := func(format string, args ...any) { p.paragraph("  ", 4, fmt.Sprintf(format, args...)) }
	if c.Host != name {
		line("asks for %s", c.Host)
	}
	for _, target := range c.Targets {
		line("leads to %s", target)
	}
	if c.Message != "" {
		line("%s", c.Message)
	}
	for _, parent := range c.Parents {
		line("parentRef %s: %s", parent.Parent, cmp.Or(parent.Message, "attached"))
		for _, l := range parent.Listeners {
			p.paragraph("    ", 6, fmt.Sprintf("listener %q (%s, port %d): %s", l.Name, cmp.Or(l.Host, "any hostname"), l.Port, cmp.Or(l.Message, "serves it")))
		}
	}
}

// endpoints writes them in columns. A cell beyond wordwrap.Width begins a line of its own. Their Service, which is named
// above, is left out if all are of one.
func (p *page) endpoints(all []translator.Endpoint) {
	several := slices.ContainsFunc(all, func(at translator.Endpoint) bool { return at.Service != all[0].Service })
	var rows [][]string
	var widths [6]int
	for _, at := range all {
		row := []string{at.Addr.String(), "answered", at.State}
		if !at.Answered {
			row[1] = "left out"
		}
		if at.Excluded {
			row[2] += ", excluded node"
		}
		if several {
			row = append(row, at.Service)
		}
		row = append(row, at.Node)
		if at.Zone != "" {
			row = append(row, at.Zone)
		}
		for i, cell := range row {
			row[i] = printable.Line(cell) // a node may be called anything
			widths[i] = max(widths[i], len(row[i]))
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		line := p.begin()
		for i, cell := range row {
			if i > 0 && len(line)+len(cell) > wordwrap.Width {
				p.WriteString(strings.TrimRight(line, " ") + "\n")
				line = p.begin() + "  "
			}
			line += fmt.Sprintf("%-*s", widths[i]+2, cell)
		}
		p.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (p *page) answers(a *Answer) {
	line := func(what, words string) { p.paragraph(fmt.Sprintf("%-6s", what), 6, words) }
	switch {
	case a.Own:
		p.paragraph("", 0, "the DNS server's own addresses")
	case a.Rcode == "":
		p.paragraph("", 0, "none by minilb")
	case a.Rcode != noError:
		p.paragraph("", 0, a.Rcode+" for each type")
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
		line("A", cmp.Or(strings.Join(a.A, " "), "NODATA"))
		line("AAAA", cmp.Or(strings.Join(a.AAAA, " "), "NODATA"))
	}
}
