package explain

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	routes "github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// No line is wider than 80 columns, but for words that are; what follows a title is aligned.
func TestText(t *testing.T) {
	x := &Explanation{
		Name: "a.example", Summary: strings.Repeat("word ", 40), About: strings.Repeat("zone ", 30), Notes: []string{"first", strings.Repeat("note ", 30)},
		Claims: []inspect.ClaimStatus{{
			Kind: "HTTPRoute", Namespace: "shop", Name: "web", Created: date("2026-01-01T00:00:00Z"), Host: "*.example", Message: strings.Repeat("why ", 40),
			Parents: []routes.ParentStatus{{Parent: "Gateway shop/gw", Message: "no", Listeners: []routes.ListenerStatus{{Name: "l", Port: 80}, {Name: "m", Host: "*.example", Port: 443, Message: strings.Repeat("rule ", 30)}}}},
		}},
		Endpoints: []translator.Endpoint{{Service: "shop/web", Addr: netip.MustParseAddr("10.0.0.1"), Node: "n1", State: "ready", Answered: true}, {Service: "shop/web", Addr: netip.MustParseAddr("fd00:10:244:1::10"), Node: "n2", State: "terminating, still serving"}},
		Answer:    Answer{Rcode: "NOERROR", A: []string{"10.0.0.1", "10.0.0.2"}, AAAA: []string{}},
	}
	var text strings.Builder
	if err := x.Text(&text, true); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > 80 || strings.TrimRight(line, " ") != line {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	for _, want := range []string{
		"\n\na.example\nword word", "\nNotes      first\n           note", "\nClaims     HTTPRoute shop/web, of 2026-01-01T00:00:00Z: does not count\n             asks for *.example\n             why",
		"\n             parentRef Gateway shop/gw: no\n               listener \"l\" (any hostname, port 80): serves it\n",
		"\nEndpoints  10.0.0.1           answered  ready                       n1\n           fd00:10:244:1::10  left out  terminating, still serving  n2\n",
		"\nAnswers    A     10.0.0.1 10.0.0.2\n           AAAA  NODATA\n",
	} {
		if !strings.Contains("\n"+text.String(), want) {
			t.Errorf("got\n%s\nwant in it\n%s", &text, want)
		}
	}
}

// D60
func TestTextPTR(t *testing.T) {
	var text strings.Builder
	if err := (&Explanation{Answer: Answer{Rcode: "NOERROR", PTR: []string{"a.web.shop.minilb", "b.web.shop.minilb"}}}).Text(&text, false); err != nil {
		t.Fatal(err)
	}
	if want := "\nAnswers    PTR   a.web.shop.minilb\n           PTR   b.web.shop.minilb\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("got\n%s\nwant at the end\n%s", &text, want)
	}
}

// Endpoints fit 80 columns with the names that people give, too: what has no room in its row comes below it.
func TestWideEndpoints(t *testing.T) {
	const long, node = "home-automation/zigbee2mqtt-front", "ip-10-0-137-42.eu-central-1.compute.internal"
	for want, endpoints := range map[string][]translator.Endpoint{
		`Endpoints  fd00:10:244:1::10  left out  not ready  worker-1
`: {{Service: "automation/mosquitto", Addr: netip.MustParseAddr("fd00:10:244:1::10"), State: "not ready", Node: "worker-1"}},
		`Endpoints  10.244.1.10        answered  ready
             k8s-worker-01
           fd00:10:244:1::10  left out  terminating, still serving
             k8s-worker-01
           fd00:10:244:1::11  left out  terminating, still serving
`: {{Service: "automation/mosquitto", Addr: netip.MustParseAddr("10.244.1.10"), State: "ready", Node: "k8s-worker-01", Answered: true},
			{Service: "automation/mosquitto", Addr: netip.MustParseAddr("fd00:10:244:1::10"), State: "terminating, still serving", Node: "k8s-worker-01"},
			{Service: "automation/mosquitto", Addr: netip.MustParseAddr("fd00:10:244:1::11"), State: "terminating, still serving"}},
		`Endpoints  10.244.1.10  answered  ready  shop/web
             ` + node + `
           10.244.1.11  answered  ready  ` + long + `
             node2
           10.244.1.12  answered  ready  shop/web                           n3
`: {{Service: "shop/web", Addr: netip.MustParseAddr("10.244.1.10"), State: "ready", Node: node, Answered: true},
			{Service: long, Addr: netip.MustParseAddr("10.244.1.11"), State: "ready", Node: "node2", Answered: true},
			{Service: "shop/web", Addr: netip.MustParseAddr("10.244.1.12"), State: "ready", Node: "n3", Answered: true}},
		`Endpoints  10.244.1.10  answered  ready  ` + strings.Repeat("n", 39) + `
`: {{Service: "shop/web", Addr: netip.MustParseAddr("10.244.1.10"), State: "ready", Node: strings.Repeat("n", 39), Answered: true}},
		`Endpoints  10.244.1.10  answered  ready
             ` + strings.Repeat("n", 40) + `
`: {{Service: "shop/web", Addr: netip.MustParseAddr("10.244.1.10"), State: "ready", Node: strings.Repeat("n", 40), Answered: true}},
		`Endpoints  10.244.1.10  answered  ready  shop/web                       n1
           10.244.1.11  answered  ready  shop/\u001b\u001b\u001b\u001b  n2
`: {{Service: "shop/web", Addr: netip.MustParseAddr("10.244.1.10"), State: "ready", Node: "n1", Answered: true}, // M10: columns are as wide as what is printed
			{Service: "shop/\x1b\x1b\x1b\x1b", Addr: netip.MustParseAddr("10.244.1.11"), State: "ready", Node: "n2", Answered: true}},
	} {
		var text strings.Builder
		if err := (&Explanation{Endpoints: endpoints}).Text(&text, false); err != nil || !strings.Contains(text.String(), "\n"+want+"Answers ") {
			t.Errorf("%v, got\n%swant in it\n%s", err, &text, want)
		}
		for line := range strings.Lines(text.String()) {
			if len(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%d columns: %s", len(line)-1, line)
			}
		}
	}
}
