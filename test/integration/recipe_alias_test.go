package integration_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/cluster"
)

// alias has name servers lead from their zone to the pods.
func (r *recipeCluster) alias(t *testing.T) {
	zone := recipe(t, "other-dns.md", "BIND")
	file := configFile(t, "zone", zone[1])
	must(t, r.Apply(t.Context(), recipe(t, "other-dns.md", "external-dns")[2]))
	expectStatus(t, r.Cluster, "automation", "mosquitto", "mosquitto.automation.minilb")

	forward := resolverRecipe(t, "BIND", r.dns.addr, []string{"minilb."})
	bind := freePorts(t, 1)[0]
	startBIND(t, bind, "home.example.org.", forward[0], forward[1]+strings.Replace(zone[0], "/var/lib/bind/home.example.org.zone", file, 1))

	corefile := atServer(recipe(t, "other-dns.md", "CoreDNS")[0], r.dns.addr)
	corefile = strings.Replace(corefile, "/var/lib/coredns/home.example.org.zone", file, 1)
	server := startCoreDNS(t, serverBlock.ReplaceAllStringFunc(corefile, func(line string) string {
		return strings.TrimSpace(strings.TrimSuffix(line, "{")) + ":PORT {\n bind 127.0.0.1"
	}))
	r.expectAlias(t, bind)
	r.expectAlias(t, server.addr)
}

// expectAlias waits until the name server leads from its zone to the pod.
func (r *recipeCluster) expectAlias(t *testing.T, addr string) {
	t.Helper()
	cluster.Eventually(t, 20*time.Second, func() error {
		reply, err := ask(addr, "udp", "mqtt.home.example.org", dns.TypeA)
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
	if !full {
		t.Skip("external-dns takes minutes to build: MINILB_FULL=1")
	}
	binary := filepath.Join(t.TempDir(), "external-dns")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "../tools/externaldns"
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build external-dns: %v\n%s", err, out)
	}
	blocks := recipe(t, "other-dns.md", "external-dns")
	zone := recipe(t, "other-dns.md", "BIND")[1]
	empty := zone[:strings.Index(zone, "mqtt ")]
	forward := resolverRecipe(t, "BIND", r.dns.addr, []string{"minilb."})
	bind := freePorts(t, 1)[0]
	clause := strings.Replace(blocks[1], "/var/lib/bind/home.example.org.zone", configFile(t, "zone", empty), 1)
	startBIND(t, bind, "home.example.org.", forward[0], forward[1]+clause)
	if err := r.expectNoAlias(bind); err != nil {
		t.Fatal(err)
	}

	must(t, r.Apply(t.Context(), blocks[2]))
	args := strings.NewReplacer("host=192.168.1.2", "host=127.0.0.1", "port=53", "port="+portOf(bind)).Replace(blocks[0])
	startDaemon(t, func() error { return nil }, binary, append(strings.Fields(args), "--kubeconfig="+r.Kubeconfig, "--interval=2s")...)
	r.expectAlias(t, bind)
}

func (r *recipeCluster) expectNoAlias(addr string) error {
	reply, err := ask(addr, "udp", "mqtt.home.example.org", dns.TypeA)
	if err == nil && reply.Rcode != dns.RcodeNameError {
		err = fmt.Errorf("the name is there before it is made: %v", reply)
	}
	return err
}
