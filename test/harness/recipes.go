package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recipeBlock is a block of code in a document.
type recipeBlock struct {
	heading string // of the section that it stands in
	lang    string // what stands behind the fence
	text    string
}

// recipeBlocks returns the blocks of a document of deploy/recipes, in its order.
func recipeBlocks(t *testing.T, document string) []recipeBlock {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy/recipes", document))
	Must(t, err)
	var blocks []recipeBlock
	heading, inside := "", false
	for line := range strings.Lines(string(text)) {
		fence, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fenced && !inside:
			blocks = append(blocks, recipeBlock{heading: heading, lang: fence})
			inside = true
		case fenced:
			inside = false
		case inside:
			blocks[len(blocks)-1].text += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return blocks
}

// Recipe returns the text of the blocks of one section.
func Recipe(t *testing.T, document, heading string) []string {
	t.Helper()
	var texts []string
	for _, b := range recipeBlocks(t, document) {
		if b.heading == heading {
			texts = append(texts, b.text)
		}
	}
	if len(texts) == 0 {
		t.Fatalf("%s has no block of code under %q", document, heading)
	}
	return texts
}
