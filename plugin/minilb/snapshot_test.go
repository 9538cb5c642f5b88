package minilb

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/source"
)

// A relative path begins at the root of the Corefile, or else in the working directory.
func TestSnapshotPath(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	if err := os.Mkdir("kept", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ root, path, want string }{
		{"", "/tmp/snapshot", "/tmp/snapshot"},
		{root, "/tmp/snapshot", "/tmp/snapshot"},
		{"", "snapshot", filepath.Join(root, "snapshot")},
		{"kept", "snapshot", filepath.Join(root, "kept/snapshot")},
		{"/tmp", "snapshot", "/tmp/snapshot"},
		{filepath.Join(root, "kept"), "../snapshot", filepath.Join(root, "snapshot")},
	} {
		c := controller("minilb minilb {\n snapshot " + tc.path + "\n}")
		dnsserver.GetConfig(c).Root = tc.root
		conf, err := parse(c)
		if err != nil || conf.snapshot != tc.want {
			t.Errorf("%q in %q: got %+v, %v, want %s", tc.path, tc.root, conf, err, tc.want)
		}
	}
}

// One cluster has one file, and one file has one cluster.
func TestSnapshotShared(t *testing.T) {
	shared := corefileOf(controller("minilb minilb"))
	path := testKubeconfig(t)
	get := func(context string) *cluster {
		cl, err := shared.clusterFor(path, context)
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	for _, tc := range []struct{ context, snapshot, want string }{
		{"c", "/tmp/a", ""},
		{"c", "/tmp/a", ""},
		{"c", "/tmp/b", "snapshot: got /tmp/b, and the same kubeconfig has /tmp/a in another server block: want one file for a cluster"},
		{"d", "/tmp/a", "snapshot: another kubeconfig has /tmp/a, too: want a file for each cluster"},
		{"d", "/tmp/b", ""},
	} {
		got := ""
		if err := shared.keep(get(tc.context), tc.snapshot); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s in %s: got %q, want %q", tc.context, tc.snapshot, got, tc.want)
		}
	}
}

// keepingCluster returns one that is not started, and its only stanza.
func keepingCluster(t *testing.T, host, path string) (*cluster, *Minilb) {
	t.Helper()
	watcher, err := source.NewWatcher(&rest.Config{Host: host}, log)
	if err != nil {
		t.Fatal(err)
	}
	cl := &cluster{watcher: watcher, load: &corefile{}}
	if err := cl.load.keep(cl, path); err != nil {
		t.Fatal(err)
	}
	m := newMinilb(testConfig(), &records.Set{})
	m.away, m.restored = watcher.Away, watcher.Restored
	options := source.Options{
		Zones: []string{"minilb."}, Class: lb.DefaultClass, HostAnnotations: []string{lb.HostAnnotation}, Services: true,
		Reachable: func(string) bool { return true }, Observe: observeProgramming,
	}
	cl.translators = []*source.Translator{source.NewTranslator(watcher, options, m.index)}
	t.Cleanup(cl.stop)
	return cl, m
}

// started starts a cluster and returns how long it took until its stanza could answer.
func (cl *cluster) startedAfter(t *testing.T, m *Minilb, timeout time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	cl.start()
	if !waitForSync(m, cl.restore(m, cl.started.Add(timeout))) {
		t.Fatal("it cannot answer")
	}
	return time.Since(began)
}

