package corefile

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The Corefile of a container is read with the container's environment, and with nothing of this process.
func TestFindInContainer(t *testing.T) {
	t.Setenv("HOME", "laptop")
	t.Setenv("NODE_IP", "192.0.2.1")
	t.Setenv("TWO", "laptop")
	pod := podOf("corefile")
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "ZONE", Value: "sidecar"}}
	pod.Spec.Containers[1].Env = []corev1.EnvVar{
		{Name: "ZONE", Value: "first"}, {Name: "ZONE", Value: "lan"}, {Name: "BLOCK", Value: "."},
		{Name: "TWO", Value: "a b"}, {Name: "LATER", Value: "$(ZONE)"}, {Name: "BRACE", Value: "{"}, {Name: "SIGN", Value: "$"},
		{Name: "NODE_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIP"}}},
	}
	const file = "ConfigMap lan/corefile"
	unknown := func(where, name string) string {
		return file + where + "the variable " + name + " is not known: the container has no literal value for it that is one word"
	}
	const at2, at3 = ":2 - Error during parsing: ", ":3 - Error during parsing: "
	for corefile, want := range map[string]string{
		"{$BLOCK} {\n minilb {$ZONE} {%ZONE%}.example\n}":                                        "lan. lan.example.",
		"# {$HOME}\n. {\n minilb lan # {$TWO}\n}":                                                "lan.",
		". {\n bind {$NODE_IP}\n minilb lan {\n ns {$NODE_IP}\n kubeconfig {$HOME}/config\n}\n}": "lan.",
		"(a) {\n errors\n}\n. {\n import a\n minilb lan\n}":                                      "lan.",
		". {\n minilb lan {\n namespaces shop import etc\n}\n}":                                  "lan.",
		". {\n minilb {$HOME}\n}":                                                                unknown(at2, "HOME"),
		". {\n minilb {%HOME%}\n}":                                                               unknown(at2, "HOME"),
		". {\n minilb x{$NODE_IP}\n}":                                                            unknown(at2, "NODE_IP"),
		". {\n minilb {$TWO}\n}":                                                                 unknown(at2, "TWO"),
		". {\n minilb {$LATER}\n}":                                                               unknown(at2, "LATER"),
		". {\n minilb lan {$BRACE}\n}":                                                           unknown(at2, "BRACE"),
		". {\n minilb {{$SIGN}HOME}\n}":                                                          unknown(at2, "SIGN"),
		". {\n minilb lan {\n class {$HOME}\n}\n}":                                               unknown(at3+"class: ", "HOME"),
		". {\n minilb lan {\n fallthrough {$HOME}\n}\n}":                                         unknown(at3+"fallthrough: ", "HOME"),
		"{$HOME} {\n minilb lan\n}":                                                              unknown(": ", "HOME"),
		"import /etc/hosts":                                                                      file + ":1 - Error during parsing: import /etc/hosts: a file of the container cannot be read",
		". { import {$HOME}\n}":                                                                  file + ":1 - Error during parsing: import HOME: a file of the container cannot be read",
		". {\n minilb lan {\n import a\n}\n}\n(a) {\n}":                                          file + at3 + "import a: a file of the container cannot be read",
	} {
		stored := configMap("lan", "corefile", "Corefile", "")
		stored.Data["Corefile"] = corefile
		found, err := Find(t.Context(), granting(func(string, string) bool { return true }, []runtime.Object{deployment("lan", "dns", "minilb", pod), stored}...))
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(found.Corefile.Blocks[0].Options.Zones, " ")
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", corefile, got, want)
		}
	}
}
