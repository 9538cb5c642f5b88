package minilb

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func manPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manPageProperties returns the properties in the syntax of README.md, sorted, each of which
// must be explained below it.
func manPageProperties(t *testing.T) []string {
	t.Helper()
	text := manPage(t)
	block := regexp.MustCompile(`(?s)~~~ txt\nminilb \[ZONES\.\.\.\] \{\n(.*?)\}\n~~~`).FindStringSubmatch(text)
	if block == nil {
		t.Fatal("README.md has no syntax block")
	}
	var names []string
	for line := range strings.Lines(block[1]) {
		name := strings.Fields(line)[0]
		if !strings.Contains(text, "\n* `"+name+"`") {
			t.Errorf("README.md does not explain the property %s", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// manPageMetrics returns the metrics that README.md lists.
func manPageMetrics(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, match := range regexp.MustCompile("\n\\* `(coredns_minilb_[a-z_]+)").FindAllStringSubmatch(manPage(t), -1) {
		names = append(names, match[1])
	}
	return names
}

// The man page has the sections that CoreDNS's have, in their order.
func TestManPageSections(t *testing.T) {
	var got []string
	for _, match := range regexp.MustCompile(`(?m)^##? (.*)$`).FindAllStringSubmatch(manPage(t), -1) {
		got = append(got, match[1])
	}
	want := []string{"minilb", "Name", "Description", "Syntax", "Metrics", "Ready", "Examples", "Bugs", "See Also"}
	if !slices.Equal(got, want) {
		t.Errorf("got sections %q, want %q", got, want)
	}
}