// However the API server fails to answer, what was kept is served soon; and not before it has had
// the time it takes to answer.
func TestSnapshotRestored(t *testing.T) {
	captureLog(t)
	path := filepath.Join(t.TempDir(), "snapshot")
	server := fakeAPI(t)
	address := server.Listener.Addr().String()
	live, m := keepingCluster(t, server.URL, path)
	if took := live.startedAfter(t, m, time.Minute); live.watcher.Restored() || took > 30*time.Second {
		t.Errorf("without a snapshot: restored %v after %v", live.watcher.Restored(), took)
	}
	live.stop()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	handler := server.Config.Handler
	server.CloseClientConnections()
	server.Close()

	listen := func(serve func(net.Listener)) func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		serve(l)
		return func() { l.Close() }
	}
	serving := func(handler http.HandlerFunc) func() func() {
		return func() func() {
			return listen(func(l net.Listener) {
				ctx, cancel := context.WithCancel(t.Context())
				t.Cleanup(cancel)
				s := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }}}
				s.Start()
				t.Cleanup(func() { cancel(); s.CloseClientConnections(); s.Close() })
			})
		}
	}
	for name, tc := range map[string]struct {
		begin              func() (end func())
		timeout, from, til time.Duration
		restored           bool
	}{
		"refused":        {func() func() { return func() {} }, time.Minute, 0, time.Second, true},
		"never answered": {func() func() { return listen(func(net.Listener) {}) }, time.Minute, silence, silence + time.Second, true},
		"not waited for": {func() func() { return listen(func(net.Listener) {}) }, 0, 0, time.Second, true},
		"answered":       {serving(handler.ServeHTTP), time.Minute, 0, 30 * time.Second, false},
		"answered in part": {serving(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "endpointslices") {
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			handler.ServeHTTP(w, r)
		}), 1500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			end := tc.begin()
			defer end()
			cl, m := keepingCluster(t, server.URL, path)
			took := cl.startedAfter(t, m, tc.timeout)
			if took < tc.from || took > tc.til || cl.watcher.Restored() != tc.restored {
				t.Errorf("restored %v after %v, want %v from %v to %v", cl.watcher.Restored(), took, tc.restored, tc.from, tc.til)
			}
			if m.stale() != tc.restored {
				t.Errorf("stale: %v", m.stale())
			}
			if got := answer(m, "web.shop.minilb.", dns.TypeA); !slices.Equal(got, []string{"10.0.0.1"}) {
				t.Errorf("got %q", got)
			}
			cl.stop()
		})
	}
}

// A load takes over the file of the one before, with what that knows, and gives it back when it fails.
func TestSnapshotTakenOver(t *testing.T) {
	out := captureLog(t)
	directory := filepath.Join(t.TempDir(), "kept")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "snapshot")
	server := fakeAPI(t)
	before, m := keepingCluster(t, server.URL, path)
	before.startedAfter(t, m, time.Minute)
	server.CloseClientConnections()
	server.Close()

	after, m := keepingCluster(t, server.URL, path)
	after.startedAfter(t, m, time.Minute)
	if !after.watcher.Restored() || before.latest() || !after.latest() {
		t.Errorf("restored %v; the one before is the latest: %v, the one after: %v\n%s", after.watcher.Restored(), before.latest(), after.latest(), out)
	}
	before.watcher.Touch()
	os.Remove(path)
	if err := before.watcher.Flush(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the one before still writes")
	}
	after.stop()
	if before.watcher.Touch(); !before.latest() {
		t.Error("the one before does not write again")
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}

	// What the one before knows cannot be written: what the file has is older, and not to be served.
	if err := os.Rename(directory, directory+"-away"); err != nil {
		t.Fatal(err)
	}
	before.watcher.Touch()
	after, m = keepingCluster(t, server.URL, path)
	after.start()
	if err := os.Rename(directory+"-away", directory); err != nil {
		t.Fatal(err)
	}
	if waitForSync(m, after.restore(m, time.Now().Add(200*time.Millisecond))) || !after.succeeds() {
		t.Errorf("restored: %v; it succeeds one that serves: %v", after.watcher.Restored(), after.succeeds())
	}
}

// answer returns the data that a question is answered with.
func answer(m *Minilb, name string, qtype uint16) (data []string) {
	w := dnstest.NewRecorder(&test.ResponseWriter{})
	m.ServeDNS(context.Background(), w, new(dns.Msg).SetQuestion(name, qtype))
	for _, rr := range w.Msg.Answer {
		data = append(data, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return data
}
