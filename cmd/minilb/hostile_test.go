package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"

	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/printable"
)

// evil is a text that clears a terminal, sets its title, turns the direction of writing, begins a line of its
// own, and runs a command if a shell expands it.
const evil = "x\x1b[2J\x1b]0;pwned\x07\u009b31m\u202e\u2066\u2028\r\nforged line; touch PWNED $(touch PWNED) `touch PWNED`\x7f"

// hostile serves a cluster whose every text is evil.
func hostile(t *testing.T) (kubeconfig string) {
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string]string{
		"/api/v1/nodes": `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"name":"n1"},"spec":{"podCIDRs":["10.244.1.0/24","fd00:1::/64","EVIL"]},"status":{"addresses":[{"type":"InternalIP","address":"192.168.1.31"},{"type":"InternalIP","address":"2001:db8::31"},{"type":"InternalIP","address":"EVIL"},{"type":"Hostname","address":"EVIL"}]}},
			{"metadata":{"name":"EVIL","annotations":{"EVIL":"EVIL"}},"spec":{"podCIDRs":["10.244.2.0/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.168.1.32"}]}}]}`,
		"/api/v1/services": `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"namespace":"shop","name":"web","annotations":{"minilb/host":"a.org, EVIL","minilb/hosts":"EVIL","EVIL":"EVIL"},"labels":{"minilb/ignored":"EVIL"}},"spec":{"type":"LoadBalancer","loadBalancerClass":"minilb"},"status":{"loadBalancer":{"ingress":[{"hostname":"EVIL"}]}}},
			{"metadata":{"namespace":"EVIL","name":"EVIL","annotations":{"minilb/host":"b.org"}},"spec":{"type":"LoadBalancer","loadBalancerClass":"minilb"}},
			{"metadata":{"namespace":"shop","name":"slip"},"spec":{"type":"LoadBalancer","loadBalancerClass":"minilbEVIL"}}]}`,
		"/apis/discovery.k8s.io/v1/endpointslices": `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"namespace":"shop","name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4","endpoints":[{"addresses":["10.244.1.7"],"nodeName":"EVIL","hostname":"EVIL"},{"addresses":["10.0.0.1"],"nodeName":"n1"},{"addresses":["EVIL"]}]}]}`,
		"/apis/networking.k8s.io/v1/ingresses": `{"kind":"IngressList","apiVersion":"networking.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[
			{"metadata":{"namespace":"EVIL","name":"EVIL","annotations":{"minilb/service":"EVIL"}},"spec":{"rules":[{"host":"a.org"},{"host":"EVIL"}]}},
			{"metadata":{"namespace":"shop","name":"i"},"spec":{"rules":[{"host":"a.org"},{"host":"c.org"}]},"status":{"loadBalancer":{"ingress":[{"hostname":"EVIL"},{"ip":"EVIL"}]}}}]}`,
		"/api/v1/serviceaccounts": `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"EVIL"}`,
		"/apis/apps/v1/deployments": `{"kind":"DeploymentList","apiVersion":"apps/v1","items":[{"metadata":{"namespace":"EVIL","name":"EVIL","labels":{"app.kubernetes.io/name":"minilb"}},"spec":{"template":{"spec":{
			"volumes":[{"name":"c","configMap":{"name":"EVIL"}}],"containers":[{"name":"c","args":["-conf","/c/Corefile"],"volumeMounts":[{"name":"c","mountPath":"/c"}]}]}}}}]}`,
		"/apis/apps/v1/daemonsets": `{"kind":"DaemonSetList","apiVersion":"apps/v1","items":[]}`,
	}
	for path, document := range documents {
		documents[path] = strings.ReplaceAll(document, "EVIL", string(text[1:len(text)-1]))
	}
	return apiServer(t, documents)
}

