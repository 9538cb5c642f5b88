package docs_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

// alias has name servers lead from their zone to the pods.
func (r *recipeCluster) alias(t *testing.T) {
	zone := harness.Recipe(t, "other-dns.md", "BIND")
	file := harness.ConfigFile(t, "zone", zone[1])
	harness.Must(t, r.Apply(t.Context(), harness.Recipe(t, "other-dns.md", "external-dns")[2]))
	harness.ExpectStatus(t, r.Cluster, "automation", "mosquitto", "mosquitto.automation.minilb")

	forward := harness.ResolverRecipe(t, "BIND", r.dns.Addr, []string{"minilb."})
	bind := harness.FreePorts(t, 1)[0]
	harness.StartBIND(t, bind, "home.example.org.", forward[0], forward[1]+strings.Replace(zone[0], "/var/lib/bind/home.example.org.zone", file, 1))

	corefile := harness.AtServer(harness.Recipe(t, "other-dns.md", "CoreDNS")[0], r.dns.Addr)
	corefile = strings.Replace(corefile, "/var/lib/coredns/home.example.org.zone", file, 1)
	server := harness.StartCoreDNS(t, harness.ServerBlock.ReplaceAllStringFunc(corefile, func(line string) string {
		return strings.TrimSpace(strings.TrimSuffix(line, "{")) + ":PORT {\n bind 127.0.0.1"
	}))
	r.expectAlias(t, bind)
	r.expectAlias(t, server.Addr)
}

// expectAlias waits until the name server leads from its zone to the pod.
func (r *recipeCluster) expectAlias(t *testing.T, addr string) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		reply, err := harness.Ask(addr, "udp", "mqtt.home.example.org", dns.TypeA)
		if err != nil {
			return err
		}
		if len(reply.Answer) == 2 {
			alias, is := reply.Answer[0].(*dns.CNAME)
			address, has := reply.Answer[1].(*dns.A)
			if is && has && alias.Target == "mosquitto.automation.minilb." && address.A.String() == recipePod {
				return nil
			}
		}
		return fmt.Errorf("got %v, want the alias and %s", reply, recipePod)
	})
}

// externalDNS has what external-dns does make that alias in a zone of BIND's that has none.
func (r *recipeCluster) externalDNS(t *testing.T) {
	if !harness.Full {
		t.Skip("external-dns takes minutes to build: MINILB_FULL=1")
	}
	binary := filepath.Join(t.TempDir(), "external-dns")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "../tools/externaldns"
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build external-dns: %v\n%s", err, out)
	}
	blocks := harness.Recipe(t, "other-dns.md", "external-dns")
	zone := harness.Recipe(t, "other-dns.md", "BIND")[1]
	empty := zone[:strings.Index(zone, "mqtt ")]
	forward := harness.ResolverRecipe(t, "BIND", r.dns.Addr, []string{"minilb."})
	bind := harness.FreePorts(t, 1)[0]
	clause := strings.Replace(blocks[1], "/var/lib/bind/home.example.org.zone", harness.ConfigFile(t, "zone", empty), 1)
	harness.StartBIND(t, bind, "home.example.org.", forward[0], forward[1]+clause)
	if err := r.expectNoAlias(bind); err != nil {
		t.Fatal(err)
	}

	harness.Must(t, r.Apply(t.Context(), blocks[2]))
	args := strings.NewReplacer("host=192.168.1.2", "host=127.0.0.1", "port=53", "port="+harness.PortOf(bind)).Replace(blocks[0])
	harness.StartDaemon(t, func() error { return nil }, binary, append(strings.Fields(args), "--kubeconfig="+r.Kubeconfig, "--interval=2s")...)
	r.expectAlias(t, bind)
}

func (r *recipeCluster) expectNoAlias(addr string) error {
	reply, err := harness.Ask(addr, "udp", "mqtt.home.example.org", dns.TypeA)
	if err == nil && reply.Rcode != dns.RcodeNameError {
		err = fmt.Errorf("the name is there before it is made: %v", reply)
	}
	return err
}
