package deploy_test

import (
	"github.com/minilb/minilb/test/harness"

	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/panels"
)

// draw draws the dashboard, into the file that MINILB_PICTURE names if that is set.
func (m *monitored) draw(t *testing.T, began time.Time) {
	t.Helper()
	board, err := os.ReadFile("../../deploy/grafana/minilb.json")
	harness.Must(t, err)
	svg, err := panels.Draw(board, m.prometheus.url, began, time.Now())
	harness.Must(t, err)
	for _, p := range readDashboard(t).Panels {
		title := new(bytes.Buffer)
		harness.Must(t, xml.EscapeText(title, []byte(p.Title)))
		if !bytes.Contains(svg, title.Bytes()) {
			t.Errorf("the picture has no panel %s", p.Title)
		}
	}
	if path := os.Getenv("MINILB_PICTURE"); path != "" {
		harness.Must(t, os.WriteFile(path, svg, 0o644))
	}
}

// live lets happen what happens in a cluster: pods come and go, Services are created, each with a
// host, some of which are others' already, and clients ask.
func (m *monitored) live(t *testing.T, duration time.Duration) {
	t.Helper()
	first := m.pods + 1 // of those that there are
	for n, end := 0, time.Now().Add(duration); time.Now().Before(end); n++ {
		if n%80 < 40 {
			m.addPod(t)
		} else {
			harness.Must(t, m.cluster.Client.CoreV1().Pods(m.namespace).Delete(t.Context(), fmt.Sprintf("web-%d", first), *metav1.NewDeleteOptions(0)))
			first++
		}
		if n%60 == 0 {
			harness.CreateService(t, m.cluster, m.namespace, fmt.Sprintf("app-%d", n), m.namespace, func(s *corev1.Service) {
				s.Annotations = map[string]string{"minilb/host": fmt.Sprintf("app%d.example.org, a.web.%s.minilb", n%240, m.namespace)}
			})
		}
		for range 5 + n%40 {
			m.ask(t)
		}
		time.Sleep(250 * time.Millisecond)
	}
}
