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
