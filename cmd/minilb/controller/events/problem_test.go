package events

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

// What goes over the wire fits what the API server takes, however long names and notes are.
func TestEvent(t *testing.T) {
	f := Problem{
		Kind: "HTTPRoute", Namespace: "shop", Name: strings.Repeat("a", 199) + "." + strings.Repeat("b", 50), UID: "uid",
		Reason: HostNotServed, Note: strings.Repeat("ü", maxNote),
	}
	e := f.event("minilb-0", time.Now())
	if problems := validation.IsDNS1123Subdomain(e.Name); len(problems) > 0 {
		t.Errorf("name %q: %s", e.Name, problems)
	}
	if len(e.Note) > maxNote || !utf8.ValidString(e.Note) || !strings.HasSuffix(e.Note, "…") {
		t.Errorf("note of %d bytes: %q", len(e.Note), e.Note)
	}
	if e.Type != "Warning" || e.Regarding.APIVersion != "gateway.networking.k8s.io/v1" || e.Regarding.UID != "uid" || e.Namespace != "shop" {
		t.Errorf("got %+v", e)
	}
	for note, want := range map[string]string{ // M10
		"a\x1b[2J\n\u202eb":                     `a\u001b[2J \u202eb`,
		"\xff":                                  "\ufffd",
		strings.Repeat("\x1b", maxNote):         strings.Repeat(`\u001b`, maxNote)[:maxNote-3] + "…",
		"every " + strings.Repeat("ü", maxNote): "every " + strings.Repeat("ü", (maxNote-9)/2) + "…",
	} {
		f.Note = note
		if e := f.event("minilb-0", time.Now()); e.Note != want {
			t.Errorf("note %.40q: got %q, want %q", note, e.Note, want)
		}
	}
	evil := Problem{}.Each([]string{"\x1b" + strings.Repeat("x", maxNote)}, "mend it")
	if note := evil[0].event("minilb-0", time.Now()).Note; !strings.HasPrefix(note, `\u001bxxx`) || !strings.HasSuffix(note, "x…; mend it") || len(note) > maxNote {
		t.Errorf("got %q", note)
	}
	class := Problem{Kind: "GatewayClass", Name: "c", Reason: "InvalidObject", Normal: true}
	if e := class.event("minilb-0", time.Now()); e.Namespace != "default" || e.Regarding.Namespace != "" || e.Type != "Normal" {
		t.Errorf("of what is in no namespace: got %+v", e)
	}
}

// The same Problem has the same name everywhere; another object, reason, generation or note has another.
func TestEventName(t *testing.T) {
	f := badHost("shop", 1)
	names := map[string]bool{}
	for _, change := range []func(*Problem){
		func(*Problem) {},
		func(f *Problem) { f.UID = "other" },
		func(f *Problem) { f.Generation++ },
		func(f *Problem) { f.Reason = "HostConflict" },
		func(f *Problem) { f.Note = "other" },
		func(f *Problem) { f.Aspect = "other" },
		func(f *Problem) { f.Kind = "Service" },
	} {
		g := f
		change(&g)
		names[g.event("x", time.Now()).Name] = true
	}
	if len(names) != 7 {
		t.Errorf("got %d names of 7 findings", len(names))
	}
	again := f
	if again.event("y", time.Now().Add(time.Hour)).Name != f.event("x", time.Now()).Name {
		t.Error("the same Problem has another name later, or elsewhere")
	}
	moved := f
	moved.Aspect, f.Aspect = "any", "any"
	moved.Note = "another example"
	if moved.key() != f.key() {
		t.Error("the example counts")
	}
}

// An object has a problem of each thing that is wrong, and one that counts them where there are many. What is
// added changes no other.
func TestEach(t *testing.T) {
	f := badHost("shop", 1)
	var texts []string
	for n := range 7 {
		texts = append(texts, fmt.Sprintf("host %d is refused", n))
		all := f.Each(append(texts, texts[0]), "correct it")
		if want := min(n+1, maxOfReason+1); len(all) != want {
			t.Errorf("%d problems of %d texts, want %d", len(all), n+1, want)
		}
		if all[0].Note != "Host 0 is refused; correct it" || all[0].key() != f.Each(texts, "correct it")[0].key() {
			t.Errorf("got %q", all[0].Note)
		}
	}
	all, before := f.Each(texts, ""), f.Each(texts[:6], "")
	if last := all[maxOfReason]; last.Note != `There are more of these than Events: "minilb check" lists all 7` || last.key() != before[maxOfReason].key() {
		t.Errorf("got %q", last.Note)
	}

	// A note that is too long keeps what to do; one that just fits is whole.
	const fix = "; correct it"
	for _, n := range []int{maxNote - len(fix), maxNote - len(fix) + 1, 2 * maxNote} {
		got := f.Each([]string{strings.Repeat("x", n)}, "correct it")[0].Note
		if len(got) > maxNote || !strings.HasSuffix(got, fix) || strings.Contains(got, "…") != (n > maxNote-len(fix)) {
			t.Errorf("%d bytes: got %d of them: %s", n, len(got), got[len(got)-60:])
		}
	}
}
