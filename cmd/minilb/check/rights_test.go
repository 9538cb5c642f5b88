package check

import (
	"os"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/plugin/minilb/source"
)

// What is looked at is what the ClusterRoles of deploy/kustomize grant, and nothing else.
func TestRights(t *testing.T) {
	for file, rights := range map[string][]right{"dns-rbac.yaml": dnsRights, "controller-rbac.yaml": slices.Concat(controllerRights, eventRights)} {
		manifest, err := os.ReadFile("../../../deploy/kustomize/base/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var shipped []string
		for document := range strings.SplitSeq(string(manifest), "\n---\n") {
			var role rbacv1.ClusterRole
			if err := yaml.Unmarshal([]byte(document), &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						resource, subresource, _ := strings.Cut(resource, "/")
						for _, verb := range rule.Verbs {
							shipped = append(shipped, verb+" "+right{group: group, resource: resource, subresource: subresource}.String())
						}
					}
				}
			}
		}
		var looked []string
		for _, r := range rights {
			for _, verb := range r.verbs {
				looked = append(looked, verb+" "+r.String())
			}
			if r.without == "" {
				t.Errorf("%s: nothing is said of what follows", r)
			}
		}
		slices.Sort(shipped)
		slices.Sort(looked)
		if len(shipped) == 0 || !slices.Equal(looked, shipped) {
			t.Errorf("%s: looked at\n%q, shipped\n%q", file, looked, shipped)
		}
	}
}

// A right that nobody uses is not missed.
func TestNeeds(t *testing.T) {
	c := checker{
		options: []source.Options{{Services: true, Gateways: true}},
		served:  []Served{{"HTTPRoute", "v1"}, {"TLSRoute", ""}, {"XListenerSet", ""}},
	}
	var needed []string
	for _, r := range dnsRights {
		if c.needs(r) {
			needed = append(needed, r.resource)
		}
	}
	if want := []string{"services", "endpointslices", "namespaces", "gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes"}; !slices.Equal(needed, want) {
		t.Errorf("got %q, want %q", needed, want)
	}
}

// withAccounts returns a checker of a cluster with ServiceAccounts, which are denied a resource.
func withAccounts(t *testing.T, denied string, accounts ...*corev1.ServiceAccount) *checker {
	t.Helper()
	client := fake.NewClientset()
	for _, account := range accounts {
		if err := client.Tracker().Add(account); err != nil {
			t.Fatal(err)
		}
	}
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = review.Spec.ResourceAttributes.Resource != denied
		return true, review, nil
	})
	return &checker{
		Options: Options{DNSAccount: Auto, ControllerAccount: Auto},
		clients: &clients{Interface: client},
		options: []source.Options{{Services: true, Ingresses: true}},
	}
}

// shippedAccount returns a ServiceAccount with labels of deploy/, of which "" is none.
func shippedAccount(component, name, partOf string) *corev1.ServiceAccount {
	labels := map[string]string{}
	for key, value := range map[string]string{"component": component, "name": name, "part-of": partOf} {
		if value != "" {
			labels["app.kubernetes.io/"+key] = value
		}
	}
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "lan", Name: name + "-" + component, Labels: labels}}
}

// Accounts are found whatever the chart is named, and who has none of ours is told so.
func TestAccounts(t *testing.T) {
	const (
		noDNS        = "notice serviceaccounts RightsUnknown: name it by -dns-account, or leave it out with -dns-account= if there is none"
		noController = "notice serviceaccounts RightsUnknown: name it by -controller-account, or leave it out with -controller-account= if there is none"
	)
	for _, tc := range []struct {
		name     string
		accounts []*corev1.ServiceAccount
		change   func(*checker)
		want     []string
	}{
		{"shipped", []*corev1.ServiceAccount{shippedAccount("dns", "minilb", "minilb"), shippedAccount("controller", "minilb", "minilb")}, nil, nil},
		{"without part-of", []*corev1.ServiceAccount{shippedAccount("dns", "minilb", ""), shippedAccount("controller", "minilb", "")}, nil, nil},
		{"nameOverride", []*corev1.ServiceAccount{shippedAccount("dns", "names", "minilb"), shippedAccount("controller", "names", "minilb")}, nil, nil},
		{"others'", []*corev1.ServiceAccount{shippedAccount("dns", "other", ""), shippedAccount("controller", "other", "lan")}, nil, []string{noDNS, noController}},
		{"no controller's", []*corev1.ServiceAccount{shippedAccount("dns", "minilb", "minilb")}, nil, []string{noController}},
		{"left out", nil, func(c *checker) { c.DNSAccount, c.ControllerAccount = "", "" }, nil},
		{"named", []*corev1.ServiceAccount{shippedAccount("dns", "other", "")}, func(c *checker) { c.DNSAccount, c.ControllerAccount = "lan/other-dns", "" }, nil},
	} {
		c := withAccounts(t, "", tc.accounts...)
		if tc.change != nil {
			tc.change(c)
		}
		findings, err := c.accountRights(t.Context())
		var got []string
		for _, f := range findings {
			got = append(got, string(f.Severity)+" "+f.Name+" "+f.Reason+": "+f.Fix)
		}
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}

	c := withAccounts(t, "ingresses", shippedAccount("dns", "names", "minilb"), shippedAccount("controller", "names", "minilb"))
	if findings, err := c.accountRights(t.Context()); err != nil || len(findings) != 2 || findings[0].Name != "names-dns" || findings[0].Reason != "MissingRight" {
		t.Errorf("without the right to ingresses: got %v, %v", findings, err)
	}
}

// Without the Corefile nobody knows whether the rights to a few namespaces are enough.
func TestLacks(t *testing.T) {
	const hint = "; or give the server's Corefile by -corefile if it reads some namespaces only"
	for _, tc := range []struct {
		denied  string
		guessed bool
		hinted  bool
	}{{"ingresses", true, true}, {"ingresses", false, false}, {"gatewayclasses", true, false}} {
		c := withAccounts(t, tc.denied, shippedAccount("dns", "minilb", "minilb"))
		c.ControllerAccount, c.Guessed, c.options[0].Gateways = "", tc.guessed, true
		findings, err := c.accountRights(t.Context())
		if err != nil || len(findings) != 1 || !strings.HasSuffix(strings.TrimSuffix(findings[0].Fix, hint), " to it in a ClusterRole") || strings.HasSuffix(findings[0].Fix, hint) != tc.hinted {
			t.Errorf("%+v: got %v, %v", tc, findings, err)
		}
	}
}
