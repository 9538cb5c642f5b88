package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// Rules are defined once in semantics.md, and every rule that a comment cites
// is defined there.
func TestRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../plugin/minilb/docs/semantics.md")
	harness.Must(t, err)
	defined := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^- \*\*([A-Z]\d+[a-z]?)\*\* `).FindAllStringSubmatch(string(text), -1) {
		if defined[match[1]] {
			t.Errorf("%s is defined twice", match[1])
		}
		defined[match[1]] = true
	}
	if len(defined) < 150 {
		t.Fatalf("found only %d rules", len(defined))
	}

	comment := regexp.MustCompile(`(?m)//.*$`)
	citation := regexp.MustCompile(`\b[MGIDECSRLN]\d{1,2}[a-z]?\b`)
	cited := 0
	for _, root := range []string{"../../plugin", "../../cmd", "../../test"} {
		harness.Must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, line := range comment.FindAllString(string(source), -1) {
				for _, rule := range citation.FindAllString(line, -1) {
					cited++
					if !defined[rule] {
						t.Errorf("%s cites %s, which semantics.md does not define: %s", path, rule, line)
					}
				}
			}
			return err
		}))
	}
	if cited < 500 {
		t.Errorf("found only %d citations", cited)
	}
}
