package explain

import (
	"bytes"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	routes "github.com/minilb/minilb/plugin/minilb/gateway"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// The README has each field, and no other, with all values that it can have where they are few, and a
// document as it is printed.
func TestREADME(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string][]string{} // the values of each field
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(line, "| `") {
			continue
		}
		field := strings.Trim(cells[1], " `")
		described[field] = []string{}
		for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			described[field] = append(described[field], match[1])
		}
	}
	printed := map[string]bool{}
	fields(reflect.TypeFor[Explanation](), "", printed)
	if got, want := slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(printed)); !slices.Equal(got, want) {
		t.Errorf("described are\n%q, printed are\n%q", got, want)
	}
	for field, want := range map[string][]string{
		"claims.verdict":       {inspect.Accepted(true).String(), inspect.Accepted(false).String()},
		"endpoints.state":      {object.StateReady, object.StateNotReady, object.StateServing, object.StateTerminating},
		"answer.rcode":         {noError, nxDomain},
		"claims.parents.cause": causes(),
	} {
		if got := described[field]; !slices.Equal(got, want) {
			t.Errorf("%s: described are %q, want %q", field, got, want)
		}
	}

	_, example, _ := strings.Cut(string(content), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	x := Explanation{
		Name: "shop.example.org", Summary: "It is answered with 1 IPv4 address and no IPv6 address.",
		About: "in none of the zones: answered if an object claims it",
		Claims: []inspect.ClaimStatus{{
			Kind: "HTTPRoute", Namespace: "shop", Name: "web", Created: date("2026-11-20T09:12:40Z"), Host: "shop.example.org", Accepted: true, Targets: []string{"Service edge/gw"},
			Parents: []routes.ParentStatus{{Parent: "Gateway edge/gw", Listeners: []routes.ListenerStatus{{Name: "web", Host: "*.example.org", Port: 80}}}},
		}},
		Endpoints: []translator.Endpoint{{Service: "edge/gw", Addr: netip.MustParseAddr("10.244.1.10"), Node: "worker-1", State: object.StateReady, Answered: true}},
		Answer:    Answer{Rcode: noError, TTL: 5, A: []string{"10.244.1.10"}},
	}
	x.fill()
	var document bytes.Buffer
	if err := x.JSON(&document); err != nil || document.String() != example {
		t.Errorf("%v: the example is\n%s\nwant\n%s", err, example, &document)
	}
}

// causes returns what can be in a document.
func causes() (all []string) {
	for _, cause := range routes.Causes {
		all = append(all, string(cause))
	}
	return all
}

// fields collects the paths of a type's fields as JSON names them.
func fields(of reflect.Type, path string, all map[string]bool) {
	if of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return
	}
	for _, field := range reflect.VisibleFields(of) {
		if tag := field.Tag.Get("json"); field.IsExported() && tag != "-" {
			name := path + tag
			all[name] = true
			fields(field.Type, name+".", all)
		}
	}
}
