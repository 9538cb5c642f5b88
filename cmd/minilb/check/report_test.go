package check

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/wordwrap"
)

var long = Report{
	Problems: []Problem{
		{Error, "Service", "shop", "web", "TargetPortMismatch", "port 80 leads to port 8080 of the pods, and nothing translates it: clients must use 8080", "let the pods listen on port 80, or set port: 8080 in the Service"},
		{Warning, "ServiceAccount", "minilb", strings.Repeat("x", 90), "MissingRight", "may not list", "apply deploy/kustomize"},
		{Notice, "Node", "", "a", "Unread", "é" + strings.Repeat(" wörter", 40), "<none> & nothing"},
	},
	GatewayAPI: []inspect.ServedKind{{Kind: "GRPCRoute", Version: "v1"}, {Kind: "Gateway", Version: "v1"}, {Kind: "GatewayClass", Version: "v1"}, {Kind: "HTTPRoute", Version: "v1"}, {Kind: "ListenerSet", Version: "v1"}, {Kind: "TLSRoute", Version: ""}, {Kind: "XListenerSet", Version: "v1alpha1"}},
}

func TestText(t *testing.T) {
	var out bytes.Buffer
	if err := long.Text(&out); err != nil {
		t.Fatal(err)
	}
	const want = `error    Service shop/web  TargetPortMismatch
         port 80 leads to port 8080 of the pods, and nothing translates it:
         clients must use 8080
         fix: let the pods listen on port 80, or set port: 8080 in the Service

`
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	const end = `
1 error, 1 warning, 1 notice
Gateway API: GRPCRoute v1, Gateway v1, GatewayClass v1, HTTPRoute v1,
             ListenerSet v1, XListenerSet v1alpha1
not served:  TLSRoute
`
	if !strings.HasSuffix(out.String(), end) {
		t.Errorf("got\n%swant at the end\n%s", &out, end)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := len([]rune(line)); n > wordwrap.Width && len(strings.Fields(line)) > 1 || strings.TrimRight(line, " ") != line {
			t.Errorf("%d columns, or blanks at the end: %q", n, line)
		}
	}

	out.Reset()
	clean := Report{GatewayAPI: []inspect.ServedKind{{Kind: "HTTPRoute", Version: ""}}}
	if err := clean.Text(&out); err != nil || out.String() != "nothing found\nGateway API: not served\n" || !clean.Clean() {
		t.Errorf("got %q, %v", &out, err)
	}
}

// Each severity is counted, and none that is not there.
func TestTextCounts(t *testing.T) {
	for _, tc := range []struct {
		severities []Severity
		want       string
	}{
		{nil, "nothing found\n"}, {[]Severity{Error}, "\n\n1 error\n"}, {[]Severity{Warning, Warning}, "\n\n2 warnings\n"},
		{[]Severity{Error, Error, Warning, Notice, Notice, Notice}, "\n\n2 errors, 1 warning, 3 notices\n"},
	} {
		var report Report
		for _, severity := range tc.severities {
			report.Problems = append(report.Problems, Problem{Severity: severity, Kind: "Node", Name: "a", Reason: "Unread", Text: "text", Fix: "fix"})
		}
		var out bytes.Buffer
		if err := report.Text(&out); err != nil || !strings.HasSuffix(out.String(), tc.want) {
			t.Errorf("got %q, %v, want at the end %q", &out, err, tc.want)
		}
	}
}

// A kind that is not served is told of where others are, unless another has taken its place.
func TestTextOfKinds(t *testing.T) {
	for _, tc := range []struct {
		served []inspect.ServedKind
		want   string
	}{
		{nil, ""},
		{[]inspect.ServedKind{{Kind: "GRPCRoute", Version: ""}, {Kind: "HTTPRoute", Version: "v1"}, {Kind: "TLSRoute", Version: ""}}, "Gateway API: HTTPRoute v1\nnot served:  GRPCRoute, TLSRoute\n"},
		{[]inspect.ServedKind{{Kind: "HTTPRoute", Version: "v1"}, {Kind: "ListenerSet", Version: "v1"}, {Kind: "XListenerSet", Version: ""}}, "Gateway API: HTTPRoute v1, ListenerSet v1\n"},
		{[]inspect.ServedKind{{Kind: "HTTPRoute", Version: "v1"}, {Kind: "ListenerSet", Version: ""}, {Kind: "XListenerSet", Version: "v1alpha1"}}, "Gateway API: HTTPRoute v1, XListenerSet v1alpha1\n"},
		{[]inspect.ServedKind{{Kind: "HTTPRoute", Version: "v1"}, {Kind: "ListenerSet", Version: ""}, {Kind: "XListenerSet", Version: ""}}, "Gateway API: HTTPRoute v1\nnot served:  ListenerSet\n"},
		{[]inspect.ServedKind{{Kind: "HTTPRoute", Version: ""}, {Kind: "TLSRoute", Version: ""}}, "Gateway API: not served\n"},
	} {
		var out bytes.Buffer
		report := Report{GatewayAPI: tc.served}
		if err := report.Text(&out); err != nil || out.String() != "nothing found\n"+tc.want || !report.Clean() {
			t.Errorf("%v: got %q, %v, want at the end %q", tc.served, &out, err, tc.want)
		}
	}
}

// The document has these fields and no others, and empty lists are lists.
func TestJSON(t *testing.T) {
	for name, tc := range map[string]struct {
		report                     Report
		problems, gatewayAPI, errs int
	}{"empty": {Report{}, 0, 0, 0}, "full": {long, 3, 7, 1}} {
		var out bytes.Buffer
		if err := tc.report.JSON(&out); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, "null") || name == "full" && !strings.Contains(text, "<none> & nothing") {
			t.Errorf("%s: got %s", name, text)
		}
		var document struct {
			Problems []struct{ Severity, Kind, Namespace, Name, Reason, Text, Fix *string } `json:"findings"`
			Counts   struct{ Error, Warning, Notice *int }
			Kinds    []struct{ Kind, Version *string } `json:"gatewayAPI"`
		}
		decoder := json.NewDecoder(&out)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&document); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if document.Problems == nil || len(document.Problems) != tc.problems || document.Kinds == nil || len(document.Kinds) != tc.gatewayAPI ||
			document.Counts.Notice == nil || document.Counts.Warning == nil || *document.Counts.Error != tc.errs {
			t.Errorf("%s: got %+v", name, document)
		}
		for _, f := range document.Problems {
			if f.Severity == nil || f.Kind == nil || f.Namespace == nil || f.Name == nil || f.Reason == nil || f.Text == nil || f.Fix == nil {
				t.Errorf("%s: a field is missing of %+v", name, f)
			}
		}
	}
}

func TestSorted(t *testing.T) {
	a := Problem{Severity: Error, Kind: "Service", Namespace: "a", Name: "z"}
	b := Problem{Severity: Error, Kind: "Service", Namespace: "b", Name: "a"}
	c := Problem{Severity: Warning, Kind: "Ingress", Namespace: "a", Name: "a"}
	d := Problem{Severity: Notice, Kind: "Ingress", Namespace: "a", Name: "a"}
	got := sorted([]Problem{d, b, c, a, b})
	if len(got) != 4 || got[0] != a || got[1] != b || got[2] != c || got[3] != d {
		t.Errorf("got %v", got)
	}
	if (&Report{Problems: got}).Clean() || !(&Report{Problems: got[3:]}).Clean() {
		t.Error("notices alone are clean, and nothing else is")
	}
}
