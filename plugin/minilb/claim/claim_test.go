package claim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// Of a namespace whose objects claim more than it may, the oldest count, in whatever order they
// come; the others are refused, and other namespaces have nothing to do with it (C5).
func TestNamespaceHosts(t *testing.T) {
	const surplus = 3
	var claims []*Claim
	for i := range maxNamespaceHosts/object.MaxHosts + surplus {
		var hosts []string
		for j := range object.MaxHosts {
			hosts = append(hosts, fmt.Sprintf("h%d.s%d.evil.org.", j, i))
		}
		claims = append(claims, testClaim(fmt.Sprintf("Ingress evil/i%d %d", i, i), strings.Join(hosts, " "), "10.0.0.1"))
	}
	claims = append(claims, testClaim("Ingress shop/i 9999", "www.shop.org.", "10.0.0.2"))
	for range 2 {
		slices.Reverse(claims)
		options := &config.Options{Zones: []string{"minilb."}}
		r := resolve(options, claims, exposures(options))
		got, problems := resolutions(r), r.Problems()
		if len(got) != maxNamespaceHosts+1 || got["www.shop.org."].empty() || got["h0.s0.evil.org."].empty() {
			t.Errorf("%d hosts lead somewhere, want %d", len(got), maxNamespaceHosts+1)
		}
		rejected := map[string]int{}
		for _, p := range problems {
			rejected[p.Reason.Counted()] += p.Hosts
		}
		slices.SortFunc(problems, func(a, b object.Problem) int { return a.Ref.Older(b.Ref) })
		if len(problems) != surplus || rejected[string(object.ReasonInvalid)] != surplus*object.MaxHosts || problems[0].Ref.Name != fmt.Sprint("i", maxNamespaceHosts/object.MaxHosts) ||
			problems[0].Text != "its hosts are refused: the objects of a namespace may claim 131072, and older ones do" {
			t.Errorf("got %d problems, the first %+v, and refusals %v", len(problems), problems[0], rejected)
		}
	}
}
