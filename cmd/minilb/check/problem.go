// Package check reads a cluster once and reports what keeps Services and hosts from being reached, each with a fix.
// Which object has which host, and what is answered, comes from the code that the DNS server runs.
package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/minilb/minilb/cmd/minilb/inspect"
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
