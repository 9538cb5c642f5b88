package companion_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// checked is the document of "minilb check -o json".
type checked struct {
	Findings []struct{ Severity, Kind, Namespace, Name, Reason, Text, Fix string }
	Counts   map[string]int
	Kinds    []struct{ Kind, Version string } `json:"gatewayAPI"`
}

// check runs "minilb check" and returns what it prints and its exit status.
func check(t *testing.T, kubeconfig string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := harness.Minilb(t, append([]string{"check", "-kubeconfig", kubeconfig}, args...)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), log.String(), cmd.ProcessState.ExitCode()
}

func decodeChecked(t *testing.T, stdout string) checked {
	t.Helper()
	var document checked
	if err := json.Unmarshal([]byte(stdout), &document); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	return document
}

// expectFindings runs it and compares what is found: each finding is written as
// "error Service shop/web Reason", and is to have the words of its want in its text and fix.
func expectFindings(t *testing.T, kubeconfig string, args []string, want map[string][]string) {
	t.Helper()
	stdout, stderr, status := check(t, kubeconfig, append(args, "-o", "json")...)
	document := decodeChecked(t, stdout)
	wanted := 0
	for finding := range want {
		if !strings.HasPrefix(finding, "notice") {
			wanted = 1
		}
	}
	if status != wanted || stderr != "" {
		t.Errorf("got exit status %d and %q, want %d", status, stderr, wanted)
	}
	seen := map[string]bool{}
	for _, f := range document.Findings {
		object := f.Name
		if f.Namespace != "" {
			object = f.Namespace + "/" + f.Name
		}
		finding := fmt.Sprintf("%s %s %s %s", f.Severity, f.Kind, object, f.Reason)
		words, expected := want[finding]
		if !expected || seen[finding] {
			t.Errorf("found: %s: %s; fix: %s", finding, f.Text, f.Fix)
		}
		seen[finding] = true
		for _, word := range words {
			if !strings.Contains(f.Text+"; "+f.Fix, word) {
				t.Errorf("%s: got %q, want %q in it", finding, f.Text+"; "+f.Fix, word)
			}
		}
		if f.Text == "" || f.Fix == "" || strings.Contains(f.Text+f.Fix, "\n") {
			t.Errorf("%s: got %q and %q, want a line each", finding, f.Text, f.Fix)
		}
	}
	for finding := range want {
		if !seen[finding] {
			t.Errorf("not found: %s", finding)
		}
	}
}

