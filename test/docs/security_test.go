package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// named are packages in backticks, and tests.
var named = regexp.MustCompile("`((?:cmd|plugin|test)/[a-z0-9/]+)`|\\b(?:Test|Fuzz)[A-Z]\\w*")

// The tests that security.md names exist, in the package that stands before them, or in one of several.
func TestSecurityNamesTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../plugin/minilb/docs/security.md")
	harness.Must(t, err)
	found := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var packages []string
		last := false // whether a package was the last that was named
		for _, match := range named.FindAllStringSubmatch(line, -1) {
			if match[1] != "" {
				if !last {
					packages = nil
				}
				packages, last = append(packages, match[1]), true
				continue
			}
			last = false
			found++
			if !slices.ContainsFunc(packages, func(dir string) bool { return hasTest(t, dir, match[0]) }) {
				t.Errorf("no package of %q has %s: %s", packages, match[0], line)
			}
		}
	}
	if found < 30 {
		t.Errorf("found only %d tests", found)
	}
}

// hasTest reports whether a package of the repository has this test.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	harness.Must(t, err)
	return slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		harness.Must(t, err)
		return strings.Contains(string(source), "\nfunc "+name+"(")
	})
}
