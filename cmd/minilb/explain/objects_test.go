package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// mismatch is the note of the Service shop/web.
const mismatch = "Service shop/web: port 80 → pods listen on 8080, and nothing translates it: clients must use 8080"

// S5: of a Service behind a name it is said which of its ports its pods do not listen on, in as many words as
// may be read.
func TestExplainPorts(t *testing.T) {
	const corefile = ". {\n minilb minilb\n}"
	two := strings.NewReplacer("{name: http, port: 80, targetPort: 8080}", "{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}, {name: x, port: 9}",
		"{name: http, port: 8080, protocol: TCP}", "{name: http, port: 8080}, {name: http, port: 8081}, {name: dns, port: 5353, protocol: UDP}, {name: x, port: 9}").Replace(web)
	for _, tc := range []struct {
		name, manifest, refused string
		want                    []string
	}{
		{"web.shop.minilb", web, "", []string{mismatch}},
		{"a.ex.org", web, "", []string{mismatch}},
		{"web-0.web.shop.minilb", web, "", []string{mismatch}},
		{"_http._tcp.web.shop.minilb", web, "", nil}, // which tells the port
		{"web.shop.minilb", strings.Replace(web, "port: 80,", "port: 8080,", 1), "", nil},
		{"web.shop.minilb", web, "services", nil},
		{"web.shop.minilb", web, "endpointslices", nil},
		{"web.shop.minilb", two, "", []string{
			"Service shop/web: port 80 → pods listen on 8080 or 8081, and nothing translates it: clients must use 8080 or 8081",
			"Service shop/web: port 53/UDP → pods listen on 5353, and nothing translates it: clients must use 5353"}},
	} {
		c := newCluster(t, corefile, tc.manifest)
		c.client.PrependReactor("list", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if action.GetResource().Resource == tc.refused {
				return true, nil, errors.New("no")
			}
			return false, nil, nil
		})
		if x := c.explain(t, tc.name); !slices.Equal(x.Notes, tc.want) && len(x.Notes)+len(tc.want) > 0 {
			t.Errorf("%s without %q: got notes\n%q, want\n%q", tc.name, tc.refused, x.Notes, tc.want)
		}
	}
}

// Of a name that is not there, the objects are named that have it in an annotation that has no effect.
func TestExplainMisplaced(t *testing.T) {
	const minilb = ". {\n minilb minilb\n}"
	annotated := func(id, annotations string) string {
		namespace, name, _ := strings.Cut(id, "/")
		return "\n---\n" + `apiVersion: v1
kind: Service
metadata: {namespace: ` + namespace + ", name: " + name + ", annotations: {" + annotations + `}}
spec: {type: ClusterIP}`
	}
	var many string
	for n := range maxMisplaced + 2 {
		many += annotated(fmt.Sprintf("shop/s%d", n), "minilb/hots: x.org")
	}
	for _, tc := range []struct {
		corefile, manifest string
		want               []string
	}{
		{minilb, annotated("shop/db", `minilb/hots: "y.org, x.org"`), []string{`Service shop/db: annotation "minilb/hots" is none of ours and has no effect: set the annotation minilb/host`}},
		{minilb, annotated("shop/db", `minilb/hots: "*.org"`), []string{`Service shop/db: annotation "minilb/hots" is none of ours and has no effect: set the annotation minilb/host`}},
		{minilb, annotated("shop/db", "minilb/hots: y.org, other/host: x.org"), nil},
		{minilb, annotated("shop/db", "minilb/host: x.org"), []string{"Service shop/db: annotation minilb/host has no effect: it counts only on Services of type LoadBalancer and class minilb"}},
		{". {\n minilb minilb {\n  host_annotations x.example/host\n }\n}", annotated("shop/db", "minilb/host: x.org"), []string{
			"Service shop/db: annotation minilb/host has no effect: hosts are claimed by x.example/host: add minilb/host to host_annotations in the Corefile"}},
		{". {\n minilb minilb {\n  namespaces dev\n }\n}", annotated("shop/db", "minilb/host: x.org"), nil},
		{minilb, strings.Replace(annotated("shop/db", "minilb/host: x.org, minilb/hots: x.org"), "name: db", "name: db, labels: {minilb/ignore: \"true\"}", 1), nil},
		{minilb, strings.Replace(ingress("shop/i", "y.org", "ip: 10.9.9.9"), "name: i,", "name: i, annotations: {minilb/host: x.org},", 1), []string{
			"Ingress shop/i: annotation minilb/host has no effect on objects of kind Ingress: name the host in spec.rules[].host"}},
		{minilb, many, slices.Concat(slices.Repeat([]string{""}, maxMisplaced), []string{`2 more objects have the name in an annotation that has no effect: "minilb check" lists them`})},
	} {
		c := newCluster(t, tc.corefile, strings.TrimPrefix(tc.manifest, "\n---\n"))
		x := c.explain(t, "x.org")
		same := slices.EqualFunc(x.Notes, tc.want, func(got, want string) bool {
			return got == want || want == "" && strings.HasPrefix(got, "Service shop/s")
		})
		if !same || strings.Contains(x.Summary, "See the notes for why.") != (len(tc.want) > 0 && len(x.Claims) == 0) {
			t.Errorf("got %q and notes\n%q, want\n%q", x.Summary, x.Notes, tc.want)
		}
	}
}

