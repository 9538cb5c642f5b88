package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// TestOutside makes the kubeconfigs for programs outside of the cluster, word for word as
// deploy/systemd says, and runs each program with its own: it can do what it must, and no more.
func TestOutside(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	harness.Must(t, c.Node(t.Context(), "node1", "192.168.1.31"))
	blocks := harness.Recipe(t, "../systemd/README.md", "Kubeconfigs that can only read")
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands, want 4", len(blocks))
	}
	deploy, err := filepath.Abs("../../deploy")
	harness.Must(t, err)
	dir := t.TempDir()
	do := func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+dir) // kubectl caches there
		harness.WithKubectl(t, cmd)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, script, out)
		}
		return string(out)
	}

	here := func(script string) string { return strings.ReplaceAll(script, " deploy/", " "+deploy+"/") }
	applied := do(here(blocks[0]))
	for line := range strings.Lines(applied) {
		if kind, _, _ := strings.Cut(line, "/"); !strings.Contains(" namespace serviceaccount role.rbac.authorization.k8s.io rolebinding.rbac.authorization.k8s.io clusterrole.rbac.authorization.k8s.io clusterrolebinding.rbac.authorization.k8s.io secret validatingadmissionpolicy.admissionregistration.k8s.io validatingadmissionpolicybinding.admissionregistration.k8s.io Warning:", " "+strings.Fields(kind)[0]) {
			t.Errorf("it has applied %s", line)
		}
	}
	kubeconfigs := map[string]string{}
	for _, name := range []string{"dns", "routes", "controller"} {
		account := "minilb-" + name
		cluster.Eventually(t, 10*time.Second, func() error { // the cluster makes the token
			secret, err := c.Client.CoreV1().Secrets(harness.ShippedNamespace).Get(t.Context(), account+"-token", metav1.GetOptions{})
			if err == nil && len(secret.Data["token"]) == 0 {
				err = errors.New("no token yet")
			}
			return err
		})
		script := strings.Replace(blocks[1], "account=minilb-dns file=dns.kubeconfig\n", "account="+account+" file="+name+".kubeconfig\n", 1)
		if !strings.Contains(script, "account="+account+" ") {
			t.Fatalf("the commands do not begin with the account:\n%s", script)
		}
		do(script)
		kubeconfigs[name] = filepath.Join(dir, name+".kubeconfig")
		info, err := os.Stat(kubeconfigs[name])
		harness.Must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", info.Name(), info.Mode())
		}
		var config struct {
			Clusters []struct {
				Cluster map[string]any `json:"cluster"`
			} `json:"clusters"`
		}
		text, err := os.ReadFile(kubeconfigs[name])
		harness.Must(t, err)
		harness.Must(t, yaml.Unmarshal(text, &config))
		if config.Clusters[0].Cluster["certificate-authority-data"] == nil {
			t.Errorf("%s has no certificate of its own", info.Name())
		}
	}

	if out := do(blocks[2]); !strings.HasPrefix(out, "yes\nNAMESPACE ") {
		t.Errorf("the account of the DNS server: got %s", out)
	}
	for _, account := range []struct {
		name, allowed string
		refused       []string
	}{
		{"dns", "list services", []string{"list secrets", "list nodes", "patch services", "patch services/status", "delete services"}},
		{"routes", "list nodes", []string{"list secrets", "list services", "patch nodes"}},
		{"controller", "patch services/status", []string{"list secrets", "patch services", "delete services", "patch nodes"}},
	} {
		if !may(t, kubeconfigs[account.name], account.allowed) {
			t.Errorf("%s may not %s", account.name, account.allowed)
		}
		for _, right := range account.refused {
			if may(t, kubeconfigs[account.name], right) {
				t.Errorf("%s may %s", account.name, right)
			}
		}
	}

	corefile, err := os.ReadFile("../../deploy/systemd/Corefile")
	harness.Must(t, err)
	text, _ := harness.OnLoopback(t, string(corefile), harness.Upstream(t), kubeconfigs["dns"], harness.Certificate{})
	server := harness.StartCoreDNS(t, text, "KUBECONFIG="+kubeconfigs["dns"])
	server.WaitReady(t)
	if _, rcode, err := server.Answers("minilb", dns.TypeSOA); err != nil || rcode != dns.RcodeSuccess {
		t.Errorf("minilb SOA: %s, %v\n%s", dns.RcodeToString[rcode], err, server.Log)
	}
	harness.Must(t, shipped.AwaitPolicy(t.Context(), kubeconfigs["controller"]))
	harness.CreateService(t, c, "default", "web", "minilb")
	harness.StartController(t, kubeconfigs["controller"]).WaitReady(t)
	harness.ExpectStatus(t, c, "default", "web", "web.default.minilb")
	binary, err := harness.MinilbBinary()
	harness.Must(t, err)
	out, err := exec.CommandContext(t.Context(), binary, "routes", "-kubeconfig", kubeconfigs["routes"]).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " via 192.168.1.31\n") {
		t.Errorf("minilb routes: %v\n%s", err, out)
	}

	do(here(blocks[3]))
	for line := range strings.Lines(applied) {
		if object, _, is := strings.Cut(line, " created"); is {
			if left := do("kubectl get --ignore-not-found -A " + strings.Replace(object, "/", " --field-selector metadata.name=", 1)); left != "" {
				t.Errorf("%s is left: %s", object, left)
			}
		}
	}
}

// may asks the API server whether it lets who has a kubeconfig do something in all namespaces, such as
// "patch services/status".
func may(t *testing.T, kubeconfig, right string) bool {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	harness.Must(t, err)
	client, err := kubernetes.NewForConfig(config)
	harness.Must(t, err)
	verb, resource, _ := strings.Cut(right, " ")
	resource, subresource, _ := strings.Cut(resource, "/")
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Resource: resource, Subresource: subresource},
		},
	}, metav1.CreateOptions{})
	harness.Must(t, err)
	return review.Status.Allowed
}
