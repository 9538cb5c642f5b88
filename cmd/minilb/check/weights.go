package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/minilb/minilb/cmd/minilb/inspect"
	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// zeroWeights finds Services whose weights are all 0, of those with one priority that a host leads to: each is answered as often
// as the others (L3). Of the hosts that lead to the same Services it names the first.
func (c *checker) zeroWeights(i *inspect.DryRun) {
	said := map[string]bool{}
	for _, host := range slices.Sorted(maps.Keys(i.Hosts)) {
		byPriority := map[uint16][]translator.ShareStatus{}
		for _, s := range i.Shares(host) {
			byPriority[s.Priority] = append(byPriority[s.Priority], s)
		}
		for priority, all := range byPriority {
			var services []string
			for _, s := range all {
				services = append(services, s.Service)
			}
			text := strings.Join(services, ", ")
			if len(all) < 2 || said[text] || slices.ContainsFunc(all, func(s translator.ShareStatus) bool { return s.Weight > 0 }) {
				continue
			}
			said[text] = true
			namespace, name, _ := strings.Cut(services[0], "/")
			c.add(Problem{Warning, "Service", namespace, name, "ZeroWeights",
				fmt.Sprintf("host %q leads to Services of priority %d whose weights are all 0 (%s): each is answered as often as the others", hostname.Plain(host), priority, text),
				fmt.Sprintf("give one of them a weight above 0, or remove the annotation %s from all", lb.WeightAnnotation)})
		}
	}
}
