package kube

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/unprivileged"
)

const (
	clusters = `apiVersion: v1
kind: Config
clusters: [{name: one, cluster: {server: "https://one.example:6443"}}, {name: two, cluster: {server: "https://two.example:6443"}}]
`
	two = clusters + `contexts: [{name: one, context: {cluster: one, user: u}}, {name: two, context: {cluster: two, user: u}}]
users: [{name: u, user: {token: secret}}]
current-context: one
`
	plugin = clusters + `contexts: [{name: one, context: {cluster: one, user: u}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: COMMAND, interactiveMode: Never}}}]
current-context: one
`
	dangling = clusters + `contexts: [{name: one, context: {cluster: three, user: u}}]
current-context: one
`
)

// alone takes away every place but those that the test names.
func alone(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBERNETES_SERVICE_PORT", "")
	t.Setenv("KUBECONFIG", "")
	home := clientcmd.RecommendedHomeFile
	clientcmd.RecommendedHomeFile = filepath.Join(dir, "home")
	t.Cleanup(func() { clientcmd.RecommendedHomeFile = home })
	return dir
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name    string
		files   map[string]string // by name in the test's directory; "home" is ~/.kube/config
		path    string            // in the test's directory
		context string
		env     string // $KUBECONFIG, DIR stands for the test's directory
		host    string // what is found
		err     string // or what the error contains; DIR as above
	}{
		{name: "a path", files: map[string]string{"a": two}, path: "a", host: "https://one.example:6443"},
		{name: "a path before the others", files: map[string]string{"a": two, "home": dangling, "env": dangling}, path: "a", env: "DIR/env", host: "https://one.example:6443"},
		{name: "a context", files: map[string]string{"a": two}, path: "a", context: "two", host: "https://two.example:6443"},
		{name: "the environment", files: map[string]string{"env": two, "home": dangling}, env: "DIR/env", host: "https://one.example:6443"},
		{name: "a context in the environment", files: map[string]string{"env": two}, env: "DIR/env", context: "two", host: "https://two.example:6443"},
		{name: "the second file in the environment", files: map[string]string{"env": two}, env: "DIR/none" + string(filepath.ListSeparator) + "DIR/env", host: "https://one.example:6443"},
		{name: "home", files: map[string]string{"home": two}, host: "https://one.example:6443"},
		{name: "a credential plugin", files: map[string]string{"a": strings.Replace(plugin, "COMMAND", "go", 1)}, path: "a", host: "https://one.example:6443"},

		{name: "missing", path: "a", err: `kubeconfig "DIR/a" does not exist`},
		{name: "missing, though there is another", files: map[string]string{"home": two}, path: "a", err: `kubeconfig "DIR/a" does not exist`},
		{name: "missing, though the environment has another", files: map[string]string{"env": two}, env: "DIR/env", path: "a", err: `kubeconfig "DIR/a" does not exist`},
		{name: "a directory", path: ".", err: "is a directory"},
		{name: "malformed", files: map[string]string{"a": "a: [b\n"}, path: "a", err: `kubeconfig "DIR/a" is malformed: `},
		{name: "malformed in the environment", files: map[string]string{"env": "a: [b\n"}, env: "DIR/env", err: `kubeconfig $KUBECONFIG ("DIR/env") is malformed: `},
		{name: "empty", files: map[string]string{"a": ""}, path: "a", err: `kubeconfig "DIR/a" has no cluster behind its current context`},
		{name: "no current context", files: map[string]string{"a": clusters}, path: "a", err: `kubeconfig "DIR/a" has no cluster behind its current context`},
		{name: "clusters alone at home", files: map[string]string{"home": clusters}, err: `kubeconfig "DIR/home" has no cluster behind its current context`},
		{name: "contexts alone at home", files: map[string]string{"home": "contexts: [{name: one, context: {cluster: one}}]\ncurrent-context: one\n"}, err: `kubeconfig "DIR/home" has no cluster behind its current context`},
		{name: "a context without cluster", files: map[string]string{"a": dangling}, path: "a", err: `kubeconfig "DIR/a" has no cluster behind its current context`},
		{name: "an unknown context", files: map[string]string{"a": two}, path: "a", context: "three", err: `kubeconfig "DIR/a" has no context "three"`},
		{name: "an unknown context at home", files: map[string]string{"home": two}, context: "three", err: `kubeconfig "DIR/home" has no context "three"`},
		{name: "a credential plugin that is absent", files: map[string]string{"a": strings.Replace(plugin, "COMMAND", "no-such-login", 1)}, path: "a",
			err: `kubeconfig "DIR/a": its user gets credentials from the program "no-such-login", which is not installed here; install it or use a token`},
		{name: "nothing anywhere", err: `no cluster to talk to: not in a pod and no kubeconfig in "DIR/home"; name one`},
		{name: "nothing in the environment", env: "DIR/none", err: `no cluster to talk to: not in a pod and no kubeconfig in $KUBECONFIG ("DIR/none"); name one`},
		{name: "nothing anywhere, and a context", context: "two", err: "no cluster to talk to"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := alone(t)
			for name, content := range tc.files {
				write(t, filepath.Join(dir, name), content, 0o600)
			}
			t.Setenv("KUBECONFIG", strings.ReplaceAll(tc.env, "DIR", dir))
			path := tc.path
			if path != "" {
				path = filepath.Join(dir, path)
			}
			config, err := Config(path, tc.context)
			if tc.err != "" {
				expectError(t, err, strings.ReplaceAll(tc.err, "DIR", dir))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if config.Host != tc.host {
				t.Errorf("got %s, want %s", config.Host, tc.host)
			}
		})
	}
}

