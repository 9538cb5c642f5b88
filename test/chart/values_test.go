package chart_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of the chart's README is between these lines.
const (
	tableBegin = "<!-- values: MINILB_UPDATE=1 go test -run Table ./test/chart -->\n"
	tableEnd   = "<!-- end of values -->\n"
)

// The README has every value, with what values.yaml says of it. MINILB_UPDATE=1 writes it.
func TestTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(chartDir, "README.md")
	text, err := os.ReadFile(path)
	must(t, err)
	before, rest, _ := strings.Cut(string(text), tableBegin)
	got, after, found := strings.Cut(rest, tableEnd)
	if !found {
		t.Fatalf("%s has no table of values between %q and %q", path, tableBegin, tableEnd)
	}
	want := "| value | default | meaning |\n| --- | --- | --- |\n"
	for _, value := range described(t) {
		want += fmt.Sprintf("| `%s` | %s | %s |\n", value.path, value.fallback, value.meaning)
	}
	if got == want {
		return
	}
	if os.Getenv("MINILB_UPDATE") == "" {
		t.Fatalf("the table of values in %s is not that of values.yaml: MINILB_UPDATE=1 go test -run Table ./test/chart", path)
	}
	must(t, os.WriteFile(path, []byte(before+tableBegin+want+tableEnd+after), 0o644))
}

// value is a line of the table.
type value struct{ path, fallback, meaning string }

var keyLine = regexp.MustCompile(`^( *)([A-Za-z]+):(.*)$`)

// described returns the values that values.yaml has a comment above, and complains of those
// that have none, unless they are part of one that has.
func described(t *testing.T) []value {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	must(t, err)
	var (
		all     []value
		parents []string
		comment []string
		within  = -1 // indentation of the described value that the lines belong to
	)
	for number, line := range strings.Split(string(text), "\n") {
		blank := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case blank == "":
			comment = nil
			continue
		case strings.HasPrefix(blank, "#"):
			comment = append(comment, strings.TrimSpace(strings.TrimPrefix(blank, "#")))
			continue
		case within >= 0 && (indent > within || strings.HasPrefix(blank, "- ")):
			continue
		}
		within = -1
		key := keyLine.FindStringSubmatch(line)
		if key == nil {
			t.Fatalf("values.yaml:%d: %q is not a key", number+1, line)
		}
		parents = append(parents[:indent/2:indent/2], key[2])
		path := strings.Join(parents, ".")
		fallback := lookUp(t, path)
		if nested, ok := fallback.(map[string]any); ok && len(nested) > 0 && !leaf(parents) {
			comment = nil // its parts are described
			continue
		}
		if len(comment) != 1 {
			t.Errorf("values.yaml:%d: %s has %d lines of comment, want one", number+1, path, len(comment))
		}
		shown, err := json.Marshal(fallback)
		must(t, err)
		all = append(all, value{path, "`" + string(shown) + "`", strings.Join(comment, " ")})
		comment, within = nil, indent
	}
	return all
}

// leaf reports whether a value's parts are Kubernetes' and not ours to describe.
func leaf(path []string) bool {
	return slices.Contains([]string{"resources", "podSecurityContext", "securityContext", "labels"}, path[len(path)-1])
}

func lookUp(t *testing.T, path string) any {
	t.Helper()
	var found any = defaults(t)
	for _, key := range strings.Split(path, ".") {
		values, ok := found.(map[string]any)
		if !ok {
			t.Fatalf("values.yaml has no %s", path)
		}
		found = values[key]
	}
	return found
}
