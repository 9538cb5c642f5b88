package chart_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/minilb/minilb/test/shipped"
)

// schemaOf is what the schema says of values.
type schemaOf struct {
	Properties map[string]schemaOf
	Required   []string
}

// requires reports whether a value may not be null, which removes it.
func (s schemaOf) requires(path string) bool {
	key, rest, nested := strings.Cut(path, ".")
	if !nested {
		return slices.Contains(s.Required, key)
	}
	return s.Properties[key].requires(rest)
}

// Null removes a value: what nothing needs is left out, as the fixed user is on OpenShift, and what is
// needed is named.
func TestNullRemoves(t *testing.T) {
	t.Parallel()
	var schema schemaOf
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &schema))
	var required, removable []string
	for _, value := range described(t) {
		if schema.requires(value.path) {
			required = append(required, value.path)
		} else {
			removable = append(removable, value.path+"=null")
		}
	}

	for _, with := range []string{"plugin.snapshot.enabled=true", "dns.kind=DaemonSet,dns.ports.dns=53", "tls.secretName=x,plugin.ttl=5"} {
		manifest := rendered(t, append(slices.Clone(removable), with)...)
		for _, kind := range []string{"Deployment", "DaemonSet"} {
			of, err := shipped.OfKinds(manifest, kind)
			must(t, err)
			for _, name := range names(t, of) {
				_, name, _ = strings.Cut(name, "/")
				pod := object[appsv1.Deployment](t, strings.ReplaceAll(of, "updateStrategy:", "strategy:"), kind, name).Spec.Template.Spec
				if c := pod.Containers[0]; pod.SecurityContext != nil || c.SecurityContext != nil || c.Resources.Limits != nil {
					t.Errorf("with %s: %s %s has what was removed: %+v", with, kind, name, pod)
				}
			}
		}
	}
	for _, with := range []string{"dns.hostNetwork=true,dns.ports.dns=53", "networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true"} {
		with += ",plugin.namespaces=null,plugin.extraZones=null,dns.podSecurityContext=null,dns.securityContext=null,dns.resources=null,controller.resources=null,controller.podSecurityContext=null,controller.securityContext=null"
		rendered(t, with)
	}

	said := refused(t, strings.Join(required, "=null,")+"=null")
	if strings.Contains(said, "nil pointer") || strings.Contains(said, "reflect") {
		t.Errorf("got %q", said)
	}
	for _, path := range required {
		if key := path[strings.LastIndex(path, ".")+1:]; !strings.Contains(said, "'"+key+"'") {
			t.Errorf("%s: got %q, want it named", path, said)
		}
	}
}

// The values for OpenShift in the README do what the component does.
func TestOpenShiftValues(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	must(t, err)
	_, block, _ := strings.Cut(string(readme), "On OpenShift")
	_, block, _ = strings.Cut(block, "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	path := filepath.Join(t.TempDir(), "values.yaml")
	must(t, os.WriteFile(path, []byte(block), 0o600))
	want := rendered(t)
	for _, line := range []string{"        runAsUser: 65532\n", "        runAsGroup: 65532\n"} {
		if n := strings.Count(want, line); n != 2 {
			t.Fatalf("%q is there %d times, want two", line, n)
		}
		want = strings.ReplaceAll(want, line, "")
	}
	if got := render(t, path); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The component for OpenShift leaves out the fixed user, and nothing else: what is not ours keeps its own,
// or has none.
func TestOpenShift(t *testing.T) {
	t.Parallel()
	const beside = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: fixed
spec:
  template:
    spec:
      securityContext:
        runAsGroup: 1000
        runAsUser: 1000
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: free
spec:
  template:
    spec:
      containers: []
`
	for name, base := range map[string]func() (string, error){"base": shipped.Base, "overlays/daemonset": shipped.DaemonSet} {
		want, err := base()
		must(t, err)
		if n := strings.Count(want, "        runAsUser: 65532\n"); n != 2 {
			t.Fatalf("%s has %d fixed users, want two", name, n)
		}
		for _, line := range []string{"        runAsUser: 65532\n", "        runAsGroup: 65532\n"} {
			want = strings.ReplaceAll(want, line, "")
		}
		got, err := shipped.WithComponent(name, beside, "openshift")
		must(t, err)
		documents := func(manifest string) []string { return slices.Sorted(strings.SplitSeq(manifest, "---\n")) }
		if want += "---\n" + beside; !slices.Equal(documents(got), documents(want)) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}
