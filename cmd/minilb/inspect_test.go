package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// apiServer serves a small cluster: a Service with an endpoint on its one node. It has no Gateway API, and
// streams no lists.
func apiServer(t *testing.T, further ...map[string]string) (kubeconfig string) {
	documents := map[string]string{
		"/api":  `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}]}]}`,
		"/api/v1/nodes": `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"name":"n1"},"spec":{"podCIDRs":["10.244.1.0/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.168.1.31"}]}}]}`,
		"/api/v1/services": `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"namespace":"shop","name":"web"},"spec":{"type":"LoadBalancer","loadBalancerClass":"minilb"},"status":{"loadBalancer":{"ingress":[{"hostname":"web.shop.minilb"}]}}}]}`,
		"/apis/discovery.k8s.io/v1/endpointslices": `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"namespace":"shop","name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","endpoints":[{"addresses":["10.244.1.7"],"nodeName":"n1"}]}]}`,
		"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"namespace":"default","name":"kubernetes"},"addressType":"IPv4","endpoints":[{"addresses":["192.168.1.30"]}]}]}`,
		"/apis/networking.k8s.io/v1/ingresses":               `{"kind":"IngressList","apiVersion":"networking.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}`,
		"/api/v1/namespaces/shop/services/web":               `{"kind":"Service","apiVersion":"v1","metadata":{"namespace":"shop","name":"web"},"spec":{"type":"LoadBalancer","loadBalancerClass":"minilb"}}`,
		"/api/v1/serviceaccounts":                            `{"kind":"ServiceAccountList","apiVersion":"v1","items":[]}`,
		"/api/v1/namespaces/lan/serviceaccounts/dns":         `{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"namespace":"lan","name":"dns"}}`,
		"/apis/authorization.k8s.io/v1/subjectaccessreviews": `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`,
	}
	for _, more := range further {
		maps.Copy(documents, more)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		document, has := documents[r.URL.Path]
		switch query := r.URL.Query(); {
		case query.Get("watch") != "" && query.Get("sendInitialEvents") == "" && has:
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case query.Get("watch") != "" && has:
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case has:
			if strings.Contains(document, `"code":403`) {
				w.WriteHeader(http.StatusForbidden)
			}
			io.WriteString(w, document)
		default:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		}
	}))
	t.Cleanup(server.Close)
	return writeKubeconfig(t, server.URL)
}

// What explain and check say of a cluster, and their exit statuses.
func TestRunInspections(t *testing.T) {
	kubeconfig := apiServer(t)
	corefile := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(corefile, []byte(".:53 {\n minilb minilb\n}\nlan:53 {\n minilb lan {\n  class other\n }\n}\ncorp.example:53 {\n forward . 192.0.2.1\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	some := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(some, []byte(".:53 {\n minilb minilb {\n  resources service ingress\n }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   []string // in standard output, in this order
	}{
		{"explain", []string{"explain", "web.shop.minilb"}, 0, []string{"web.shop.minilb\nIt is answered with 1 IPv4 address and no IPv6 address.\n", "Answers    A     10.244.1.7\n"}},
		{"explain two", []string{"explain", "x.shop.minilb", "a.example"}, 0, []string{"x.shop.minilb\nIt does not exist: NXDOMAIN.", "Service shop/x does not exist; there are shop/web\n", "\n\na.example\nminilb has no such name"}},
		{"explain a URL, and a Service", []string{"explain", "https://web.shop.minilb:8443/x", "shop/web"}, 0, []string{
			"web.shop.minilb\nIt is answered with 1 IPv4 address", `Notes      of "https://web.shop.minilb:8443/x" only the host is a name of DNS`, "\n\nweb.shop.minilb\nIt is answered", "Notes      web.shop.minilb is the name of Service shop/web\n"}},
		{"explain by the Corefile", []string{"explain", "-corefile", corefile, "web.shop.lan", "web.shop.minilb", "a.corp.example"}, 0, []string{
			"web.shop.lan\nIt does not exist: NXDOMAIN. See the notes for why.", `Service shop/web is of class "minilb", want "other"`,
			"web.shop.minilb\nIt is answered with 1 IPv4 address", "a.corp.example\nminilb is not asked for it: the Corefile's server block of corp.example answers,\nand has no minilb.\n"}},
		{"explain by the flags", []string{"explain", "-class", "other", "-domain", "lan", "web.shop.lan"}, 0, []string{`Service shop/web is of class "minilb", want "other"`}},
		{"check", []string{"check"}, 0, []string{"notice   APIResource serviceaccounts  RightsUnknown\n", "\n2 notices\nGateway API: not served\n"}},
		{"check of accounts", []string{"check", "-dns-account", "lan/dns", "-controller-account", ""}, 0, []string{"nothing found\n"}},
		{"check of no account", []string{"check", "-dns-account", "lan/none", "-controller-account="}, 1, []string{"error    ServiceAccount lan/none  NoServiceAccount\n"}},
		{"check of another domain", []string{"check", "-domain", "lan", "-dns-account=", "-controller-account="}, 1, []string{"error    Service shop/web  StatusConflict\n", "\n1 error\n"}},
		{"check by the Corefile", []string{"check", "-corefile", corefile, "-dns-account=", "-controller-account="}, 0, []string{"nothing found\n"}},
		{"check of some resources", []string{"check", "-corefile", some, "-dns-account=", "-controller-account="}, 0, []string{"nothing found\n"}},
		{"check a server", []string{"check", "-server", "127.0.0.1:1", "-dns-account=", "-controller-account="}, 1, []string{"error    DNSServer 127.0.0.1:1  NotAnswering\n"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), append([]string{tc.args[0], "-kubeconfig", kubeconfig}, tc.args[1:]...), &stdout, &stderr)
			if status != tc.status || stderr.Len() > 1 || strings.TrimSpace(stderr.String()) != "" {
				t.Errorf("got exit status %d, want %d, stderr %q", status, tc.status, &stderr)
			}
			rest := stdout.String()
			for _, want := range tc.want {
				before, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("got\n%s\nwant %q in it, after\n%s", &stdout, want, before)
				}
				rest = after
			}
		})
	}

	for subcommand, field := range map[string]string{"explain": "summary", "check": "findings"} {
		args := []string{subcommand, "-kubeconfig", kubeconfig, "-o", "json"}
		if subcommand == "explain" {
			args = append(args, "web.shop.minilb")
		}
		var stdout, stderr bytes.Buffer
		document := map[string]any{}
		status := run(t.Context(), args, &stdout, &stderr)
		if err := json.Unmarshal(stdout.Bytes(), &document); err != nil || status != 0 || document[field] == nil {
			t.Errorf("%s: got exit status %d, %v, %s", subcommand, status, err, &stdout)
		}
	}
}

