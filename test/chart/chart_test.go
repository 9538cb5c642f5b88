// Package chart_test renders the Helm chart of deploy/ and looks at what comes out. Package
// deploy applies it to an API server, and runs what it configures.
package chart_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

func TestMain(m *testing.M) { harness.Main(m) }

// chartDir is the chart, seen from here.
const chartDir = "../../deploy/helm/minilb"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rendered returns the chart with values as --set takes them.
func rendered(t *testing.T, set ...string) string {
	t.Helper()
	return render(t, "", set...)
}

// variant returns the chart with the values of a file in its ci directory, and with further ones.
func variant(t *testing.T, name string, set ...string) string {
	t.Helper()
	return render(t, "deploy/helm/minilb/ci/"+name+".yaml", set...)
}

// manifests are what Helm has rendered, by its arguments: many tests look at the same.
var manifests sync.Map // of func() (string, error)

// render runs Helm once for the same arguments.
func render(t *testing.T, values string, set ...string) string {
	t.Helper()
	once, _ := manifests.LoadOrStore(fmt.Sprintf("%q %q", values, set), sync.OnceValues(func() (string, error) {
		return shipped.Chart(context.Background(), values, set...)
	}))
	manifest, err := once.(func() (string, error))()
	must(t, err)
	return manifest
}

// refused returns what Helm says against values, as one line.
func refused(t *testing.T, set ...string) string {
	t.Helper()
	if _, err := shipped.Chart(t.Context(), "", set...); err != nil {
		return strings.Join(strings.Fields(err.Error()), " ")
	}
	t.Errorf("%q are taken", set)
	return ""
}

// names returns what a manifest has, as "Kind namespace/name", sorted.
func names(t *testing.T, manifest string) []string {
	t.Helper()
	documents, err := shipped.Documents(manifest)
	must(t, err)
	var all []string
	for _, document := range documents {
		var object metav1.PartialObjectMetadata
		must(t, yaml.Unmarshal([]byte(document), &object))
		if object.Kind == "" {
			continue // comments alone
		}
		name := object.Kind + " " + object.Name
		if object.Namespace != "" {
			name = object.Kind + " " + object.Namespace + "/" + object.Name
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// object decodes the one object of a manifest of this kind and name, or of this kind if name is
// empty. Fields that the kind does not have are errors.
func object[T any](t *testing.T, manifest, kind, name string) *T {
	t.Helper()
	of, err := shipped.OfKinds(manifest, kind)
	must(t, err)
	documents, err := shipped.Documents(of)
	must(t, err)
	var found []*T
	for _, document := range documents {
		var meta metav1.PartialObjectMetadata
		must(t, yaml.Unmarshal([]byte(document), &meta))
		if name == "" || meta.Name == name {
			decoded := new(T)
			must(t, yaml.UnmarshalStrict([]byte(document), decoded))
			found = append(found, decoded)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects %s %q, want one:\n%s", len(found), kind, name, manifest)
	}
	return found[0]
}

// within returns the objects of a manifest that are in a namespace, as a manifest.
func within(t *testing.T, manifest, namespace string) string {
	t.Helper()
	documents, err := shipped.Documents(manifest)
	must(t, err)
	var chosen []string
	for _, document := range documents {
		var object metav1.PartialObjectMetadata
		must(t, yaml.Unmarshal([]byte(document), &object))
		if object.Namespace == namespace {
			chosen = append(chosen, document)
		}
	}
	return strings.Join(chosen, "---\n")
}

// corefile returns the Corefile of a manifest without comments and blanks at either end of lines.
func corefile(t *testing.T, manifest string) string {
	t.Helper()
	return bare(object[corev1.ConfigMap](t, manifest, "ConfigMap", "minilb-corefile").Data["Corefile"])
}

// Helm finds nothing to complain of, whatever is configured.
func TestLint(t *testing.T) {
	variants, err := shipped.ChartVariants()
	must(t, err)
	if len(variants) < 8 {
		t.Errorf("only %d variants", len(variants))
	}
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, err := shipped.Helm(t.Context(), "lint", "--strict", "--values", values, "deploy/helm/minilb")
			if err != nil || !strings.Contains(said, "1 chart(s) linted, 0 chart(s) failed") {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// A package of the chart has what it needs and nothing of the tests.
func TestPackage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := shipped.Helm(t.Context(), "package", "deploy/helm/minilb", "--destination", dir)
	must(t, err)
	archive := filepath.Join(dir, "minilb-0.1.0.tgz")
	shown, err := shipped.Helm(t.Context(), "show", "readme", archive)
	must(t, err)
	readme, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	must(t, err)
	if strings.TrimSpace(shown) != strings.TrimSpace(string(readme)) {
		t.Errorf("the package's README is another:\n%s", shown)
	}
	manifest, err := shipped.Helm(t.Context(), "template", "minilb", archive, "--namespace", shipped.Namespace, "--kube-version", "1.36.3",
		"--set", "metrics.dashboard.enabled=true,metrics.prometheusRule.enabled=true")
	must(t, err)
	if want := rendered(t, "metrics.dashboard.enabled=true,metrics.prometheusRule.enabled=true"); manifest != want {
		t.Error("the package renders something else than the directory")
	}
}

// Values that are null may as well not be there, as with Helm 4, which leaves them out.
func TestNull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "minilb")
	must(t, os.CopyFS(dir, os.DirFS(chartDir)))
	path := filepath.Join(dir, "values.yaml")
	values, err := os.ReadFile(path)
	must(t, err)
	without := regexp.MustCompile(`(?m)^ *[A-Za-z]+: null\n`).ReplaceAll(values, nil)
	if len(without) == len(values) {
		t.Error("no value is null")
	}
	must(t, os.WriteFile(path, without, 0o600))
	got, err := shipped.Helm(t.Context(), "template", "minilb", dir, "--namespace", shipped.Namespace, "--kube-version", "1.36.3")
	must(t, err)
	if want := rendered(t); got != want {
		t.Errorf("without them:\n%s\nwith null:\n%s", got, want)
	}
}

// The values that the README shows are taken.
func TestExamples(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	must(t, err)
	examples := yamlBlock.FindAllStringSubmatch(string(readme), -1)
	if len(examples) < 4 {
		t.Errorf("found %d examples, want at least 4", len(examples))
	}
	for _, example := range examples {
		path := filepath.Join(t.TempDir(), "values.yaml")
		must(t, os.WriteFile(path, []byte(example[1]), 0o600))
		if _, err := shipped.Chart(t.Context(), path); err != nil {
			t.Errorf("%v\n%s", err, example[1])
		}
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// The copies in the chart, which a package needs, are those of deploy/. MINILB_UPDATE=1 writes them.
func TestCopies(t *testing.T) {
	for copied, original := range map[string]string{
		"files/minilb.json": "../../deploy/grafana/minilb.json",
		"files/rules.yaml":  "../../deploy/prometheus/rules.yaml",
	} {
		want, err := os.ReadFile(original)
		must(t, err)
		copied = filepath.Join(chartDir, copied)
		if os.Getenv("MINILB_UPDATE") != "" {
			must(t, os.WriteFile(copied, want, 0o644))
		}
		got, err := os.ReadFile(copied)
		must(t, err)
		if string(got) != string(want) {
			t.Errorf("%s is not %s: MINILB_UPDATE=1 go test -run Copies ./test/chart", copied, original)
		}
	}
}
