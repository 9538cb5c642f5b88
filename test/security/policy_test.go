package security_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// attack is a patch of services/status that is not the controller's to make.
type attack struct{ name, service, patch string }

// orphaned gives a Service an owner that does not exist.
const orphaned = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"none","uid":"00000000-0000-0000-0000-000000000000"}]}}`

// On "web", which is of our class, on "other", of another, and on "cloud", without one, which both have an address.
var attacks = []attack{
	{"label", "web", `{"metadata":{"labels":{"team":"evil"}}}`},
	{"ignored", "web", `{"metadata":{"labels":{"minilb/ignore":"true"}}}`},
	{"no labels", "web", `{"metadata":{"labels":null}}`},
	{"host", "web", `{"metadata":{"annotations":{"minilb/host":"*.com"}}}`},
	{"other hosts", "web", `{"metadata":{"annotations":{"minilb/host":null}}}`},
	{"foreign host", "other", `{"metadata":{"annotations":{"minilb/host":"*.com"}}}`},
	{"finalizer", "web", `{"metadata":{"finalizers":["example.org/forever"]}}`},
	{"no finalizers", "other", `{"metadata":{"finalizers":null}}`},
	{"owner", "web", orphaned},
	{"foreign owner", "other", orphaned},
	{"condition", "web", `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Evil","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`},
	{"address", "web", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.66"}]}}}`},
	{"proxied address", "web", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.66","ipMode":"Proxy"}]}}}`},
	{"another's hostname", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"other.shop.minilb"}]}}}`},
	{"another domain", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.example.org"}]}}}`},
	{"longer hostname", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"evil.web.shop.minilb"}]}}}`},
	{"address beside", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb"},{"ip":"192.0.2.66"}]}}}`},
	{"address within", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb","ip":"192.0.2.66"}]}}}`},
	{"twice", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb"},{"hostname":"web.shop.minilb"}]}}}`},
	{"ports", "web", `{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb","ports":[{"port":80,"protocol":"TCP"}]}]}}}`},
	{"foreign address", "other", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.66"}]}}}`},
	{"foreign hostname", "other", `{"status":{"loadBalancer":{"ingress":[{"hostname":"other.shop.minilb"}]}}}`},
	{"foreign status gone", "other", `{"status":{"loadBalancer":null}}`},
	{"classless address", "cloud", `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.66"}]}}}`},
	{"classless hostname", "cloud", `{"status":{"loadBalancer":{"ingress":[{"hostname":"cloud.shop.minilb"}]}}}`},
	{"label of what is no load balancer", "internal", `{"metadata":{"labels":{"team":"evil"}}}`},
	{"prefix of names", "web", `{"metadata":{"generateName":"evil-"}}`},
}

// tokenCluster returns a control plane with the shipped rights and without the policy, the controller's client, and
// the Services of the attacks.
func tokenCluster(t *testing.T) (c *cluster.Cluster, kubeconfig string, client kubernetes.Interface) {
	t.Helper()
	c = cluster.New(t, cluster.Options{})
	rights := harness.OfKinds(t, harness.Rendered(t, harness.Base), "Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
	harness.Must(t, c.Apply(t.Context(), rights+"---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"))
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), harness.ShippedNamespace, harness.ControllerAccount)
	harness.Must(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	harness.Must(t, err)
	client, err = kubernetes.NewForConfig(config)
	harness.Must(t, err)
	for name, class := range map[string]string{"web": "minilb", "other": "example.org/other", "cloud": "", "internal": "", "victim": "minilb"} {
		harness.CreateService(t, c, "shop", name, class, func(s *corev1.Service) {
			s.Labels = map[string]string{"team": "shop"}
			s.Annotations = map[string]string{"minilb/host": name + ".example.org"}
			s.Finalizers = []string{"example.org/keep"}
			if name == "victim" {
				s.Finalizers = nil
			}
			if name == "internal" {
				s.Spec.Type = corev1.ServiceTypeClusterIP
			}
		})
		if name == "other" || name == "cloud" {
			harness.Overwrite(t, c, "shop", name, corev1.LoadBalancerIngress{IP: "192.0.2.7"})
		}
	}
	return c, kubeconfig, client
}

// enforce applies the policy as it is shipped, with other expressions for some of its variables, and waits until it
// is enforced.
func enforce(t *testing.T, c *cluster.Cluster, kubeconfig string, variables map[string]string) {
	t.Helper()
	policy, err := shipped.Policy(variables)
	harness.Must(t, err)
	harness.Must(t, c.Apply(t.Context(), policy))
	harness.Must(t, shipped.AwaitPolicy(t.Context(), kubeconfig))
}

// S14b: with the right to patch services/status alone a token can do all this, and under the policy that is
// shipped nothing of it.
func TestControllerToken(t *testing.T) {
	t.Parallel()
	c, kubeconfig, client := tokenCluster(t)
	services := client.CoreV1().Services("shop")
	try := func(service, patch string, dryRun ...string) (*corev1.Service, error) {
		return services.Patch(t.Context(), service, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun}, "status")
	}
	cluster.Eventually(t, patience, func() error { // the API server takes a moment to know of its roles
		_, err := try("web", `{}`, metav1.DryRunAll)
		return err
	})
	for _, a := range attacks {
		before := harness.GetService(t, c, "shop", a.service)
		after, err := try(a.service, a.patch, metav1.DryRunAll)
		if err != nil {
			t.Errorf("%s: the API server refuses it without the policy: %v", a.name, err)
		} else if reflect.DeepEqual(before.ObjectMeta, after.ObjectMeta) && reflect.DeepEqual(before.Status, after.Status) {
			t.Errorf("%s: it does nothing without the policy", a.name)
		}
	}
	_, err := try("victim", orphaned)
	harness.Must(t, err)
	cluster.Eventually(t, 60*time.Second, func() error {
		if _, err := c.Client.CoreV1().Services("shop").Get(t.Context(), "victim", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the garbage collector has not deleted the Service of an owner that does not exist: %v", err)
		}
		return nil
	})

	enforce(t, c, kubeconfig, nil)
	for _, a := range attacks {
		before := harness.GetService(t, c, "shop", a.service)
		_, err := try(a.service, a.patch)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'minilb-controller' with binding 'minilb-controller' denied request: the controller may ") {
			t.Errorf("%s: got %v, want the policy to refuse it", a.name, err)
		}
		harness.ExpectUnchanged(t, c, before)
	}
	for form, patch := range map[types.PatchType]string{ // in whatever form a patch is
		types.StrategicMergePatchType: `{"metadata":{"finalizers":["example.org/forever"]}}`,
		types.JSONPatchType:           `[{"op":"add","path":"/metadata/labels/team","value":"evil"}]`,
		types.ApplyYAMLPatchType:      `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","annotations":{"minilb/host":"*.com"}}}`,
	} {
		options := metav1.PatchOptions{FieldManager: "minilb"}
		if form == types.ApplyYAMLPatchType {
			options.Force = new(true)
		}
		_, err := services.Patch(t.Context(), "web", form, []byte(patch), options, "status")
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "denied request: the controller may not write metadata") {
			t.Errorf("%s: got %v, want the policy to refuse it", form, err)
		}
	}
	// Neither spec nor managedFields are a status' to change, whoever writes it.
	before := harness.GetService(t, c, "shop", "web")
	after, err := try("web", `{"metadata":{"managedFields":[{}]},"spec":{"externalIPs":["192.0.2.66"],"type":"NodePort"}}`)
	if err != nil || !reflect.DeepEqual(before.ManagedFields, after.ManagedFields) || !reflect.DeepEqual(before.Spec, after.Spec) {
		t.Errorf("spec and managedFields: got %v and %+v, want what was there", err, after)
	}
	for _, patch := range []string{
		`{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb"}]}}}`, `{"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb"}]}}}`,
		`{"status":{"loadBalancer":{"ingress":null}}}`,
	} {
		if _, err := try("web", patch); err != nil {
			t.Errorf("%s: got %v, want it permitted", patch, err)
		}
	}
	// It is about nobody else.
	harness.Overwrite(t, c, "shop", "web", corev1.LoadBalancerIngress{IP: "192.0.2.8"})

	// What Kubernetes finds when it compares the expressions with the types.
	cluster.Eventually(t, patience, func() error {
		policy, err := c.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(t.Context(), "minilb-controller", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if policy.Status.ObservedGeneration != policy.Generation {
			return fmt.Errorf("the policy is not checked yet")
		}
		if checked := policy.Status.TypeChecking; checked != nil && len(checked.ExpressionWarnings) > 0 {
			warnings, _ := json.MarshalIndent(checked.ExpressionWarnings, "", " ")
			t.Errorf("the policy has warnings:\n%s", warnings)
		}
		return nil
	})
}

