package companion_test

import (
	"testing"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// expectReads counts at the API server what check and explain read: the same for any number of plugin blocks.
func expectReads(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	served := func() float64 {
		metrics, err := c.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
		harness.Must(t, err)
		total := 0.0
		for _, resource := range []string{"services", "endpointslices", "ingresses", "httproutes", "namespaces"} {
			for _, verb := range []string{"LIST", "WATCH"} {
				total += harness.Sum(string(metrics), "apiserver_request_total{", `resource="`+resource+`"`, `verb="`+verb+`"`)
			}
		}
		return total
	}
	blocks := ""
	var reads []float64
	for _, zone := range []string{"minilb", "lan", "home.arpa"} {
		blocks += zone + " {\n minilb {\n claim " + zone + "\n}\n}\n"
		corefile := writeCorefile(t, blocks)
		names := []string{"web.explained.minilb", "web.explained.minilb", "web.explained.minilb"} // each name has reads of its own
		copy(names[1:], []string{"web.explained.lan", "web.explained.home.arpa"}[:len(reads)])
		fewest := 0.0
		for range 3 { // others read, too
			before := served()
			if _, stderr, status := check(t, c.Kubeconfig, "-corefile", corefile); status == 2 {
				t.Fatalf("check: %s", stderr)
			}
			if out, err := harness.Minilb(t, append([]string{"explain", "-kubeconfig", c.Kubeconfig, "-corefile", corefile}, names...)...).CombinedOutput(); err != nil {
				t.Fatalf("explain: %v: %s", err, out)
			}
			if n := served() - before; fewest == 0 || n < fewest {
				fewest = n
			}
		}
		reads = append(reads, fewest)
	}
	if reads[0] == 0 || reads[1] != reads[0] || reads[2] != reads[0] {
		t.Errorf("one, two and three plugin blocks cost %v reads, want the same", reads)
	}
}
