// Package kube finds the API server: it turns the kubeconfig that a user names, or the
// places where one is usually found, into a client configuration, and says in one line what
// stands between us and it. It imports nothing of ours.
package kube

import (
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

// Config returns the client configuration for the API server. A path names a kubeconfig
// file and must be readable; without one the pod's ServiceAccount, then the files in
// $KUBECONFIG, then ~/.kube/config are used, the first that exists. A context selects one
// of the kubeconfig's contexts by name; empty means its current one. Nothing is dialled.
// An error is one line that says what is wrong and what to do.
func Config(path, context string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.DefaultClientConfig = nil // no silent fall-back to localhost:8080
	if path != "" {
		rules.ExplicitPath = path
	} else if context == "" {
		config, err := rest.InClusterConfig()
		if err == nil {
			return config, nil
		}
		if !errors.Is(err, rest.ErrNotInCluster) {
			return nil, fmt.Errorf("read the pod's ServiceAccount: %w", err)
		}
	}
	where := describe(path, rules)

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
	case clientcmd.IsEmptyConfig(err): // client-go would speak of $KUBERNETES_MASTER
		return nil, fmt.Errorf("kubeconfig %s has no cluster behind its current context; set that or name a context", where)
	case err != nil:
		return nil, fmt.Errorf("kubeconfig %s is unusable: %s", where, oneLine(err))
	}
	if err := runnable(config); err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", where, err)
	}
	return config, nil
}

// Host returns the host of the API server, a name or an address, of a client configuration that Config has
// returned. It is empty in a pod whose configuration is its ServiceAccount's: that names a Service's address, by
// which nobody outside of the cluster reaches anything.
func Host(config *rest.Config) string {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil || base.Hostname() == os.Getenv("KUBERNETES_SERVICE_HOST") {
		return ""
	}
	return base.Hostname()
}

// dialTimeout is how long the API server has to accept a connection. client-go waits half a
// minute, in which an address that swallows packets would keep us from noticing its return.
const dialTimeout = 5 * time.Second

// keepAlive is how soon a connection fails whose other end has lost power: after nine seconds, in
// which HTTP/2 would not even have asked, as it does every half a minute. While nothing is said on
// a connection it costs a packet in five seconds.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 4}

// Reconnect paces the attempts to reach an API server that is away: the pause stays below
// three seconds. client-go's own grows to a minute, which would keep names unanswered that
// long after an outage, and a single request costs little.
var Reconnect = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 5, Cap: 2 * time.Second}

// Protobuf returns config for the API server's own kinds in their binary form, which costs
// a fraction of JSON's time and memory to decode, without a client-side rate limit, with seconds
// at most between two attempts at a request that the server puts off, and over connections that
// notice within seconds that the server has lost power.
func Protobuf(config *rest.Config, userAgent string) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.UserAgent = userAgent
	config.QPS = -1 // the API server's own priority and fairness decides
	if config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}).DialContext
	}
	config.Wrap(func(transport http.RoundTripper) http.RoundTripper { return patient{transport} })
	return config
}

// runnable reports a credential plugin whose program is not installed, which would
// otherwise show only as a failure of each request.
func runnable(config *rest.Config) error {
	if config.ExecProvider == nil {
		return nil
	}
	command := config.ExecProvider.Command
	if _, err := exec.LookPath(command); err != nil {
		return fmt.Errorf("its user gets credentials from the program %q, which is not installed here; install it or use a token", command)
	}
	return nil
}

// unreadable reports whether one of the files may not be read, which client-go tells in words alone.
func unreadable(rules *clientcmd.ClientConfigLoadingRules) bool {
	return slices.ContainsFunc(rules.GetLoadingPrecedence(), func(path string) bool {
		file, err := os.Open(path)
		if err == nil {
			file.Close()
		}
		return errors.Is(err, fs.ErrPermission)
	})
}

func describe(path string, rules *clientcmd.ClientConfigLoadingRules) string {
	if path != "" {
		return fmt.Sprintf("%q", path)
	}
	if env := os.Getenv(clientcmd.RecommendedConfigPathEnvVar); env != "" {
		return fmt.Sprintf("$%s (%q)", clientcmd.RecommendedConfigPathEnvVar, env)
	}
	return fmt.Sprintf("%q", rules.GetDefaultFilename())
}

// oneLine returns what an error says as one line. Whoever prints it sees to what a terminal would obey (M10).
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
