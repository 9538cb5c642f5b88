package explain

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// L2, L3: the TTL of a name, the share of each Service, and what is wrong with the annotations.
func TestExplainAnnotations(t *testing.T) {
	const minilb = ". {\n minilb minilb\n}"
	canary := strings.NewReplacer("name: web,", "name: canary,", "name: web-1", "name: canary-1", "service-name: web", "service-name: canary", "10.244.1", "10.244.2", "minilb/host: ", `minilb/weight: "3", minilb/priority: high, minilb/ttl: "30", minilb/host: `).Replace("\n---" + web)
	c := newCluster(t, minilb, web+canary)
	for _, name := range []string{"a.ex.org", "x.w.ex.org"} {
		x := c.explain(t, name)
		var page bytes.Buffer
		if err := x.Text(&page, false); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(page.String()), " ")
		for _, want := range []string{
			"It is answered with 4 IPv4 addresses and no IPv6 address, in each answer with those of one Service.",
			"its records have a TTL of 30 seconds by annotation minilb/ttl; others, and negative answers, have 5",
			`annotation minilb/priority is "high" and has no effect: want a number from 0 to 255`,
			"Shares shop/canary: 75% of A, 0% of AAAA (weight 3, priority 0) shop/web: 25% of A, 0% of AAAA (weight 1, priority 0)",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, page.String())
			}
		}
		if len(x.Shares) != 2 || x.Answer.TTL != 30 {
			t.Errorf("%s: got %+v, TTL %d", name, x.Shares, x.Answer.TTL)
		}
	}
	for name, ttl := range map[string]uint32{"canary.shop.minilb": 30, "canary-0.canary.shop.minilb": 5, "web-0.canary.shop.minilb": 30, "web.shop.minilb": 5, "nope.minilb": 5, "nope.ex.org": 0} {
		x := c.explain(t, name)
		if x.Answer.TTL != ttl || len(x.Shares) > 0 || slices.ContainsFunc(x.Notes, func(note string) bool { return strings.Contains(note, "TTL") }) != (ttl == 30) {
			t.Errorf("%s: got TTL %d, shares %v, notes %q", name, x.Answer.TTL, x.Shares, x.Notes)
		}
	}
}

// The recipe of a canary and a backup does what it says, with what it says is printed.
func TestCanaryRecipe(t *testing.T) {
	content, err := os.ReadFile("../../../deploy/recipes/canary.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```[a-z]*\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) != 4 {
		t.Fatalf("there are %d blocks", len(blocks))
	}
	services, printed, commands, backup := blocks[0], blocks[1], blocks[2], blocks[3]
	state := services + "---\n" + backup
	pods := func(names ...string) (slices string) {
		for i, name := range names {
			slices += fmt.Sprintf(`---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: shop, name: %s-1, labels: {kubernetes.io/service-name: %s}}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}]
endpoints: [{addresses: [10.244.1.%d]}]
`, name, name, i+1)
		}
		return slices
	}
	expect := func(what string, percents map[string]float64, names ...string) {
		t.Helper()
		x := newCluster(t, ". {\n minilb minilb\n}", state+pods(names...)).explain(t, "shop.example.org")
		for _, s := range x.Shares {
			if s.A != percents[s.Service] {
				t.Errorf("%s: got %+v", what, x.Shares)
			}
		}
		var page bytes.Buffer
		if err := x.Text(&page, false); err != nil || len(x.Shares) != 3 {
			t.Errorf("%s: got %v, %v", what, x.Shares, err)
		}
		for line := range strings.Lines(printed) {
			if _, line, _ = strings.Cut(line, "shop/"); what == "at first" && !strings.Contains(page.String(), "shop/"+line) {
				t.Errorf("no %q in\n%s", line, page.String())
			}
		}
	}
	expect("at first", map[string]float64{"shop/web": 90, "shop/canary": 10}, "web", "canary", "backup")
	expect("no canary is ready", map[string]float64{"shop/web": 100}, "web", "backup")
	expect("the backup alone", map[string]float64{"shop/backup": 100}, "backup")
	percents := []map[string]float64{{"shop/web": 50, "shop/canary": 50}, {"shop/canary": 100}, {"shop/web": 50, "shop/canary": 50}, {"shop/web": 100}}
	n := 0
	for command := range strings.Lines(commands) {
		match := regexp.MustCompile(`^kubectl -n shop annotate service (\w+) minilb/weight=(\d) --overwrite\n$`).FindStringSubmatch(command)
		if match == nil {
			t.Fatalf("what does %q do?", command)
		}
		state = regexp.MustCompile(`(?s)(name: `+match[1]+`\n.*?minilb/weight: )"\d"`).ReplaceAllString(state, `${1}"`+match[2]+`"`)
		expect(command, percents[n], "web", "canary", "backup")
		n++
	}
	if n != len(percents) {
		t.Errorf("there are %d commands", n)
	}
}
