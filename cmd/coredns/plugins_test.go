package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
)

// Each directive is that of a plugin that is built in, and each plugin that is built in has
// its place.
func TestDirectivesRegistered(t *testing.T) {
	if err := setDirectives(); err != nil {
		t.Fatal(err)
	}
	directives := dnsserver.Directives
	for _, name := range directives {
		if _, err := caddy.DirectiveAction("dns", name); err != nil {
			t.Errorf("directive %s is of no plugin: %v", name, err)
		}
	}
	for _, name := range caddy.ListPlugins()["others"] {
		if name = strings.TrimPrefix(name, "dns."); !slices.Contains(directives, name) {
			t.Errorf("plugin %s has no place among the directives", name)
		}
	}
}

// D9: the order is that of the CoreDNS we build on, but for minilb, which that does not have,
// and cache, which stands behind it.
func TestDirectivesOrder(t *testing.T) {
	if err := setDirectives(); err != nil {
		t.Fatal(err)
	}
	directives := dnsserver.Directives
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/coredns/coredns").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "plugin.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var want []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, _, _ := strings.Cut(lines.Text(), ":")
		if slices.Contains(directives, name) && name != "cache" {
			want = append(want, name)
		}
	}
	got := slices.DeleteFunc(slices.Clone(directives), func(name string) bool { return name == "cache" || name == "minilb" })
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	before := []string{"loadbalance", "acl", "rewrite", "header", "dnssec", "minimal", "template", "transfer", "hosts"}
	behind := []string{"cache", "file", "auto", "secondary", "forward"}
	at := slices.Index(directives, "minilb")
	if at < 0 {
		t.Fatalf("minilb is not among %v", directives)
	}
	for _, name := range before {
		if slices.Index(directives, name) > at {
			t.Errorf("%s stands behind minilb", name)
		}
	}
	for _, name := range behind {
		if slices.Index(directives, name) < at {
			t.Errorf("%s stands before minilb", name)
		}
	}
}

// -version names CoreDNS's version and ours, and a Corefile that is not there, or wrong, ends
// the program with one line.
func TestProgram(t *testing.T) {
	const set = "-X github.com/minilb/minilb/plugin/minilb/version."
	binary := filepath.Join(t.TempDir(), "coredns")
	if out, err := exec.Command("go", "build", "-ldflags", set+"release=v1.2.3 "+set+"revision=0123abc", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary, "-version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "CoreDNS-1.15.0 with minilb v1.2.3\n") {
		t.Errorf("-version: %v, %s", err, out)
	}
	if want := runtime.GOOS + "/" + runtime.GOARCH + ", " + runtime.Version() + ", 0123abc\n"; !strings.HasSuffix(string(out), want) {
		t.Errorf("-version: got %s, want %s", out, want)
	}
	malformed := filepath.Join(t.TempDir(), "malformed")
	if err := os.WriteFile(malformed, []byte("clusters: [what"), 0o600); err != nil {
		t.Fatal(err)
	}
	valid := filepath.Join(t.TempDir(), "valid")
	if err := os.WriteFile(valid, []byte("{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}"), 0o600); err != nil {
		t.Fatal(err)
	}
	helped := filepath.Join(t.TempDir(), "helped")
	if err := os.WriteFile(helped, []byte("{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-login, interactiveMode: Never}}}], current-context: c}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for corefile, want := range map[string]string{
		"minilb . \n":                                        "plugin/minilb: Corefile:1 - Error during parsing: the root zone cannot be served",
		"minilb minilb {\ncolour red\n}\n":                   "plugin/minilb: Corefile:2 - Error during parsing: unknown property \"colour\": want one of ",
		"minilb minilb {\nttl -1\n}\n":                       "plugin/minilb: Corefile:2 - Error during parsing: ttl: got \"-1\", want SECONDS from 0 to 3600",
		"minilb minilb {\nkubeconfig /nowhere/config\n}\n":   "plugin/minilb: kubeconfig \"/nowhere/config\" does not exist",
		"minilb minilb {\nkubeconfig " + malformed + "\n}\n": "plugin/minilb: kubeconfig \"" + malformed + "\" is malformed: ",
		"minilb minilb {\nkubeconfig " + valid + " lab\n}\n": "plugin/minilb: kubeconfig \"" + valid + "\" has no context \"lab\"",
		"minilb minilb {\nkubeconfig " + helped + "\n}\n":    "plugin/minilb: kubeconfig \"" + helped + "\": its user gets credentials from the program \"no-such-login\", which is not installed here; install it or use a token",
		"minilb minilb\n":                                    "plugin/minilb: no cluster to talk to: not in a pod and no kubeconfig in $KUBECONFIG (\"/nowhere/config\")",
	} {
		dir := t.TempDir()
		text := ".:0 {\n" + corefile + "}\n"
		if err := os.WriteFile(filepath.Join(dir, "Corefile"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// The block stands in the second line of the file.
		want = strings.NewReplacer("Corefile:1 ", "Corefile:2 ", "Corefile:2 ", "Corefile:3 ").Replace(want)
		cmd := exec.Command(binary)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KUBECONFIG=/nowhere/config")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v\ngot  %s\nwant %s", corefile, err, out, want)
		}
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(line string) bool { return strings.HasPrefix(line, "maxprocs: ") })
		if len(lines) != 1 {
			t.Errorf("%q: got %d lines, want one:\n%s", corefile, len(lines), out)
		}
	}
}