// Standard output that is gone, and an API server that is, is told in one line, and check cannot say
// anything of the cluster then.
func TestRunInspectionsFail(t *testing.T) {
	kubeconfig, away := apiServer(t), writeKubeconfig(t, "https://127.0.0.1:1")
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"explain", []string{"explain", "-kubeconfig", kubeconfig, "web.shop.minilb"}, 1, "minilb: print: io: read/write on closed pipe\n"},
		{"explain as JSON", []string{"explain", "-kubeconfig", kubeconfig, "-o", "json", "web.shop.minilb"}, 1, "minilb: print: io: read/write on closed pipe\n"},
		{"check", []string{"check", "-kubeconfig", kubeconfig}, 2, "minilb: print what was found: io: read/write on closed pipe\n"},
		{"explain nothing", []string{"explain", "-kubeconfig", away, "web.shop.minilb"}, 1, "minilb: cannot reach the API server at 127.0.0.1:1: "},
		{"check nothing", []string{"check", "-kubeconfig", away}, 2, "minilb: cannot reach the API server at 127.0.0.1:1: "},
	} {
		reader, writer := io.Pipe()
		reader.Close()
		var stderr bytes.Buffer
		if status := run(t.Context(), tc.args, writer, &stderr); status != tc.status || !strings.HasPrefix(stderr.String(), tc.want) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: got exit status %d, stderr %q, want %d, %q", tc.name, status, &stderr, tc.status, tc.want)
		}
	}
}

// Without flags that say what the DNS server is told, it is what the one in the cluster is told.
func TestRunInspectionsFind(t *testing.T) {
	const workload = `{"metadata":{"namespace":"minilb","name":"minilb-dns","labels":{"app.kubernetes.io/name":"minilb"}},"spec":{"template":{"spec":{
		"volumes":[{"name":"corefile","configMap":{"name":"corefile"}}],
		"containers":[{"name":"coredns","args":["-conf","/etc/coredns/Corefile"],"volumeMounts":[{"name":"corefile","mountPath":"/etc/coredns"}]}]}}}}`
	documents := map[string]string{
		"/apis/apps/v1/deployments":                     `{"kind":"DeploymentList","apiVersion":"apps/v1","items":[` + workload + `]}`,
		"/apis/apps/v1/daemonsets":                      `{"kind":"DaemonSetList","apiVersion":"apps/v1","items":[]}`,
		"/api/v1/namespaces/minilb/configmaps/corefile": `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"namespace":"minilb","name":"corefile"},"data":{"Corefile":". {\n minilb lan\n}\n"}}`,
	}
	forbidden := map[string]string{"/apis/apps/v1/deployments": `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`}
	const found, unknown = "minilb: using the Corefile in ConfigMap minilb/corefile, mounted by Deployment minilb/minilb-dns\n",
		"minilb: cannot find the DNS server's Corefile: this account may not list deployments.apps; using the defaults of -domain and -class: name it by -corefile\n"
	for _, tc := range []struct {
		documents      map[string]string
		args           []string
		status         int
		stdout, stderr string
	}{
		{documents, []string{"explain", "web.shop.lan"}, 0, "It is answered with 1 IPv4 address", found},
		{documents, []string{"explain", "shop/web"}, 0, "web.shop.lan\nIt is answered with 1 IPv4 address", found},
		{documents, []string{"explain", "-domain", "other", "web.shop.other"}, 0, "It is answered with 1 IPv4 address", ""},
		{documents, []string{"check", "-dns-account=", "-controller-account="}, 1, "StatusConflict", found},
		{forbidden, []string{"explain", "web.shop.minilb"}, 0, "It is answered with 1 IPv4 address", unknown},
		{forbidden, []string{"check", "-dns-account=", "-controller-account="}, 0, "nothing found", unknown},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), append([]string{tc.args[0], "-kubeconfig", apiServer(t, tc.documents)}, tc.args[1:]...), &stdout, &stderr)
		if status != tc.status || strings.TrimSpace(stderr.String()) != strings.TrimSpace(tc.stderr) || !strings.Contains(stdout.String(), tc.stdout) {
			t.Errorf("%q: got exit status %d, stderr %q and\n%s", tc.args, status, &stderr, &stdout)
		}
	}
}