// S11, S13, S14b: under the policy that is shipped the controller does all that it does, in each state of a Service, with its
// flags or the variables that say the same; and where the two differ, it says so in one line.
func TestControllerUnderPolicy(t *testing.T) {
	t.Parallel()
	c, kubeconfig, _ := tokenCluster(t)
	enforce(t, c, kubeconfig, nil)
	services := c.Client.CoreV1().Services("shop")
	switchTo := func(name, spec string) {
		t.Helper()
		_, err := services.Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":`+spec+`}`), metav1.PatchOptions{})
		harness.Must(t, err)
	}
	cleanup := func(flags ...string) (stdout, stderr string) {
		t.Helper()
		cmd := harness.Minilb(t, append([]string{"controller", "-cleanup", "-kubeconfig", kubeconfig}, flags...)...)
		var out, log strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &log
		if err := cmd.Run(); err != nil && log.Len() == 0 {
			t.Errorf("cleanup: %v", err)
		}
		return out.String(), log.String()
	}

	// A long name; no managers, as before server-side apply; much metadata; another's addresses and conditions.
	long := strings.Repeat("n", 63)
	harness.CreateService(t, c, "shop", long, "minilb")
	harness.CreateService(t, c, "shop", "unmanaged", "minilb")
	_, err := services.Patch(t.Context(), "unmanaged", types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`), metav1.PatchOptions{})
	harness.Must(t, err)
	harness.CreateService(t, c, "shop", "large", "minilb", func(s *corev1.Service) {
		s.Annotations = map[string]string{"example.org/notes": strings.Repeat("n", 255_000)}
	})
	harness.CreateService(t, c, "shop", "conditional", "minilb")
	_, err = services.Patch(t.Context(), "conditional", types.MergePatchType, []byte(`{"status":{"conditions":[{"type":"Ready","status":"True",
		"reason":"Other","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}],"loadBalancer":{"ingress":[{"ip":"192.0.2.7","ports":[{"port":80,"protocol":"TCP"}]},
		{"hostname":"rival.example.org"}]}}}`), metav1.PatchOptions{FieldManager: "rival"}, "status")
	harness.Must(t, err)
	written := func(names ...string) {
		t.Helper()
		for _, name := range names {
			harness.ExpectStatus(t, c, "shop", name, name+".shop.minilb")
		}
	}

	others := []*corev1.Service{harness.GetService(t, c, "shop", "other"), harness.GetService(t, c, "shop", "cloud")}
	p := harness.StartController(t, kubeconfig).WaitReady(t)
	written("web", "victim", long, "unmanaged", "large", "conditional")
	if conditions := harness.GetService(t, c, "shop", "conditional").Status.Conditions; len(conditions) != 1 {
		t.Errorf("got conditions %+v, want the rival's", conditions)
	}
	harness.Overwrite(t, c, "shop", "web", corev1.LoadBalancerIngress{IP: "192.0.2.8"})
	written("web")
	for range 10 { // S8: into our class, and out of it
		switchTo("internal", `{"type":"LoadBalancer","loadBalancerClass":"minilb"}`)
		switchTo("internal", `{"type":"ClusterIP"}`)
	}
	switchTo("internal", `{"type":"LoadBalancer","loadBalancerClass":"minilb"}`)
	written("internal")
	harness.ExpectUntouched(t, c, "minilb", others...)
	p.Untroubled(t)
	p.Stop(t)
	switchTo("internal", `{"type":"ClusterIP"}`)
	switchTo("internal", `{"type":"LoadBalancer","loadBalancerClass":"example.org/other"}`)

	// What others have written, too, stays, of whatever domain it is.
	harness.Must(t, services.Delete(t.Context(), "victim", metav1.DeleteOptions{}))
	harness.Must(t, services.Delete(t.Context(), "web", metav1.DeleteOptions{})) // which its finalizer keeps
	harness.CreateService(t, c, "shop", "both", "minilb")
	for _, manager := range []string{"minilb", "rival"} {
		applyHostname(t, c, "both", "both.shop.old.example.org", manager)
	}
	want := fmt.Sprintf("service shop/both: status kept, for it is also that of rival\nservice shop/conditional: status removed\nservice shop/large: status removed\n"+
		"service shop/%s: status removed\nservice shop/unmanaged: status removed\nservice shop/web: status removed\n"+
		"removed the status of 5 of 6 Services of class minilb\n", long)
	if stdout, stderr := cleanup(); stdout != want || stderr != "" {
		t.Errorf("cleanup: got %q and\n%s\nwant\n%s", stderr, stdout, want)
	}

	// Flags that the policy does not know.
	const refusal = "services/status: a policy or webhook of the cluster refuses it: services "
	for flags, message := range map[string]string{
		"-domain lan.example.org": "the controller may write the hostname <service>.<namespace>.minilb only; if its flag -domain says otherwise, set the variable domain of this policy",
		"-class example.org/other": "the controller may write the status of Services of class minilb only; if its flags -class and -default-class say otherwise, " +
			"set the variables class and defaultClass of this policy",
		"-default-class -class none.example.org": "the controller may write the status of Services of class minilb only",
	} {
		p := harness.StartController(t, kubeconfig, append(strings.Fields(flags), "-events=false")...).WaitReady(t)
		cluster.Eventually(t, patience, func() error {
			_, metrics := harness.Get(p.URL + "/metrics")
			if strings.Contains(metrics, `minilb_status_writes_total{result="error"} 0`+"\n") {
				return fmt.Errorf("no write has failed")
			}
			return nil
		})
		p.Stop(t)
		if lines := p.Troubles(); len(lines) != 1 || !strings.Contains(lines[0], refusal) || !strings.Contains(lines[0], message) {
			t.Errorf("%s: got %q, want one line with %q", flags, lines, message)
		}
	}
	applyHostname(t, c, "other", "other.shop.minilb", "minilb")
	stdout, stderr := cleanup("-class", "example.org/other")
	if stdout != "removed the status of 0 of 2 Services of class example.org/other\n" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "minilb: service shop/internal: "+refusal) {
		t.Errorf("cleanup of another class: got %q and %q", stdout, stderr)
	}

	// And those that it is told of.
	enforce(t, c, kubeconfig, map[string]string{"domain": `"lan.example.org"`, "class": `"example.org/other"`, "defaultClass": "true"})
	p = harness.StartController(t, kubeconfig, "-domain", "lan.example.org", "-class", "example.org/other", "-default-class").WaitReady(t)
	for _, name := range []string{"internal", "other", "cloud"} {
		harness.ExpectStatus(t, c, "shop", name, name+".shop.lan.example.org")
	}
	p.Stop(t)
	if stdout, stderr := cleanup("-class", "example.org/other", "-default-class"); !strings.Contains(stdout, "removed the status of 3 of 3 Services") || stderr != "" {
		t.Errorf("cleanup: got %q and\n%s", stderr, stdout)
	}
}

// applyHostname writes the status of a Service of the namespace "shop" by server-side apply.
func applyHostname(t *testing.T, c *cluster.Cluster, name, hostname, manager string) {
	t.Helper()
	status := applycorev1.LoadBalancerStatus().WithIngress(applycorev1.LoadBalancerIngress().WithHostname(hostname))
	body := applycorev1.Service(name, "shop").WithStatus(applycorev1.ServiceStatus().WithLoadBalancer(status))
	_, err := c.Client.CoreV1().Services("shop").ApplyStatus(t.Context(), body, metav1.ApplyOptions{FieldManager: manager, Force: true})
	harness.Must(t, err)
}