// M10, R15: what a hostile API server serves neither does anything to a terminal nor begins a line of its own,
// whatever is printed, and in whatever form. What goes on, -watch and the controller, is not among it: it may use klog's
// logger, of which there is one, when the next is run.
func TestHostile(t *testing.T) {
	kubeconfig := hostile(t)
	commands := [][]string{
		{"check"}, {"check", "-o", "json"}, {"check", "-server", "127.0.0.1:1"}, {"controller", "-cleanup"},
	}
	for _, name := range []string{"web.shop.minilb", "a.org", "b.org", "c.org", "x.shop.minilb"} {
		commands = append(commands, []string{"explain", name}, []string{"explain", "-o", "json", name})
	}
	for _, f := range routes.Formats {
		args := []string{"routes", "-o", f.Name}
		if f.Gateway {
			args = append(args, "-gateway", "192.168.1.1")
		}
		if f.Subnet {
			args = append(args, "-subnet", "192.168.1.0/24")
		}
		if f.Tagged {
			args = append(args, "-interface", "lan")
		}
		if f.OnLink {
			args = append(args, "-within", "10.244.0.0/16", "-interface", "lan")
		}
		commands = append(commands, args)
	}
	for _, args := range commands {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			run(t.Context(), append([]string{args[0], "-kubeconfig", kubeconfig}, args[1:]...), &stdout, &stderr)
			if stdout.Len()+stderr.Len() == 0 {
				t.Error("nothing is printed")
			}
			for line := range strings.Lines(stdout.String() + "\n" + stderr.String()) {
				if strings.ContainsFunc(strings.Trim(line, "\n\t"), func(r rune) bool { return !unicode.IsPrint(r) }) || strings.HasPrefix(line, "forged") {
					t.Errorf("got %q", line)
				}
			}
			if args[0] != "routes" && slices.Contains(args, "json") {
				document := map[string]any{}
				if err := json.Unmarshal(stdout.Bytes(), &document); err != nil {
					t.Errorf("%v:\n%s", err, &stdout)
				}
			}
			if args[0] == "routes" && !slices.ContainsFunc([]string{"10.244.1.0/24", "fd00:1::/64", "180af401c0a8011f", "24, 10, 244, 1, 192", "IPv4 network 10.244.1.0 ", "10.244.0.0/16 dev lan"}, func(route string) bool { return strings.Contains(stdout.String(), route) }) {
				t.Errorf("no route of n1:\n%s%s", &stdout, &stderr)
			}
		})
	}
}

// An error message of the API server, however long, is one line.
func TestHostileError(t *testing.T) {
	text, err := json.Marshal(evil + strings.Repeat("long", 1<<18))
	if err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":%s}`, text)
	for path, args := range map[string][]string{
		"/api/v1/nodes":    {"routes"},
		"/api/v1/services": {"check"},
		"/apis/discovery.k8s.io/v1/endpointslices": {"explain", "web.shop.minilb"},
	} {
		var stderr bytes.Buffer
		if got := run(t.Context(), append([]string{args[0], "-kubeconfig", apiServer(t, map[string]string{path: status})}, args[1:]...), io.Discard, &stderr); got == 0 && args[0] != "explain" {
			t.Errorf("%s: got exit status 0", args[0])
		}
		line := strings.TrimSuffix(stderr.String(), "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || len(line) > 5000 {
			t.Errorf("%s: got %d bytes: %.300q", args[0], len(line), line)
		}
	}
}

// M10: a line of the log is one, and bounded, whatever its values are.
func TestHostileLog(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out, true)
	log.Info("status written", "service", "shop/web", "n", 1, "raw", []byte("text"), "object", cache.NewObjectName("shop", evil))
	log.Warn(evil+strings.Repeat("long", 1<<18), "err", errors.New(evil+strings.Repeat("long", 1<<18)))
	klog.ErrorS(errors.New(evil), evil+strings.Repeat("long", 1<<18))
	var many []any
	for i := range 100 { // each short enough by itself
		many = append(many, fmt.Sprint("name", i), evil)
	}
	log.Warn("many values", many...)
	if n := strings.Count(out.String(), "\n"); n != 4 || !strings.Contains(out.String(), "level=INFO msg=\"status written\" service=shop/web n=1 raw=\"text\" object=\"shop/x\\x1b[2J") {
		t.Errorf("got %d lines: %.300q", n, &out)
	}
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSuffix(line, "\n"); strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) || len(line) > printable.MaxLine {
			t.Errorf("got %d bytes: %.300q", len(line), line)
		}
	}
}
