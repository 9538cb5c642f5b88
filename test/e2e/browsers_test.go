//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/minilb/minilb/test/harness"
)

// browsers open a URL on the client, each in a new profile, and end once its page is there, or an error.
var browsers = []struct {
	name, program, debianPackage string
	open                         func(l *lab, t *testing.T, cert harness.Certificate, url string) (string, error)
}{
	{"Chromium", "chromium", "chromium", (*lab).chromium},
	{"Firefox", "firefox-esr", "firefox-esr", (*lab).firefox},
}

// Browsers make of HTTPS records what the rule counts on (D50). A page on port 80 opens as it is where
// the Service's port 443 leads to another port of its pods; where it does not, Chromium goes over to TLS
// by the record. Without port 80 Firefox finds the pods' port, and Chromium that nobody listens on 443.
func TestBrowsers(t *testing.T) {
	l := theLab(t)
	for _, b := range browsers {
		harness.Program(t, b.program, b.debianPackage)
	}
	harness.Program(t, "certutil", "libnss3-tools")
	l.addRoutes(t, l.Router)
	for _, test := range []struct {
		app               string
		ports             map[int32]int // of the Service, to those of its pods
		scheme            string
		chromium, firefox int // the pod's port that the page comes from, 0 for no page
	}{
		{"plain", map[int32]int{80: 80, 443: 8443}, "http", 80, 80},
		{"upgraded", map[int32]int{80: 80, 443: 443}, "http", 443, 80},
		{"secure", map[int32]int{443: 8443}, "https", 0, 8443},
	} {
		t.Run(test.app, func(t *testing.T) {
			var ports []corev1.ServicePort
			for port, target := range test.ports {
				ports = append(ports, corev1.ServicePort{Name: fmt.Sprint("port-", port), Port: port, TargetPort: intstr.FromInt(target)})
			}
			name := l.createService(t, test.app, ports...)
			cert := harness.NewCertificate(t, strings.TrimSuffix(name, "."))
			s := l.startPod(t, test.app, test.app, "node1").serveSite(t, cert, test.ports)
			l.startCoreDNS(t, []string{"https"}, name, 1)
			for i, want := range []int{test.chromium, test.firefox} {
				b := browsers[i]
				t.Run(b.name, func(t *testing.T) {
					out, err := b.open(l, t, cert, fmt.Sprintf("%s://%s/%s", test.scheme, strings.TrimSuffix(name, "."), b.name))
					if got := s.visited("/" + b.name); got != want || err != nil {
						t.Errorf("the page came from port %d, want %d (%v)\n%s", got, want, err, out)
					}
				})
			}
		})
	}
}

// chromium prints the page. It looks HTTPS records up with a resolver of its own, which asks the name
// server of resolv.conf. That it tries https:// for http:// by itself is taken from it, as that hides what
// the record does.
func (l *lab) chromium(t *testing.T, _ harness.Certificate, url string) (string, error) {
	return l.browse(t, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-component-update", "--disable-background-networking", "--ignore-certificate-errors",
		"--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,HttpsFirstModeV2,HttpsFirstModeIncognito,OptimizationHints",
		"--user-data-dir="+t.TempDir(), "--timeout=20000", "--dump-dom", url)
}

// firefox takes a picture of the page. What looks for updates and the like is left out, and so is what
// opens https:// for http:// without a record.
func (l *lab) firefox(t *testing.T, cert harness.Certificate, url string) (string, error) {
	profile := t.TempDir()
	var prefs strings.Builder
	for name, value := range map[string]string{
		"app.normandy.enabled": "false", "app.update.enabled": "false", "browser.aboutwelcome.enabled": "false",
		"browser.safebrowsing.malware.enabled": "false", "browser.safebrowsing.phishing.enabled": "false",
		"browser.shell.checkDefaultBrowser": "false", "datareporting.policy.dataSubmissionEnabled": "false",
		"dom.security.https_first": "false", "dom.security.https_first_schemeless": "false",
		"network.captive-portal-service.enabled": "false", "network.connectivity-service.enabled": "false",
		"services.settings.server": `"data:,#remote-settings-dummy/v1"`, "toolkit.telemetry.enabled": "false",
	} {
		fmt.Fprintf(&prefs, "user_pref(%q, %s);\n", name, value)
	}
	must(t, os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs.String()), 0o600))
	if out, err := harness.Run(t, "certutil", "-A", "-d", "sql:"+profile, "-n", "authority", "-t", "C,,", "-i", cert.Authority); err != nil {
		return out, err
	}
	return l.browse(t, "firefox-esr", "--headless", "--no-remote", "--profile", profile, "--screenshot", filepath.Join(profile, "page.png"), url)
}

// browse runs a browser on the client to its end, with a home directory of its own. It returns what it prints.
func (l *lab) browse(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := l.Client.Command(ctx, program, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir(), "MOZ_CRASHREPORTER_DISABLE=1")
	cmd.WaitDelay = time.Second // children of it may hold its output
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// site is the pages of a pod.
type site struct {
	mu    sync.Mutex
	ports map[string]int // by path, the first that it was asked for at
}

// serveSite serves pages at the pod's ports, until the test ends: with TLS at that of the Service's port 443.
func (p *pod) serveSite(t *testing.T, cert harness.Certificate, ports map[int32]int) *site {
	t.Helper()
	s := &site{ports: map[string]int{}}
	server := &http.Server{Handler: s}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	for port, target := range ports {
		listener, err := p.Namespace.Listen(t.Context(), fmt.Sprintf(":%d", target))
		must(t, err)
		serving.Go(func() {
			if port == 443 {
				_ = server.ServeTLS(listener, cert.Chain, cert.Key)
			} else {
				_ = server.Serve(listener)
			}
		})
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.ports[r.URL.Path]; !known {
		s.ports[r.URL.Path] = r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port
	}
	fmt.Fprintln(w, "<!doctype html><title>A page</title>")
}

// visited returns the pod's port that a path was asked for at, 0 if it was not.
func (s *site) visited(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ports[path]
}
