package chart_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/shipped"
)

// differing are the labels in which the chart's objects differ from those of kustomize.
var differing = []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "helm.sh/chart"}

// The chart and deploy/kustomize make the same objects, but for what the chart's README says:
// labels that name Helm and the release, the Namespace, which Helm makes and the controller's policy
// names, and how a new Corefile rolls the pods.
func TestAgreesWithKustomize(t *testing.T) {
	for _, test := range []struct {
		name, values string
		kustomize    func() (string, error)
	}{
		{"base", "default", shipped.Base},
		{"daemonset", "daemonset", shipped.DaemonSet},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			kustomized, err := test.kustomize()
			must(t, err)
			expectMounted(t, kustomized)
			got, want := neutral(t, variant(t, test.values)), neutral(t, kustomized)
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
				t.Errorf("the chart has %q\nkustomize has %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
			for name := range got {
				if got[name] != want[name] {
					t.Errorf("%s: the chart has\n%s\nkustomize has\n%s", name, got[name], want[name])
				}
			}
		})
	}
}

// expectMounted checks that pods mount the ConfigMap that is there, whose name has a hash of the
// Corefile.
func expectMounted(t *testing.T, manifest string) {
	t.Helper()
	for _, name := range names(t, manifest) {
		if name, is := strings.CutPrefix(name, "ConfigMap minilb/"); is && strings.Count(manifest, "name: "+name+"\n") < 2 {
			t.Errorf("nothing mounts the ConfigMap %s:\n%s", name, manifest)
		}
	}
}

// The accounts that the controller's policy is for.
const (
	kustomizedAccount = `request.userInfo.username.startsWith("system:serviceaccount:") && request.userInfo.username.endsWith(":minilb-controller")`
	chartAccount      = `request.userInfo.username == "system:serviceaccount:minilb:minilb-controller"`
)

// neutral returns the objects of a manifest as JSON, by kind and name, without what may differ.
func neutral(t *testing.T, manifest string) map[string]string {
	t.Helper()
	documents, err := shipped.Documents(manifest)
	must(t, err)
	all := map[string]string{}
	for _, document := range documents {
		var object map[string]any
		must(t, yaml.Unmarshal([]byte(document), &object))
		if object == nil || object["kind"] == "Namespace" {
			continue
		}
		metadata := object["metadata"].(map[string]any)
		if object["kind"] == "ValidatingAdmissionPolicy" {
			for _, condition := range object["spec"].(map[string]any)["matchConditions"].([]any) {
				expression := condition.(map[string]any)
				if expression["expression"] == kustomizedAccount {
					expression["expression"] = chartAccount
				}
			}
		}
		if object["kind"] == "ConfigMap" {
			data := object["data"].(map[string]any)
			data["Corefile"] = bare(data["Corefile"].(string))
		}
		name, _, _ := strings.Cut(metadata["name"].(string), "-corefile")
		metadata["name"] = name
		text, err := json.MarshalIndent(withoutDiffering(object), "", " ")
		must(t, err)
		key := object["kind"].(string) + " " + name
		if all[key] != "" {
			t.Fatalf("%s is there twice", key)
		}
		all[key] = string(text)
	}
	return all
}

// withoutDiffering removes labels that may differ, wherever they stand, the checksum of the
// Corefile, and the hash in the name of its ConfigMap.
func withoutDiffering(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for _, label := range differing {
			delete(value, label)
		}
		if annotations, ok := value["annotations"].(map[string]any); ok {
			if delete(annotations, "checksum/corefile"); len(annotations) == 0 {
				delete(value, "annotations")
			}
		}
		if volume, ok := value["configMap"].(map[string]any); ok {
			volume["name"], _, _ = strings.Cut(volume["name"].(string), "-corefile")
		}
		for key := range value {
			value[key] = withoutDiffering(value[key])
		}
	case []any:
		for i := range value {
			value[i] = withoutDiffering(value[i])
		}
	}
	return value
}

// bare returns a Corefile without comments and indentation.
func bare(corefile string) string {
	var lines []string
	for line := range strings.Lines(corefile) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
