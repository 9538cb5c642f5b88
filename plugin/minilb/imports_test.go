package minilb

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Imports point down the floors that docs/design.md lists: each import of ours is an arrow of the list, and each arrow
// an import.
func TestImports(t *testing.T) {
	const module, list = "github.com/minilb/minilb/", "{{.ImportPath}}: {{join .Imports \" \"}}"
	out, err := exec.Command("go", "list", "-f", list, module+"plugin/...", module+"cmd/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	short := strings.NewReplacer(module+"plugin/minilb/", "", module, "")
	imports := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		name, all, _ := strings.Cut(line, ":")
		for _, path := range strings.Fields(all) {
			if strings.HasPrefix(path, module) {
				imports[short.Replace(name)] = append(imports[short.Replace(name)], short.Replace(path))
			}
		}
	}

	page, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "~~~ imports\n")
	block, _, found := strings.Cut(block, "~~~")
	if !found {
		t.Fatal("docs/design.md has no block of imports")
	}
	allowed := map[string][]string{}
	for line := range strings.Lines(block) {
		name, all, arrow := strings.Cut(strings.TrimSpace(line), " → ")
		if !arrow {
			t.Errorf("docs/design.md: %q is no arrow", line)
		}
		allowed[name] = strings.Fields(all)
	}
	for name, all := range imports {
		for _, to := range all {
			if !slices.Contains(allowed[name], to) {
				t.Errorf("%s imports %s: docs/design.md allows it %q", name, to, allowed[name])
			}
		}
	}
	for name, all := range allowed {
		for _, to := range all {
			if !slices.Contains(imports[name], to) {
				t.Errorf("docs/design.md lets %s import %s, and it does not", name, to)
			}
		}
	}
}