func TestConfigUnreadable(t *testing.T) {
	path := filepath.Join(alone(t), "a")
	write(t, path, two, 0)
	var err error
	unprivileged.Run(t, func() { _, err = Config(path, "") })
	expectError(t, err, "is not readable by this user")
}

// In a pod its ServiceAccount comes before any kubeconfig that is not named.
func TestConfigInCluster(t *testing.T) {
	dir := alone(t)
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	write(t, filepath.Join(dir, "home"), two, 0o600)
	write(t, filepath.Join(dir, "a"), two, 0o600)

	config, err := Config("", "")
	if _, missing := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/token"); missing != nil {
		expectError(t, err, "read the pod's ServiceAccount: ")
	} else if err != nil || config.Host != "https://10.96.0.1:443" {
		t.Errorf("got %v and %v", config, err)
	}
	for name, of := range map[string][2]string{"a path": {filepath.Join(dir, "a"), ""}, "a context": {"", "one"}} {
		if config, err := Config(of[0], of[1]); err != nil || config.Host != "https://one.example:6443" {
			t.Errorf("%s: got %v and %v", name, config, err)
		}
	}
}

// R7b: what a pod is told is no address of the API server that the LAN knows.
func TestHost(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	for host, want := range map[string]string{
		"https://192.168.1.10:6443": "192.168.1.10", "https://[fd00::1]:6443/k8s": "fd00::1", "api.example.org": "api.example.org", "https://10.96.0.1:443": "", "https://10.96.0.2:443": "10.96.0.2", "%": "",
	} {
		if got := Host(&rest.Config{Host: host, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
}

func TestProtobuf(t *testing.T) {
	config := &rest.Config{Host: "https://one.example:6443"}
	got := ClientConfig(config, "minilb/v1")
	if got.Host != config.Host || got.UserAgent != "minilb/v1" || got.QPS >= 0 ||
		got.ContentType != runtime.ContentTypeProtobuf || !strings.Contains(got.AcceptContentTypes, runtime.ContentTypeJSON) {
		t.Errorf("got %+v", got)
	}
	if got.Dial == nil {
		t.Error("nothing limits how long a connection may take")
	}
	dialled := false
	config.Dial = func(context.Context, string, string) (net.Conn, error) { dialled = true; return nil, nil }
	if ClientConfig(config, "").Dial(t.Context(), "", ""); !dialled {
		t.Error("the caller's way to dial is not used")
	}
	if config.ContentType != "" || config.UserAgent != "" || config.QPS != 0 {
		t.Error("the caller's configuration was changed")
	}
}

// The pause between two attempts grows, and stays below three seconds however long it takes.
func TestReconnect(t *testing.T) {
	backoff := Reconnect
	first := backoff.Step()
	for range 100 {
		if pause := backoff.Step(); pause < first/2 || pause >= 3*time.Second {
			t.Fatalf("got a pause of %v", pause)
		}
	}
	if pause := backoff.Step(); pause < 5*first {
		t.Errorf("the pause began with %v and is still %v", first, pause)
	}
}

// expectError fails the test unless err is one line that contains want.
func expectError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got error %v, want one line with %q", err, want)
	}
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
