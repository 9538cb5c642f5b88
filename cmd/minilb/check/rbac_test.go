package check

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// What is looked at is what the ClusterRoles of deploy/kustomize grant, and nothing else.
func TestPermissions(t *testing.T) {
	for file, permissions := range map[string][]permission{"dns-rbac.yaml": dnsPermissions, "controller-rbac.yaml": controllerPermissions(podnetworks.Choice{})} {
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
						for _, verb := range rule.Verbs {
							shipped = append(shipped, verb+" "+schema.GroupResource{Group: group, Resource: resource}.String())
						}
					}
				}
			}
		}
		var looked []string
		for _, r := range permissions {
			for _, verb := range r.verbs {
				looked = append(looked, verb+" "+r.resource)
			}
			if r.without == "" {
				t.Errorf("%s: nothing is said of what follows", r.resource)
			}
		}
		slices.Sort(shipped)
		slices.Sort(looked)
		if len(shipped) == 0 || !slices.Equal(looked, shipped) {
			t.Errorf("%s: looked at\n%q, shipped\n%q", file, looked, shipped)
		}
	}
}

func servedKind(kind, version string) inspect.ServedKind {
	group := object.GatewayGroup
	if kind == object.KindXListenerSet {
		group = object.GatewayXGroup
	}
	resource := resourceOf(schema.GroupVersionKind{Group: group, Kind: kind})
	return inspect.ServedKind{Kind: kind, Version: version, Resource: resource.GroupResource()}
}

// A permission that nobody uses is not missed.
func TestNeeds(t *testing.T) {
	c := checker{
		options: []config.Options{{Services: true, Gateways: true}},
		served:  []inspect.ServedKind{servedKind("HTTPRoute", "v1"), servedKind("TLSRoute", ""), servedKind("XListenerSet", "")},
	}
	var needed []string
	for _, r := range slices.Concat(dnsPermissions, optInPermissions) {
		if c.needs(r) {
			needed = append(needed, schema.ParseGroupResource(r.resource).Resource)
		}
	}
	if want := []string{"services", "endpointslices", "namespaces", "gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes"}; !slices.Equal(needed, want) {
		t.Errorf("got %q, want %q", needed, want)
	}
	c.options[0].ExcludeNodes = labels.Nothing() // L6
	if !c.needs(optInPermissions[0]) {
		t.Error("exclude_nodes needs no permission")
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
		client:  client,
		options: []config.Options{{Services: true, Ingresses: true}},
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
		err := c.permissions(t.Context())
		problems := c.problems
		var got []string
		for _, f := range problems {
			got = append(got, string(f.Severity)+" "+f.Name+" "+f.Reason+": "+f.Fix)
		}
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}

	c := withAccounts(t, "ingresses", shippedAccount("dns", "names", "minilb"), shippedAccount("controller", "names", "minilb"))
	if err := c.permissions(t.Context()); err != nil || len(c.problems) != 2 || c.problems[0].Name != "names-dns" || c.problems[0].Reason != "MissingRight" {
		t.Errorf("without the permission to ingresses: got %v, %v", c.problems, err)
	}
}

// A tenant may label a ServiceAccount: that is none of ours beside those which have the permissions.
func TestAccountsOfTenants(t *testing.T) {
	dns, tenants, tenantsOther := shippedAccount("dns", "minilb", "minilb"), shippedAccount("dns", "minilb", "minilb"), shippedAccount("controller", "minilb", "minilb")
	tenants.Namespace, tenantsOther.Namespace = "tenant", "tenant"
	c := withAccounts(t, "", dns, shippedAccount("controller", "minilb", "minilb"), tenants, tenantsOther)
	c.client.(*fake.Clientset).PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		return strings.HasPrefix(review.Spec.User, "system:serviceaccount:tenant:"), review, nil
	})
	if err := c.permissions(t.Context()); err != nil || len(c.problems) > 0 {
		t.Errorf("got %v, %v", c.problems, err)
	}
}

// Without the Corefile nobody knows whether the permissions to a few namespaces are enough.
func TestLacks(t *testing.T) {
	const hint = "; or give the server's Corefile by -corefile if it reads some namespaces only"
	for _, tc := range []struct {
		denied  string
		guessed bool
		hinted  bool
	}{{"ingresses", true, true}, {"ingresses", false, false}, {"gatewayclasses", true, false}} {
		c := withAccounts(t, tc.denied, shippedAccount("dns", "minilb", "minilb"))
		c.ControllerAccount, c.Guessed, c.options[0].Gateways = "", tc.guessed, true
		err := c.permissions(t.Context())
		problems := c.problems
		if err != nil || len(problems) != 1 || !strings.HasSuffix(strings.TrimSuffix(problems[0].Fix, hint), " to it in a ClusterRole") || strings.HasSuffix(problems[0].Fix, hint) != tc.hinted {
			t.Errorf("%+v: got %v, %v", tc, problems, err)
		}
	}
}

