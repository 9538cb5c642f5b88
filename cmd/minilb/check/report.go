// Package check reads a cluster once and reports what keeps Services and hosts from being reached, each with a fix.
// Which object has which host, and what is answered, comes from the code that the DNS server runs.
package check

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/wordwrap"
)

// Severity is how bad a Problem is.
type Severity string

// The severities, worst first. Notices are not worth an exit status other than 0.
const (
	Error   Severity = "error"   // something is not reached, or not by the name or port it should be
	Warning Severity = "warning" // something is likely not meant as it is
	Notice  Severity = "notice"  // something has no effect, or could not be looked at, and matters little
)

// Severities lists them, worst first.
var Severities = []Severity{Error, Warning, Notice}

// Problem is one thing that is wrong with one object. Text and Fix are one line each, a clause that
// begins in lower case and has no final stop. Namespace is empty for what is in none.
type Problem struct {
	Severity  Severity `json:"severity"`
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Reason    string   `json:"reason"` // one word in CamelCase, by which programs tell problems apart
	Text      string   `json:"text"`   // what is wrong and what follows
	Fix       string   `json:"fix"`    // what to do
}

// Report is all that was found, in an order that is the same each time.
type Report struct {
	Problems []Problem
	// GatewayAPI has all kinds of it, none if the DNS server does not read them.
	GatewayAPI []inspect.ServedKind
}

// Clean reports whether nothing was found but notices.
func (r *Report) Clean() bool {
	return !slices.ContainsFunc(r.Problems, func(f Problem) bool { return f.Severity != Notice })
}

// sorted returns the problems, each once, worst first, then by object.
func sorted(problems []Problem) []Problem {
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			slices.Index(Severities, a.Severity)-slices.Index(Severities, b.Severity),
			strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
			strings.Compare(a.Reason, b.Reason), strings.Compare(a.Text, b.Text), strings.Compare(a.Fix, b.Fix))
	})
	return slices.Compact(problems)
}

// object returns the problem's object as "Service shop/web", or "Node a".
func (f *Problem) object() string {
	if f.Namespace == "" {
		return f.Kind + " " + f.Name
	}
	return f.Kind + " " + f.Namespace + "/" + f.Name
}

// indent is the column of objects: right of the longest severity.
const indent = len("warning") + 2

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	var out strings.Builder
	for _, f := range r.Problems {
		margin := strings.Repeat(" ", indent)
		out.WriteString(wordwrap.Wrap(fmt.Sprintf("%-*s", indent, f.Severity), margin, f.object()+"  "+f.Reason))
		out.WriteString(wordwrap.Wrap(margin, margin, f.Text))
		out.WriteString(wordwrap.Wrap(margin+"fix: ", margin+"     ", f.Fix))
		out.WriteByte('\n')
	}
	var parts []string
	for _, severity := range Severities {
		if n := r.counts()[severity]; n > 0 {
			parts = append(parts, wordwrap.Count(n, string(severity)))
		}
	}
	out.WriteString(cmp.Or(strings.Join(parts, ", "), "nothing found") + "\n")
	if len(r.GatewayAPI) > 0 {
		served, missing := r.kinds()
		if served == nil {
			served, missing = []string{"not served"}, nil // nobody uses it
		}
		const title = "Gateway API: "
		margin := strings.Repeat(" ", len(title))
		out.WriteString(wordwrap.Wrap(title, margin, strings.Join(served, ", ")))
		if missing != nil {
			out.WriteString(wordwrap.Wrap(fmt.Sprintf("%-*s", len(title), "not served:"), margin, strings.Join(missing, ", ")))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// kinds returns the kinds of the Gateway API that are served, with their versions, and those that an
// operator may miss. A ListenerSet was an XListenerSet before, and one of them is enough.
func (r *Report) kinds() (served, missing []string) {
	listenerSets := slices.ContainsFunc(r.GatewayAPI, func(s inspect.ServedKind) bool { return strings.HasSuffix(s.Kind, "ListenerSet") && s.Version != "" })
	for _, kind := range r.GatewayAPI {
		switch {
		case kind.Version != "":
			served = append(served, kind.Kind+" "+kind.Version)
		case kind.Kind == "XListenerSet" || kind.Kind == "ListenerSet" && listenerSets:
		default:
			missing = append(missing, kind.Kind)
		}
	}
	return served, missing
}

// JSON writes the report for programs, as one object. Its form is stable: fields are added, never
// renamed or removed, and its lists are never null.
//
//	{"findings":   [{"severity", "kind", "namespace", "name", "reason", "text", "fix"}],
//	 "counts":     {"error", "warning", "notice"},
//	 "gatewayAPI": [{"kind", "version"}]}
func (r *Report) JSON(w io.Writer) error {
	document := struct {
		Problems   []Problem            `json:"findings"`
		Counts     map[Severity]int     `json:"counts"`
		GatewayAPI []inspect.ServedKind `json:"gatewayAPI"`
	}{append([]Problem{}, r.Problems...), r.counts(), append([]inspect.ServedKind{}, r.GatewayAPI...)}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

func (r *Report) counts() map[Severity]int {
	counts := map[Severity]int{Error: 0, Warning: 0, Notice: 0}
	for _, f := range r.Problems {
		counts[f.Severity]++
	}
	return counts
}
