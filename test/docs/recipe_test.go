package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// documentation returns the paths of what users read, from the repository's root.
func documentation(t *testing.T) []string {
	t.Helper()
	paths := []string{"README.md"}
	for _, root := range []string{"../../plugin", "../../deploy"} {
		harness.Must(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".md") {
				path, err = filepath.Rel("../..", path)
				paths = append(paths, path)
			}
			return err
		}))
	}
	return paths
}

// TestLinks follows the links of the documentation that lead to files and to headings.
func TestLinks(t *testing.T) {
	t.Parallel()
	anchors := map[string][]string{}
	for _, path := range documentation(t) {
		text, err := os.ReadFile(filepath.Join("../..", path))
		harness.Must(t, err)
		for line := range strings.Lines(string(text)) {
			if heading, is := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); is && strings.HasPrefix(line, "#") {
				anchors[path] = append(anchors[path], anchor(heading))
			}
		}
	}
	for _, path := range documentation(t) {
		text, err := os.ReadFile(filepath.Join("../..", path))
		harness.Must(t, err)
		for _, piece := range strings.Split(string(text), "](")[1:] {
			target, _, _ := strings.Cut(piece, ")")
			if strings.Contains(target, "://") {
				continue
			}
			if err := followLink(path, target, anchors); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			}
		}
	}
}

// followLink returns an error unless there is what a document links to.
func followLink(from, target string, anchors map[string][]string) error {
	file, fragment, _ := strings.Cut(target, "#")
	path := from
	if file != "" {
		path = filepath.Join(filepath.Dir(from), file)
	}
	if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
		return err
	}
	if fragment != "" && !slices.Contains(anchors[path], fragment) {
		return fmt.Errorf("no heading with that name, but %q", anchors[path])
	}
	return nil
}

// anchor is the fragment by which a heading is linked to.
func anchor(heading string) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		if r == ' ' {
			return '-'
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(strings.TrimSpace(heading)))
}
