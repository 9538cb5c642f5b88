package translator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/informer"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// judged is a bench of Claims, and the results as of the last time.
func judged(t *testing.T, options config.Options) (*bench, *[]string) {
	var lines []string
	b := emptyBench(t, &options, testClients(t))
	NewClaims(b.watcher, options, func(problems []object.Problem) {
		lines = nil
		for _, p := range problems {
			lines = append(lines, fmt.Sprintf("%s %s/%s %s %d %q %q: %s", p.Ref.Kind, p.Ref.Namespace, p.Ref.Name, p.Ref.UID, p.Ref.Generation, p.Host, p.Reason, p.Text))
		}
		slices.Sort(lines)
	})
	b.claims = b.watcher.all[0]
	return b, &lines
}

// C1, C2, C3, C6, D17, I10, M2: every claim that does not count has its problem.
func TestVerdicts(t *testing.T) {
	b, got := judged(t, config.Options{Claims: []config.ClaimRule{{Suffix: "ex.org."}, {Suffix: "b.ex.org.", Namespaces: []string{"shop"}}}})
	web := testService("shop/web", 1, "a.ex.org, a_b, db.prod.minilb, x.com")
	web.UID = "uid-web"
	b.services().Update(web)
	other := testService("shop/other", 3, "a.ex.org")
	other.Annotations["minilb/hots"] = "c.ex.org"
	b.services().Update(other)
	b.services().Update(testService("evil/x", 2, "a.ex.org, b.ex.org"))
	dead := testIngress("shop/i", "i.ex.org")
	dead.UID, dead.Generation = "uid-i", 7
	dead.Annotations = map[string]string{lb.HostAnnotation: "j.ex.org"} // which Services alone have
	b.watcher.Ingresses("").Update(dead)
	b.sync()
	want := []string{
		`Ingress shop/i uid-i 7 "" "annotation": annotation minilb/host has no effect on objects of kind Ingress: name the host in spec.rules[].host`,
		`Ingress shop/i uid-i 7 "i.ex.org." "dead": host "i.ex.org" is not served: its status has no address yet; is its ingress controller running and publishing one?`,
		`Service evil/x  0 "a.ex.org." "conflict": host "a.ex.org" is refused: another namespace claimed it earlier`,
		`Service evil/x  0 "b.ex.org." "not_allowed": host "b.ex.org" is refused: no claim line of the Corefile lets namespace "evil" have it`,
		`Service shop/other  0 "" "annotation": annotation "minilb/hots" is none of ours and has no effect: set the annotation minilb/host`,
		`Service shop/web uid-web 0 "" "invalid": host "a_b" in annotation minilb/host is refused: it is not a DNS name of letters, digits, hyphens and dots`,
		`Service shop/web uid-web 0 "db.prod.minilb." "reserved": host "db.prod.minilb" is refused: names below prod.minilb belong to namespace "prod"`,
		`Service shop/web uid-web 0 "x.com." "not_allowed": host "x.com" is refused: no claim line of the Corefile lets namespace "shop" have it`,
	}
	if !slices.Equal(*got, want) {
		t.Errorf("got\n%s\nwant\n%s", lines(*got), lines(want))
	}
	if log := b.log.take(); len(log) > 0 {
		t.Errorf("the verdicts were logged as well: %q", log)
	}
}

// A new generation of an object is judged anew, whatever it is that has changed; a look at an object
// that is the same is not.
func TestVerdictsOfGeneration(t *testing.T) {
	b, got := judged(t, config.Options{})
	ingress := testIngress("shop/i", "i.ex.org")
	ingress.UID, ingress.Generation = types.UID("uid"), 1
	b.watcher.Ingresses("").Update(ingress)
	b.sync()
	b.pending()
	b.watcher.Ingresses("").Update(ingress.DeepCopy())
	if b.pending() {
		t.Error("the same again was judged anew")
	}
	again := ingress.DeepCopy()
	again.Generation = 2
	b.watcher.Ingresses("").Update(again)
	if !b.pending() {
		t.Fatal("a new generation was not judged")
	}
	b.publish()
	if want := `Ingress shop/i uid 2 "i.ex.org." "dead": `; len(*got) != 1 || !strings.HasPrefix((*got)[0], want) {
		t.Errorf("got %q, want %q", *got, want)
	}
	again.Labels = map[string]string{lb.IgnoreLabel: "true"} // M8
	again.Annotations = map[string]string{"minilb/sevice": "web"}
	b.watcher.Ingresses("").Update(again.DeepCopy())
	b.publish()
	if len(*got) > 0 {
		t.Errorf("of an object that is to be ignored: got %q", *got)
	}
}

// Whoever is given results holds nothing up: the watches go on while it takes its time with one.
func TestResultsSlowConsumer(t *testing.T) {
	b, _ := judged(t, config.Options{})
	results, annotations := 0, 0
	b.claims.onResolved = func(all []object.Problem) {
		for _, r := range all {
			if results++; r.Reason == object.ReasonAnnotation {
				annotations++
			}
			obj := testIngress(fmt.Sprintf("other/%d", results), "c.ex.org")
			obj.Annotations = map[string]string{"minilb/sevice": "web"}
			if results > 20 {
				t.Fatalf("there is no end of results, such as %+v", r)
			}
			b.watcher.Ingresses("").Update(obj) // an event, for which the watch takes its locks
			b.services().Update(testService("shop/web", int64(results), "b.ex.org"))
		}
	}
	obj := testIngress("shop/i", "a.ex.org, a_b")
	obj.Annotations = map[string]string{"minilb/sevice": "web"}
	b.watcher.Ingresses("").Update(obj)
	b.services().Update(testService("shop/web", 1, "b.ex.org, b_c"))
	b.sync()
	if results < 3 || annotations == 0 {
		t.Errorf("got %d results, %d of annotations", results, annotations)
	}
}

// Claims are judged without endpoints, which are then not watched.
func TestVerdictsUnaddressed(t *testing.T) {
	b, got := judged(t, config.Options{})
	b.services().Update(testService("shop/web", 1, "a.ex.org"))
	b.services().Update(testService("evil/x", 2, "a.ex.org"))
	b.sync()
	watchesSlices := slices.ContainsFunc(b.watcher.Watches, func(s *informer.Status) bool { return s.Kind == "endpointslice" })
	if want := `Service evil/x  0 "a.ex.org." "conflict": `; len(*got) != 1 || !strings.HasPrefix((*got)[0], want) || watchesSlices {
		t.Errorf("got %q with watches of slices %v, want %q and none", *got, watchesSlices, want)
	}
}

func lines(all []string) (text string) {
	for _, line := range all {
		text += "\t" + line + "\n"
	}
	return text
}