// A cluster in which nothing is wrong has no findings, and each thing that is wrong has one that
// names the object, the cause and the fix.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{ControllerManagerFlags: []string{"--allocate-node-cidrs=false"}})
	ctx := t.Context()
	accounts := harness.ShippedAccounts(t, c)
	definitions, err := cluster.GatewayAPI(ctx, cluster.NewestGatewayAPI, "standard")
	harness.Must(t, err)
	harness.ApplyTogether(t, c, definitions)
	harness.Must(t, c.Apply(ctx, checkedSound))
	harness.CheckedNode(t, c, "n1", []string{"10.244.1.0/24", "fd00:1::/64"}, "192.168.1.31", "2001:db8::31")
	http := []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "web", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.7"}, Ports: http}))
	p := harness.StartController(t, accounts.Controller).WaitReady(t)
	harness.ExpectStatus(t, c, "shop", "web", "web.shop.minilb")
	s := harness.StartCoreDNS(t, ".:PORT {\nbind 127.0.0.1\nminilb minilb {\nkubeconfig "+accounts.DNS+"\n}\nREADY\n}\n")
	s.WaitReady(t)
	cluster.Eventually(t, 10*time.Second, func() error { return s.Expect("route.ex.org", 1, "10.244.1.7") })

	stdout, stderr, status := check(t, c.Kubeconfig, "-server", s.Addr)
	const clean = `nothing found
Gateway API: GRPCRoute v1, Gateway v1, GatewayClass v1, HTTPRoute v1,
             ListenerSet v1, TLSRoute v1
`
	if stdout != clean || stderr != "" || status != 0 {
		t.Errorf("nothing is wrong: got exit status %d\n%s%s", status, stdout, stderr)
	}

	expectServers(t, c, accounts.DNS)
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "spare", Labels: map[string]string{"app": "web"}, Node: "n1", IPs: []string{"10.244.1.9"}, Ports: http}))
	expectRollOut(t, c, s)
	harness.Must(t, c.RemovePod(ctx, "shop", "spare"))

	// With the rights of the DNS server alone there is less to say.
	expectFindings(t, accounts.DNS, []string{"-corefile", writeCorefile(t, ". {\nminilb minilb\n}\n")}, map[string][]string{
		"notice APIResource subjectaccessreviews.authorization.k8s.io RightsUnknown": {"run this as an administrator"},
		"warning APIResource nodes Unread":                                           {"routes are not checked"},
		"notice APIResource pods Unread":                                             {"run this with an account that may get pods"},
		"warning Corefile minilb OpenClaims":                                         {"2 namespaces (shop, third) claim hosts", `"claim ." if all namespaces are trusted`},
	})
	if _, stderr, _ := check(t, accounts.DNS); stderr != "minilb: cannot find the DNS server's Corefile: this account may not list deployments.apps; using the defaults of -domain and -class: name it by -corefile\n" {
		t.Errorf("without the right to find the Corefile: got %q", stderr)
	}
	// A kind that this account may not read is one finding, and not one of each route (G7).
	whole := withoutRule(t, c, "minilb-dns", "none of them")
	harness.Must(t, c.Apply(ctx, withoutRule(t, c, "minilb-dns", "gateways")))
	expectFindings(t, accounts.DNS, []string{"-corefile", writeCorefile(t, ". {\nminilb minilb {\nclaim .\n}\n}\n")}, map[string][]string{
		"notice APIResource subjectaccessreviews.authorization.k8s.io RightsUnknown": {"run this as an administrator"},
		"warning APIResource nodes Unread":                                           {"routes are not checked"},
		"notice APIResource pods Unread":                                             {"run this with an account that may get pods"},
		"warning APIResource gateways.gateway.networking.k8s.io Unread":              {"list and watch is forbidden"},
	})
	harness.Must(t, c.Apply(ctx, whole))
	t.Run("without any right", func(t *testing.T) {
		_, err := c.Client.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "nobody"}}, metav1.CreateOptions{})
		harness.Must(t, err)
		nobody, err := c.ServiceAccountKubeconfig(ctx, "default", "nobody")
		harness.Must(t, err)
		stdout, stderr, status := check(t, nobody)
		if stdout != "" || status != 2 || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "minilb: ") || !strings.Contains(stderr, "forbidden") {
			t.Errorf("got exit status %d, %q and %q", status, stdout, stderr)
		}
	})

	p.Stop(t)
	harness.Must(t, c.Apply(ctx, checkedBroken))
	harness.Overwrite(t, c, "shop", "stolen", corev1.LoadBalancerIngress{IP: "192.0.2.7"})
	harness.CheckedNode(t, c, "n2", nil, "192.168.1.32")
	harness.CheckedNode(t, c, "n3", []string{"10.244.3.0/24", "fd00:3::/64"}, "192.168.1.33")
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "unready", Labels: map[string]string{"app": "unready"}, Node: "n1", IPs: []string{"10.244.1.8"}, Unready: true}))
	harness.Must(t, c.Pod(ctx, cluster.PodSpec{Namespace: "shop", Name: "outside", Labels: map[string]string{"app": "web"}, Node: "n3", IPs: []string{"10.0.3.9"}, Ports: http}))
	harness.Must(t, c.Apply(ctx, withoutRule(t, c, "minilb-dns", "ingresses")))
	harness.Must(t, c.Apply(ctx, withoutRule(t, c, "minilb-controller", "httproutes")))
	want := map[string][]string{
		"error Service shop/wrong-port TargetPortMismatch":             {"port 8888 leads to port 80 of the pods", "clients must use 80", "set port: 80 in the Service"},
		"error Service shop/traefik TargetPortMismatch":                {"port 81 leads to port 80", "in Traefik's chart set ports.web.port"},
		"error Service shop/misspelt-port UnknownTargetPort":           {`no pod has a container port named "htpp", to which port 80 (http) leads`, "or be its number"},
		"error Service shop/unready NoEndpoints":                       {"of its endpoints 1 not ready"},
		"error Service shop/nothing NoEndpoints":                       {"its selector matches no pod"},
		"error Service shop/no-status NoHostname":                      {"want no-status.shop.minilb", `see that "minilb controller" runs, with class minilb and domain minilb`},
		"error Service shop/stolen StatusConflict":                     {"its status is 192.0.2.7, want stolen.shop.minilb: rival has written it"},
		"notice Service shop/stolen UnsupportedSessionAffinity":        {"spec.sessionAffinity has no effect"},
		"error Service shop/cilium CiliumService":                      {"proxies are on the nodes", "Cilium's own load balancer"},
		"warning Service shop/wrong-class WrongClass":                  {`"mini-lb" looks like a typo of "minilb"`, "make it anew with spec.loadBalancerClass: minilb, or give it type ClusterIP in between"},
		"warning Service shop/no-class NoClass":                        {"it has no spec.loadBalancerClass", "default_class"},
		"warning Service shop/other-class WrongClass":                  {`its spec.loadBalancerClass is "example.org/gone", and not "minilb"`},
		"warning Service shop/typo AnnotationIgnored":                  {`annotation "minilb/hosts" is none of ours`, "set the annotation minilb/host"},
		"warning Service shop/typo LabelIgnored":                       {`label "minilb/ignored" is none of ours`, `set the label minilb/ignore: "true"`},
		"warning Service shop/cluster-ip AnnotationIgnored":            {"it counts only on Services of type LoadBalancer and class minilb"},
		"warning Ingress shop/no-address AnnotationIgnored":            {`annotation "Minilb/Service" is none of ours`, "set the annotation minilb/service"},
		"warning HTTPRoute shop/mismatch AnnotationIgnored":            {"annotation minilb/host has no effect on objects of kind HTTPRoute", "name the host in spec.hostnames"},
		"error Ingress other/claimed-twice HostConflict":               {`host "mqtt.ex.org" is refused: another namespace claimed it earlier`},
		"error Ingress other/reserved HostReserved":                    {`host "web.shop.minilb" is refused`},
		"error Ingress shop/no-address HostNotServed":                  {`host "no-address.ex.org" is not served`, "minilb/service: <namespace>/<service>"},
		"error HTTPRoute shop/not-accepted HostNotServed":              {`host "not-accepted.ex.org" is not served`, "accepted"},
		"error HTTPRoute shop/mismatch HostNotServed":                  {`host "mismatch.other.org" is not served: no listener of Gateway shop/gw has a hostname for it: "http" has *.ex.org`, `"minilb explain mismatch.other.org"`},
		"error Node n2 NoPodCIDR":                                      {"no podCIDRs", "--allocate-node-cidrs=true"},
		"error Node n3 NoInternalIP":                                   {"no IPv6 InternalIP for fd00:3::/64"},
		"error Node n3 PodOutsidePodCIDR":                              {"1 of 1 pod IPs are outside its 10.244.3.0/24", "10.0.3.9"},
		"warning ServiceAccount minilb/minilb-controller MissingRight": {"it may not list and watch httproutes.gateway.networking.k8s.io: its Events tell nothing"},
		"error ServiceAccount minilb/minilb-dns MissingRight":          {"it may not list and watch ingresses.networking.k8s.io: hosts of Ingresses are not answered", "or give the server's Corefile by -corefile"},
	}
	cluster.Eventually(t, 20*time.Second, func() error { // until the slices are there
		slices, err := c.Client.DiscoveryV1().EndpointSlices("shop").List(ctx, metav1.ListOptions{})
		harness.Must(t, err)
		endpoints := 0
		for _, slice := range slices.Items {
			endpoints += len(slice.Endpoints)
		}
		// web, wrong-port, misspelt-port, traefik, no-status, stolen and cloud have two pods each.
		if endpoints != 7*2+2 {
			return fmt.Errorf("%d endpoints", endpoints)
		}
		return nil
	})
	expectFindings(t, c.Kubeconfig, nil, want)

	t.Run("text", func(t *testing.T) {
		first, _, status := check(t, c.Kubeconfig)
		if again, _, _ := check(t, c.Kubeconfig); again != first || status != 1 {
			t.Errorf("got exit status %d, and another text the second time:\n%s\n%s", status, first, again)
		}
		for line := range strings.Lines(first) {
			if len([]rune(line)) > 81 {
				t.Errorf("more than 80 columns: %s", line)
			}
		}
		if !strings.HasPrefix(first, "error    ") || !strings.Contains(first, fmt.Sprintf("\n%d errors, ", strings.Count(first, "\nerror ")+1)) {
			t.Errorf("got\n%s", first)
		}
	})
	t.Run("without a definition", func(t *testing.T) {
		harness.DeleteDefinitions(t, c, "httproutes")
		delete(want, "warning ServiceAccount minilb/minilb-controller MissingRight") // nobody needs it
		for finding := range want {
			if strings.Contains(finding, "HTTPRoute") {
				delete(want, finding)
			}
		}
		want["warning CustomResourceDefinition httproutes.gateway.networking.k8s.io MissingDefinition"] = []string{"no host of an HTTPRoute is answered", "install all CRDs of the Gateway API's standard channel"}
		expectFindings(t, c.Kubeconfig, nil, want)
	})
}

// withoutRule returns a ClusterRole as a manifest without the rules for a resource.
func withoutRule(t *testing.T, c *cluster.Cluster, name, resource string) string {
	t.Helper()
	role, err := c.Client.RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
	harness.Must(t, err)
	role.APIVersion, role.Kind, role.ManagedFields, role.ResourceVersion = "rbac.authorization.k8s.io/v1", "ClusterRole", nil, ""
	for i := range role.Rules {
		for n, r := range role.Rules[i].Resources {
			if r == resource {
				role.Rules[i].Resources[n] = "nothing"
			}
		}
	}
	manifest, err := json.Marshal(role)
	harness.Must(t, err)
	return string(manifest)
}
