package check

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// What may not be read is left out and said, unless nothing could be said without it.
func TestReadRefused(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no"))
	starting := apierrors.NewServiceUnavailable("starting")
	for _, tc := range []struct {
		name, verb, resource string
		err                  error
		failure              string // in one line, "" for none
		want                 []string
	}{
		{"nothing", "list", "leases", forbidden, "", nil},
		{"services", "list", "services", forbidden, "services: list is forbidden", nil},
		{"endpointslices", "list", "endpointslices", forbidden, "endpointslices: list is forbidden", nil},
		{"nodes", "list", "nodes", forbidden, "", []string{
			"warning APIResource nodes Unread: nodes may not be listed by this account: routes are not checked; run this with an account that may list nodes"}},
		{"nodes away", "list", "nodes", starting, "nodes: cannot list: starting", nil},
		{"a CNI's configuration", "get", "configmaps", forbidden, "", []string{
			"notice APIResource configmaps Unread: this account may not read the ConfigMap kube-system/cilium-config, the ConfigMap kube-flannel/kube-flannel-cfg, the ConfigMap kube-system/kube-flannel-cfg: " +
				"whether the network plugin has tunnels between nodes, or masquerades, is not known; run this with an account that may"}},
		{"a CNI's configuration away", "get", "configmaps", starting, "configmaps: cannot get: starting", nil},
		{"accounts", "list", "serviceaccounts", starting, "subjectaccessreviews: cannot ask for permissions by: starting", nil},
	} {
		c := ofCluster(t, ". {\n minilb minilb\n}", sound+gateway)
		refuse := func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err }
		if tc.resource == "serviceaccounts" {
			c.DNSAccount = Auto
		}
		c.client.(*fake.Clientset).PrependReactor(tc.verb, tc.resource, refuse)
		report, err := c.run(t.Context())
		if (err != nil) != (tc.failure != "") || err != nil && !strings.HasPrefix(err.Error(), tc.failure) {
			t.Errorf("%s: got error %v, want %q", tc.name, err, tc.failure)
		}
		if err != nil {
			continue
		}
		problems := slices.DeleteFunc(report.Problems, func(f Problem) bool { return f.Reason == "MissingDefinition" })
		t.Run(tc.name, func(t *testing.T) { expect(t, problems, tc.want) })
	}
}

// What the plugin could not read is said, and how to read it.
func TestUnread(t *testing.T) {
	c := checker{}
	c.unavailable([]translator.Unavailable{{Resource: "ingresses.networking.k8s.io", Message: "ingresses.networking.k8s.io: list and watch is forbidden"}})
	expect(t, c.problems, []string{
		"warning APIResource ingresses.networking.k8s.io Unread: ingresses.networking.k8s.io: list and watch is forbidden; run this with an account that may list and watch ingresses.networking.k8s.io"})
}

// A refusal of a reason that is not known is told all the same. What is wrong with a slice is said of its Service, and
// what depends on a kind that cannot be read is said of the kind.
func TestRefusedOtherwise(t *testing.T) {
	c := checker{}
	c.rejected([]object.Problem{{Ref: &object.Ref{Kind: "Ingress", Namespace: "shop", Name: "i"}, Reason: "new", Text: "it is so"}, {Reason: object.ReasonEndpoint}, {Reason: object.ReasonUnread}})
	expect(t, c.problems, []string{
		`warning Ingress shop/i HostDiffers: it is so; run "minilb explain HOST"`})
}

// All kinds of the Gateway API are told of once, in the version in which some server reads them.
func TestServed(t *testing.T) {
	const corefile = ".:53 {\n minilb minilb {\n  namespaces shop\n }\n}\nlan:53 {\n minilb lan {\n  resources service\n }\n}"
	c := ofCluster(t, corefile, sound+gateway)
	report, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []inspect.ServedKind{servedKind("GRPCRoute", ""), servedKind("Gateway", "v1"), servedKind("GatewayClass", "v1"), servedKind("HTTPRoute", ""), servedKind("ListenerSet", ""), servedKind("TLSRoute", ""), servedKind("XListenerSet", "")}
	if !slices.Equal(report.GatewayAPI, want) {
		t.Errorf("got %v, want %v", report.GatewayAPI, want)
	}
	if c = ofCluster(t, ". {\n minilb minilb {\n  resources service\n }\n}", sound+gateway); len(mustRun(t, c).GatewayAPI) > 0 {
		t.Error("kinds are told of that nobody reads")
	}
}

func mustRun(t *testing.T, c *checker) *Report {
	t.Helper()
	report, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// An API server that is away, or no kubeconfig that could be used, is an error in one line.
func TestRunFails(t *testing.T) {
	options := ofCluster(t, ". {\n minilb minilb\n}", sound).Options
	for want, config := range map[string]*rest.Config{
		"make a client of the kubeconfig: ": {Host: "http://192.0.2.1", TLSClientConfig: rest.TLSClientConfig{CAFile: "missing"}},
		"cannot reach the API server at ": {Host: "http://192.0.2.1", Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}},
	} {
		if report, err := Run(t.Context(), config, options); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, %v, want %q", report, err, want)
		}
	}
}

// Each namespace is read once, however many servers read it, and all if one of them reads all.
func TestNamespaces(t *testing.T) {
	for _, tc := range []struct {
		of   [][]string
		want []string
	}{
		{[][]string{{"shop", "dev"}, {"shop", "a"}}, []string{"a", "dev", "shop"}},
		{[][]string{{"shop"}, nil}, []string{""}}, {[][]string{nil}, []string{""}}, {[][]string{{"shop"}}, []string{"shop"}},
	} {
		c := checker{}
		for _, namespaces := range tc.of {
			c.options = append(c.options, config.Options{Namespaces: namespaces})
		}
		if got := c.namespaces(); !slices.Equal(got, tc.want) {
			t.Errorf("%q: got %q, want %q", tc.of, got, tc.want)
		}
	}
}
