package resolvers_test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// manyNames has a name for each question, so that none is answered from a cache.
const manyNames = `
$TTL 1
@  SOA ns hostmaster 1 2 3 4 5
@  NS  ns
ns A   192.0.2.53
*  A   10.244.9.1
`

// TestDeadNode has the first of the recipe's nodes be off: it says nothing. Every resolver answers by the other, within
// what clients wait who ask again.
func TestDeadNode(t *testing.T) {
	t.Parallel()
	live := harness.StartCoreDNS(t, `minilb:PORT {
		bind 127.0.0.1
		file `+harness.ConfigFile(t, "zone", manyNames)+`
	}`).Addr
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	harness.Must(t, err)
	t.Cleanup(func() { dead.Close() })

	for _, r := range resolvers {
		if slices.Contains([]string{"unbound stub-zone", "CoreDNS in the cluster"}, r.name) {
			continue // they name one address
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			addr := r.start(t, dead.LocalAddr().String()+","+live, []string{"minilb."})
			slowest := time.Duration(0)
			for i := range 10 {
				began := time.Now()
				name, answered := fmt.Sprintf("n%d.minilb.", i), false
				client := dns.Client{Timeout: 5 * time.Second} // as the C library
				for range 2 {
					reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeA), addr)
					if answered = err == nil && len(reply.Answer) == 1; answered {
						break
					}
				}
				slowest = max(slowest, time.Since(began))
				if !answered {
					t.Errorf("%s A: no answer", name)
				}
			}
			t.Logf("%s: the slowest of ten answers took %v", r.name, slowest.Round(time.Millisecond))
		})
	}
}
