package explain

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

// Why a Service has no name is said by what the server does not read. S6, M8
func TestHidden(t *testing.T) {
	const minilb = ". {\n minilb minilb\n}"
	service := func(spec string) string { return strings.Replace(db, "spec: {type: ClusterIP}", spec, 1) }
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "db", errors.New("no"))
	for _, tc := range []struct {
		name, corefile, manifest string
		err                      error // of reading it
		want                     string
	}{
		{"another type", minilb, db, nil, `Service shop/db is of type ClusterIP: set spec.type to LoadBalancer and spec.loadBalancerClass to "minilb", or the label minilb/expose to "true"`},
		{"no class", minilb, service("spec: {type: LoadBalancer}"), nil, `Service shop/db has no spec.loadBalancerClass, want "minilb": the class of a Service is set when it becomes a LoadBalancer and cannot be changed after that`},
		{"another class", minilb, service("spec: {type: LoadBalancer, loadBalancerClass: metallb}"), nil,
			`Service shop/db is of class "metallb", want "minilb": the class of a Service cannot be changed while it is a LoadBalancer, so make it anew, or give it type ClusterIP in between`},
		{"ignored", minilb, strings.Replace(service("spec: {type: LoadBalancer, loadBalancerClass: minilb}"), "name: db", "name: db, labels: {minilb/ignore: \"true\"}", 1), nil,
			"Service shop/db has label minilb/ignore, which makes it absent"},
		{"not read", ". {\n minilb minilb {\n  namespaces dev\n }\n}", db, nil, `Service shop/db is not read: namespace "shop" is not among those of the property namespaces`},
		{"forbidden", minilb, db, forbidden, `Service shop/db is not one of class "minilb"; it cannot be read to say more: services "db" is forbidden: no`},
		{"absent", minilb, "\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: x}", nil, "Service shop/db does not exist"},
		{"misspelt", minilb, web, nil, "Service shop/db does not exist; there are shop/web"},
		{"in another namespace", minilb, strings.NewReplacer("shop", "dev", "name: web", "name: db").Replace(web) + strings.Replace(empty, "shop", "dev", 1), nil, "Service shop/db does not exist; there are dev/db"},
		{"of many", minilb, web + empty + pending + strings.Replace(empty, "empty", "a", 1) + strings.Replace(empty, "empty", "b", 1) + strings.Replace(empty, "empty", "c", 1), nil,
			"Service shop/db does not exist; there are shop/a, shop/b, shop/c, shop/empty, shop/pending, …"},
	} {
		manifest := strings.TrimPrefix(tc.manifest, "\n---\n")
		c := newCluster(t, tc.corefile, manifest)
		c.client.PrependReactor("get", "services", func(clienttesting.Action) (bool, runtime.Object, error) { return tc.err != nil, nil, tc.err })
		if x := c.explain(t, "db.shop.minilb"); len(x.Notes) != 1 || x.Notes[0] != tc.want || x.Answer.Rcode != "NXDOMAIN" {
			t.Errorf("%s: got %q, %s, want %q", tc.name, x.Notes, x.Answer.Rcode, tc.want)
		}
	}

	// One that has come between the two looks.
	c := newCluster(t, minilb, strings.TrimPrefix(empty, "\n---\n"))
	c.objects = nil
	if x := c.explain(t, "empty.shop.minilb"); len(x.Notes) != 1 || x.Notes[0] != "Service shop/empty has just appeared: try again" {
		t.Errorf("got %q", x.Notes)
	}
}
