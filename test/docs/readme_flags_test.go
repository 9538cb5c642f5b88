package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// TestOriginalFlags checks that README.md has an answer for each flag of the original minilb, and
// that what it names is there.
func TestOriginalFlags(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	harness.Must(t, err)
	_, section, _ := strings.Cut(string(readme), "\n## Coming from the original minilb\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, flag := range []string{"domain", "listen", "ttl", "upstream", "health", "kubeconfig", "resync"} {
		if !strings.Contains(section, "\n| `-"+flag+"` | ") {
			t.Errorf("README.md does not say what has become of -%s", flag)
		}
	}
	help, err := harness.Minilb(t, "controller", "-h").CombinedOutput()
	harness.Must(t, err)
	flags := regexp.MustCompile("`minilb controller -([a-z-]+)`").FindAllStringSubmatch(section, -1)
	if len(flags) != 4 {
		t.Errorf("README.md names %d flags of the controller, want 4", len(flags))
	}
	for _, flag := range flags {
		if !strings.Contains(string(help), "  -"+flag[1]+" ") {
			t.Errorf("minilb controller has no flag -%s:\n%s", flag[1], help)
		}
	}
	manual, err := os.ReadFile("../../plugin/minilb/README.md")
	harness.Must(t, err)
	for _, property := range []string{"ttl", "kubeconfig"} {
		if !strings.Contains(string(manual), "\n* `"+property+"` ") {
			t.Errorf("the plugin has no property %s", property)
		}
	}
}