// An account that was named and does not exist, and one that may write no Events, or not know what to
// write of, are told apart.
func TestRightsOfAccounts(t *testing.T) {
	dns, controller := shippedAccount("dns", "minilb", "minilb"), shippedAccount("controller", "minilb", "minilb")
	for _, tc := range []struct {
		name   string
		denied string
		change func(*checker)
		want   []string
	}{
		{"nothing denied", "", nil, nil},
		{"named and not there", "", func(c *checker) { c.DNSAccount = "kube-system/coredns" }, []string{
			"error ServiceAccount kube-system/coredns NoServiceAccount: it does not exist; apply deploy/kustomize or the chart, or name the one that runs by -dns-account"}},
		{"the controller's named and not there", "", func(c *checker) { c.ControllerAccount = "lan/none" }, []string{
			"error ServiceAccount lan/none NoServiceAccount: it does not exist; apply deploy/kustomize or the chart, or name the one that runs by -controller-account"}},
		{"services", "services", func(c *checker) { c.options = []config.Options{{Services: true}} }, []string{
			"error ServiceAccount lan/minilb-dns MissingRight: it may not list and watch services: no name can be answered; apply deploy/kustomize or the chart again, or grant list and watch on services to it in a ClusterRole",
			"error ServiceAccount lan/minilb-controller MissingRight: it may not list and watch services: it writes no status",
			"error ServiceAccount lan/minilb-controller MissingRight: it may not patch services/status: it writes no status"}},
		{"services in two namespaces", "services", func(c *checker) {
			c.ControllerAccount, c.options = "", []config.Options{{Services: true, Namespaces: []string{"a", "b"}}}
		}, []string{"it may not list and watch services: no name can be answered"}},
		{"events", "events", nil, []string{
			"notice ServiceAccount lan/minilb-controller MissingRight: it may not create events.events.k8s.io: it writes no Events"}},
		{"what events tell of", "ingresses", nil, []string{
			"error ServiceAccount lan/minilb-dns MissingRight: it may not list and watch ingresses.networking.k8s.io: hosts of Ingresses are not answered",
			"warning ServiceAccount lan/minilb-controller MissingRight: it may not list and watch ingresses.networking.k8s.io: its Events tell nothing of what depends on them"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := withAccounts(t, tc.denied, dns, controller)
			if tc.change != nil {
				tc.change(c)
			}
			err := c.permissions(t.Context())
			problems := c.problems
			if err != nil {
				t.Fatal(err)
			}
			expect(t, problems, tc.want)
		})
	}
}

// Who may not ask for permissions, or read accounts, is told so once; any other failure is an error.
func TestRightsUnknown(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("no"))
	const unknown = "notice APIResource subjectaccessreviews.authorization.k8s.io RightsUnknown: this account may not create SubjectAccessReviews: " +
		"the permissions of our ServiceAccounts are not checked; run this as an administrator, or leave them out with -dns-account= -controller-account="
	for _, tc := range []struct {
		name, verb, resource string
		err                  error
		failure              string
		want                 []string
	}{
		{"accounts may not be listed", "list", "serviceaccounts", forbidden, "", []string{unknown}},
		{"accounts cannot be listed", "list", "serviceaccounts", apierrors.NewServiceUnavailable("starting"), "subjectaccessreviews: cannot ask for permissions by: starting", nil},
		{"an account may not be read", "get", "serviceaccounts", forbidden, "", []string{unknown}},
		{"an account cannot be read", "get", "serviceaccounts", apierrors.NewServiceUnavailable("starting"), "subjectaccessreviews: cannot ask for permissions by: starting", nil},
		{"permissions may not be asked for", "create", "subjectaccessreviews", forbidden, "", []string{unknown}},
		{"permissions cannot be asked for", "create", "subjectaccessreviews", apierrors.NewServiceUnavailable("starting"), "subjectaccessreviews: cannot ask for permissions by: starting", nil},
	} {
		c := withAccounts(t, "", shippedAccount("dns", "minilb", "minilb"), shippedAccount("controller", "minilb", "minilb"))
		c.client.(*fake.Clientset).PrependReactor(tc.verb, tc.resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
		err := c.permissions(t.Context())
		problems := c.problems
		if (err != nil) != (tc.failure != "") || err != nil && err.Error() != tc.failure {
			t.Errorf("%s: got error %v, want %q", tc.name, err, tc.failure)
		}
		t.Run(tc.name, func(t *testing.T) { expect(t, problems, tc.want) })
	}

	// What fails for the Events only is an error, too.
	c := withAccounts(t, "", shippedAccount("controller", "minilb", "minilb"))
	c.DNSAccount = ""
	c.client.(*fake.Clientset).PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		return review.Spec.ResourceAttributes.Resource == "events", nil, apierrors.NewServiceUnavailable("starting")
	})
	if err := c.permissions(t.Context()); err == nil {
		t.Errorf("got %v and no error", c.problems)
	}
}

// What is asked is whether the account itself, and the groups that it is in, may do it in the namespaces
// that are read.
func TestAllowedAsks(t *testing.T) {
	c := withAccounts(t, "", shippedAccount("dns", "minilb", "minilb"))
	c.ControllerAccount, c.options = "", []config.Options{{Services: true, Gateways: true, Namespaces: []string{"a", "b"}}}
	c.served = []inspect.ServedKind{servedKind("Gateway", "v1"), servedKind("TLSRoute", "")}
	if err := c.permissions(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, action := range c.client.(*fake.Clientset).Actions() {
		if !action.Matches("create", "subjectaccessreviews") {
			continue
		}
		spec := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).Spec
		if spec.User != "system:serviceaccount:lan:minilb-dns" || !slices.Equal(spec.Groups, []string{"system:serviceaccounts", "system:serviceaccounts:lan", "system:authenticated"}) {
			t.Errorf("asked for %s in %q", spec.User, spec.Groups)
		}
		of := spec.ResourceAttributes
		asked[strings.TrimRight(of.Verb+" "+of.Resource+"."+of.Group+" "+of.Namespace, ". ")] = true
	}
	for text, want := range map[string]bool{
		"list services. a": true, "watch services. b": true, "watch services": false, "list namespaces": true, "list namespaces. a": false,
		"list gatewayclasses.gateway.networking.k8s.io": true, "watch gateways.gateway.networking.k8s.io b": true, "list tlsroutes.gateway.networking.k8s.io a": false,
		"list ingresses.networking.k8s.io a": false,
	} {
		if asked[text] != want {
			t.Errorf("asked whether it may %s: %v, want %v", text, asked[text], want)
		}
	}
}
