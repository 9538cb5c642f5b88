package translator

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/object"
)

// padded is a value of an annotation that begins with text and is as long as the API server lets it be.
func padded(text, with string) string {
	return text + strings.Repeat(with, (255_000-len(text))/len(with))
}

// C7c: what is more than is kept costs the item alone, and is said once and counted.
func TestKeptItems(t *testing.T) {
	b := newBench(t, config.Options{HostAnnotations: []string{lb.HostAnnotation, "z/more"}, HTTPS: true})
	b.sync()
	long := testService("shop/long", 1, "first.org,"+padded("", "other.org "))
	long.Annotations["z/more"] = "never.org, read.org"
	b.services().Update(long)
	b.services().Update(testService("shop/flawed", 2, padded("good.org,", "a_b,")))
	spoken := testService("shop/spoken", 3, "spoken.org")
	spoken.Spec.Ports = []corev1.ServicePort{{Port: 443}}
	spoken.Annotations[lb.ALPNAnnotation] = padded("h2", ",")
	b.services().Update(spoken)
	i := testIngress("shop/i", "i.org")
	i.Annotations = map[string]string{lb.ServiceAnnotation: padded("spoken", " ")}
	b.watcher.Ingresses("").Update(i)
	lines := strings.Join(b.publish(), "\n")
	for _, want := range []string{
		`W Service shop/long: 24477 hosts in annotation minilb/host are refused: an object may have 1024, of 64 KiB in all`,
		`W Service shop/long: 2 hosts in annotation z/more are refused: an object may have`,
		`W Service shop/flawed: host "a_b" in annotation minilb/host is refused:`,
		`W Service shop/spoken: in annotation minilb/alpn, all protocols are refused: they have 255000 bytes, at most 256 are read`,
		`I Ingress shop/i: host "i.org" is not served: annotation minilb/service is "spoken   `,
	} {
		if strings.Count(lines, want) != 1 {
			t.Errorf("%q is not said once in\n%s", want, lines)
		}
	}
	b.services().Update(testService("shop/late", 4, "late.org"))
	if lines := b.publish(); len(lines) > 0 {
		t.Errorf("it is said again: %q", lines)
	}
	if got := b.tr.Stats().Rejected[string(object.ReasonInvalid)]; got < 5 {
		t.Errorf("%d refusals are counted", got)
	}
	for name, want := range map[string]string{"first.org.": "", "other.org.": "", "never.org.": "-", "good.org.": "", "spoken.org.": "", "i.org.": "-", "late.org.": ""} {
		b.want(name, want)
	}
}
