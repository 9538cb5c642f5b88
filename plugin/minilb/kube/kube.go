// Package kube connects to the API server, and explains in one line why that fails. It imports nothing of ours.
package kube

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config returns the client configuration for the API server. A path names a kubeconfig file; without one the first that
// exists of the pod's ServiceAccount, the files in $KUBECONFIG and ~/.kube/config is used. A context is that of the
// kubeconfig, "" its current one. Nothing is dialled. An error is one line that says what is wrong and what to do.
func Config(path, context string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.DefaultClientConfig = nil // no silent fall-back to localhost:8080
	rules.ExplicitPath = path
	if path == "" && context == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			return config, nil
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("read the pod's ServiceAccount: %w", err)
		}
	}
	where := fmt.Sprintf("%q", rules.GetDefaultFilename())
	if env := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); env != "" && path == "" {
		where = fmt.Sprintf("$%s (%q)", clientcmd.RecommendedConfigPathEnvVar, env)
	}

	loaded, err := rules.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("kubeconfig %s does not exist", where)
	case err != nil && unreadable(rules):
		return nil, fmt.Errorf("kubeconfig %s is not readable by this user", where)
	case err != nil:
		return nil, fmt.Errorf("kubeconfig %s is malformed: %s", where, oneLine(err))
	case len(loaded.Clusters) == 0 && len(loaded.Contexts) == 0 && path == "":
		return nil, fmt.Errorf("no cluster to talk to: not in a pod and no kubeconfig in %s; name one", where)
	case context != "" && loaded.Contexts[context] == nil:
		return nil, fmt.Errorf("kubeconfig %s has no context %q", where, context)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*loaded, context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	switch {
	case clientcmd.IsEmptyConfig(err): // client-go's message is about $KUBERNETES_MASTER
		return nil, fmt.Errorf("kubeconfig %s has no cluster behind its current context; set that or name a context", where)
	case err != nil:
		return nil, fmt.Errorf("kubeconfig %s is unusable: %s", where, oneLine(err))
	}
	if config.ExecProvider != nil { // else each request would fail
		command := config.ExecProvider.Command
		if _, err := exec.LookPath(command); err != nil {
			return nil, fmt.Errorf("kubeconfig %s: its user gets credentials from the program %q, which is not installed here; "+
				"install it or use a token", where, command)
		}
	}
	return config, nil
}

// Host returns the API server's name or address in a client configuration, "" for that of a pod's ServiceAccount: the
// address of a Service, which nobody outside the cluster can reach.
func Host(config *rest.Config) string {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil || base.Hostname() == os.Getenv("KUBERNETES_SERVICE_HOST") {
		return ""
	}
	return base.Hostname()
}

// namespaceFile has the namespace of a pod, beside the token of its ServiceAccount.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// Namespace returns the namespace of the pod that this process runs in, or otherwise, outside of pods.
func Namespace(otherwise string) string {
	text, err := os.ReadFile(namespaceFile)
	if err != nil {
		return otherwise
	}
	return cmp.Or(strings.TrimSpace(string(text)), otherwise)
}

// dialTimeout bounds how long an address that drops packets delays the reconnection; client-go has 30 seconds.
const dialTimeout = 5 * time.Second

// keepAlive has a connection fail nine seconds after the other end has lost power. HTTP/2 pings only every 30 seconds.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 4}

// Reconnect paces the attempts to reach an API server: the pause stays below three seconds. With client-go's backoff,
// which grows to a minute, names would stay unanswered for as long after an outage.
var Reconnect = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 5, Cap: 2 * time.Second}

// ClientConfig returns a copy of config for built-in kinds in protobuf, which takes a fraction of JSON's time and memory
// to decode, without a client-side rate limit, with a Retry-After of at most two seconds, and with keepAlive.
func ClientConfig(config *rest.Config, userAgent string) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.UserAgent = userAgent
	config.QPS = -1 // the API server has priority and fairness
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}).DialContext
	}
	config.Wrap(func(transport http.RoundTripper) http.RoundTripper { return patient{transport} })
	return config
}

// unreadable reports whether one of the files may not be read, for which client-go has no typed error.
func unreadable(rules *clientcmd.ClientConfigLoadingRules) bool {
	return slices.ContainsFunc(rules.GetLoadingPrecedence(), func(path string) bool {
		file, err := os.Open(path)
		if err == nil {
			file.Close()
		}
		return errors.Is(err, fs.ErrPermission)
	})
}

// oneLine leaves control characters, which are escaped where the text is printed (M10).
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
