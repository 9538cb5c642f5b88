package check

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/reasons"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// The README has each reason that is found, and no other, and the document as it is printed.
func TestREADME(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for line := range strings.Lines(string(content)) {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			for _, match := range regexp.MustCompile("`([A-Za-z]+)`").FindAllStringSubmatch(cells[1], -1) {
				described = append(described, match[1])
			}
		}
	}
	slices.Sort(described)

	// A reason is a literal in CamelCase that is no kind.
	kinds := []string{"APIResource", "ConfigMap", "CustomResourceDefinition", "DNSServer", "EndpointSlice", "GatewayClass", "GRPCRoute", "HTTPRoute", "ListenerSet", "PodNetworks", "ServiceAccount", "TLSRoute", "XListenerSet"}
	camel := regexp.MustCompile(`^([A-Z][a-z]+){2,}$|^Unread$|^[A-Z][A-Za-z]+(CIDR|IP|IPs)$`)
	var found []string
	for _, field := range lb.UnsupportedFields {
		found = append(found, field.Reason)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, _ := strconv.Unquote(literal.Value); camel.MatchString(text) && !slices.Contains(kinds, text) {
					found = append(found, text)
				}
			}
			return true
		})
	}
	for _, reason := range reasons.OfClaims {
		found = append(found, reason.Name)
	}
	slices.Sort(found)
	if found = slices.Compact(found); !slices.Equal(found, described) {
		t.Errorf("described are\n%q, found are\n%q", described, found)
	}

	_, example, _ := strings.Cut(string(content), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	report := Report{
		Problems: []Problem{{Error, "Service", "shop", "web", "TargetPortMismatch",
			"port 80 leads to port 8080 of the pods, and nothing translates it: clients must use 8080",
			"let the pods listen on 80 (sysctl net.ipv4.ip_unprivileged_port_start=0 lets them), or set port: 8080 in the Service"}},
		GatewayAPI: []inspect.ServedKind{{Kind: "HTTPRoute", Version: "v1"}},
	}
	var printed bytes.Buffer
	if err := report.JSON(&printed); err != nil || printed.String() != example {
		t.Errorf("%v: the example is\n%s\nwant\n%s", err, example, &printed)
	}
}