// I10: a host without a dot is relative to the first zone, also in an annotation that has no effect, and a name without
// one that is asked about is likely to be meant so.
func TestExplainRelative(t *testing.T) {
	const hots = `Service shop/db: annotation "minilb/hots" is none of ours and has no effect: set the annotation minilb/host`
	misspelt := strings.Replace(db, "name: db", "name: db, annotations: {minilb/hots: nas}", 1)
	claimed := strings.Replace(web, "a.ex.org", "nas", 1)
	refused := strings.Replace(ingress("shop/i", "nas.minilb", "ip: 10.9.9.9"), "status: {loadBalancer: {ingress: [{ip: 10.9.9.9}]}}", "", 1)
	for _, tc := range []struct {
		name, zones, manifest string
		want                  []string
	}{
		{"nas.minilb", "minilb lan", misspelt, []string{hots}},
		{"nas.lan", "minilb lan", misspelt, nil},
		{"nas", "minilb lan", misspelt, nil},
		{"nas", "minilb lan", claimed, []string{"it is not in zone minilb: nas.minilb is, and is answered"}},
		{"nas", "minilb", refused, []string{"it is not in zone minilb: nas.minilb is, and is asked for"}},
		{"nas", "minilb", strings.Replace(claimed, `"nas,`, `"nas., nas,`, 1), nil}, // is answered itself
		{"nas.", "minilb", web, nil},
		{".", "minilb", claimed, nil},
	} {
		x := newCluster(t, ". {\n minilb "+tc.zones+"\n}", strings.TrimPrefix(tc.manifest, "\n---\n")).explain(t, tc.name)
		var notes []string
		for _, note := range x.Notes {
			if strings.HasPrefix(note, "Service shop/db: annotation") || strings.HasPrefix(note, "it is not in zone") {
				notes = append(notes, note)
			}
		}
		if !slices.Equal(notes, tc.want) {
			t.Errorf("%s in %s: got %q and notes\n%q, want\n%q", tc.name, tc.manifest, x.Summary, x.Notes, tc.want)
		}
	}
}

// D10: a wildcard that a closer name hides does not answer, and says so.
func TestExplainHidden(t *testing.T) {
	x := newCluster(t, ". {\n minilb minilb\n}", web+ingress("shop/below", "x.dev.w.ex.org", "ip: 10.9.9.9")).explain(t, "y.dev.w.ex.org")
	if want := "minilb has no such name and passes it on to the plugin that follows, such as forward. It is asked for by 1 object, of which none counts: see why below."; x.Summary != want {
		t.Errorf("got %q, want %q", x.Summary, want)
	}
	const why = `"*.w.ex.org" does not count here: "dev.w.ex.org" exists, as "x.dev.w.ex.org" lies below it, and a wildcard covers nothing that exists or is below that (RFC 4592); claim "y.dev.w.ex.org" as well, or "*.dev.w.ex.org"`
	if len(x.Claims) != 1 || bool(x.Claims[0].Accepted) || x.Claims[0].Message != why || len(x.Endpoints) > 0 {
		t.Errorf("got %+v", x)
	}
}
