package inputs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A test is run anew after a file has changed that it has only taken note of.
func TestNote(t *testing.T) {
	dir := t.TempDir()
	source, err := os.ReadFile("inputs.go")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.org/inputs\n\ngo 1.26\n")
	write("inputs.go", string(source))
	write("inputs_test.go", "package inputs\n\nimport \"testing\"\n\nfunc TestSomething(t *testing.T) {\n\tif err := Note(\".\"); err != nil {\n\t\tt.Error(err)\n\t}\n}\n")
	write("charts/a/values.yaml", "a: 1\n")
	write(".git/index", "")
	run := func(what string, wantCached bool) {
		t.Helper()
		test := exec.Command("go", "test", "-vet=off", ".")
		test.Dir = dir
		out, err := test.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		if cached := strings.Contains(string(out), "(cached)"); cached != wantCached {
			t.Errorf("%s: cached %v, want %v", what, cached, wantCached)
		}
	}
	run("at first", false)
	write(".git/index", "changed")
	run("after a change of git's", true)
	write("charts/a/values.yaml", "a: 10\n")
	run("after a change", false)
	write("charts/b.yaml", "")
	run("with another file", false)
}
