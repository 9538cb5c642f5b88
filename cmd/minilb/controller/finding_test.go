package controller

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

// What goes over the wire fits what the API server takes, however long names and notes are.
func TestEvent(t *testing.T) {
	f := finding{
		kind: "HTTPRoute", namespace: "shop", name: strings.Repeat("a", 199) + "." + strings.Repeat("b", 50), uid: "uid",
		reason: reasonHostNotServed, note: strings.Repeat("ü", maxNote),
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
		f.note = note
		if e := f.event("minilb-0", time.Now()); e.Note != want {
			t.Errorf("note %.40q: got %q, want %q", note, e.Note, want)
		}
	}
	evil := finding{}.each([]string{"\x1b" + strings.Repeat("x", maxNote)}, "mend it")
	if note := evil[0].event("minilb-0", time.Now()).Note; !strings.HasPrefix(note, `\u001bxxx`) || !strings.HasSuffix(note, "x…; mend it") || len(note) > maxNote {
		t.Errorf("got %q", note)
	}
	class := finding{kind: "GatewayClass", name: "c", reason: reasonInvalidObject, normal: true}
	if e := class.event("minilb-0", time.Now()); e.Namespace != "default" || e.Regarding.Namespace != "" || e.Type != "Normal" {
		t.Errorf("of what is in no namespace: got %+v", e)
	}
}

// The same finding has the same name everywhere; another object, reason, generation or note has another.
func TestEventName(t *testing.T) {
	f := badHost("shop", 1)
	names := map[string]bool{}
	for _, change := range []func(*finding){
		func(*finding) {},
		func(f *finding) { f.uid = "other" },
		func(f *finding) { f.generation++ },
		func(f *finding) { f.reason = reasonHostConflict },
		func(f *finding) { f.note = "other" },
		func(f *finding) { f.aspect = "other" },
		func(f *finding) { f.kind = "Service" },
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
		t.Error("the same finding has another name later, or elsewhere")
	}
	moved := f
	moved.aspect, f.aspect = "any", "any"
	moved.note = "another example"
	if moved.key() != f.key() {
		t.Error("the example counts")
	}
}
