package minilb

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
	"github.com/minilb/minilb/test/pipes"
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
		{"", "/tmp/../tmp//snapshot", "/tmp/snapshot"},
		{root, "/tmp/snapshot", "/tmp/snapshot"},
		{"", "snapshot", filepath.Join(root, "snapshot")},
		{"kept", "snapshot", filepath.Join(root, "kept/snapshot")},
		{"/tmp", "snapshot", "/tmp/snapshot"},
		{filepath.Join(root, "kept"), "../snapshot", filepath.Join(root, "snapshot")},
	} {
		c := controller("minilb minilb {\n snapshot " + tc.path + "\n}")
		dnsserver.GetConfig(c).Root = tc.root
		conf, err := parse(c)
		if err != nil || conf.Snapshot != tc.want {
			t.Errorf("%q in %q: got %+v, %v, want %s", tc.path, tc.root, conf, err, tc.want)
		}
	}
}

// What can only be a mistake stops the start.
func TestSnapshotPathErrors(t *testing.T) {
	for _, tc := range []struct{ path, want string }{
		{"/nowhere/there/snapshot", "Testfile:2 - Error during parsing: snapshot: there is no directory /nowhere/there: create it, or name a file in another"},
		{"/dev/null/snapshot", "snapshot: /dev/null is not a directory: name a file in one"},
		{"/", "snapshot: / is not a regular file: name one, or one that is not there yet"},
	} {
		if _, err := parse(controller("minilb minilb {\n snapshot " + tc.path + "\n}")); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", tc.path, err, tc.want)
		}
	}
}

// One cluster has one file, and one file has one cluster.
func TestSnapshotShared(t *testing.T) {
	shared := loadOf(controller("minilb minilb"))
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
		{"c", "/tmp/b", "snapshot: got /tmp/b, but the same kubeconfig has /tmp/a in another server block: want one file for a cluster"},
		{"d", "/tmp/a", "snapshot: another kubeconfig has /tmp/a as well: want a file for each cluster"},
		{"d", "/tmp/b", ""},
	} {
		got := ""
		if err := shared.keepSnapshot(get(tc.context), tc.snapshot); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s in %s: got %q, want %q", tc.context, tc.snapshot, got, tc.want)
		}
	}
}

// keepingCluster returns one that is not started, and its only block.
func keepingCluster(t *testing.T, client *rest.Config, path string) (*cluster, *Minilb) {
	t.Helper()
	translators, err := translator.New(client, log)
	if err != nil {
		t.Fatal(err)
	}
	cl := &cluster{translators: translators, load: &load{}}
	if err := cl.load.keepSnapshot(cl, path); err != nil {
		t.Fatal(err)
	}
	m := newMinilb(testConfig(), &records.AddressSet{})
	m.outage, m.restored = translators.OutageDuration, translators.Restored
	options := config.Options{
		Zones: []string{"minilb."}, Class: lb.DefaultClass, HostAnnotations: []string{lb.HostAnnotation}, Services: true,
	}
	cl.blocks = []*translator.Translator{translator.NewTranslator(translators, options, m.index, translator.Hooks{})}
	t.Cleanup(cl.stop)
	return cl, m
}

// started starts a cluster and returns how long it took until its block could answer.
func (cl *cluster) startedAfter(t *testing.T, m *Minilb, timeout time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	cl.start()
	deadline := cl.started.Add(timeout)
	until := cl.restore(m, deadline)
	if until.Before(deadline) {
		t.Errorf("it waits until %v before the deadline", deadline.Sub(until))
	}
	if !waitForSync(m, until) {
		t.Fatal("it cannot answer")
	}
	return time.Since(began)
}

// However the API server fails to answer, what was kept is served soon; and not before it has had
// the time it takes to answer.
func TestSnapshotRestored(t *testing.T) {
	captureLog(t)
	path := filepath.Join(t.TempDir(), "snapshot")
	handler := fakeAPIHandler()
	// How long it may take to see what has happened: the pauses of restore and of waitForSync.
	const look, ready = 10 * time.Millisecond, 20 * time.Millisecond
	// Each has the clock of its bubble, which stands still until all that runs has come to rest.
	type dialer = func(ctx context.Context, network, address string) (net.Conn, error)
	run := func(t *testing.T, dial func(*testing.T) dialer, timeout time.Duration, check func(t *testing.T, cl *cluster, m *Minilb, took time.Duration)) {
		synctest.Test(t, func(t *testing.T) {
			cl, m := keepingCluster(t, &rest.Config{Host: "http://localhost", Dial: dial(t)}, path)
			check(t, cl, m, cl.startedAfter(t, m, timeout))
			cl.stop()
		})
	}
	refusing := func(*testing.T) dialer {
		return func(_ context.Context, network, _ string) (net.Conn, error) { return nil, pipes.Refuse(network) }
	}
	silent := func(*testing.T) dialer {
		return func(context.Context, string, string) (net.Conn, error) {
			conn, _ := net.Pipe() // from which nobody reads
			return conn, nil
		}
	}
	serving := func(handler http.HandlerFunc) func(*testing.T) dialer {
		return func(t *testing.T) dialer {
			listener, server := pipes.Listen(), &http.Server{Handler: handler}
			go server.Serve(listener)
			t.Cleanup(func() { server.Close() })
			return listener.Dial
		}
	}
	// The one that limits their rate takes the bubble's clock for one that goes wrong.
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	t.Cleanup(func() { utilruntime.ErrorHandlers = handlers })

	run(t, serving(handler), time.Minute, func(t *testing.T, cl *cluster, _ *Minilb, took time.Duration) {
		if cl.translators.Restored() || took > look {
			t.Errorf("without a snapshot: restored %v after %v", cl.translators.Restored(), took)
		}
	})
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		dial               func(*testing.T) dialer
		timeout, from, til time.Duration
		restored           bool
	}{
		"refused":        {refusing, time.Minute, 0, look + ready, true},
		"never answered": {silent, time.Minute, contactTimeout, contactTimeout + ready, true},
		"not waited for": {silent, 0, 0, ready, true},
		"answered":       {serving(handler), time.Minute, 0, look, false},
		"answered in part": {serving(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "endpointslices") {
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			handler(w, r)
		}), 1500 * time.Millisecond, 1500 * time.Millisecond, 1500*time.Millisecond + ready, true},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, tc.dial, tc.timeout, func(t *testing.T, cl *cluster, m *Minilb, took time.Duration) {
				if took < tc.from || took > tc.til || cl.translators.Restored() != tc.restored {
					t.Errorf("restored %v after %v, want %v from %v to %v", cl.translators.Restored(), took, tc.restored, tc.from, tc.til)
				}
				if m.stale() != tc.restored {
					t.Errorf("stale: %v", m.stale())
				}
				if got := answer(m, "web.shop.minilb.", dns.TypeA); !slices.Equal(got, []string{"10.0.0.1"}) {
					t.Errorf("got %q", got)
				}
			})
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
	config := &rest.Config{Host: server.URL}
	before, m := keepingCluster(t, config, path)
	before.startedAfter(t, m, time.Minute)
	server.CloseClientConnections()
	server.Close()

	after, m := keepingCluster(t, config, path)
	after.startedAfter(t, m, time.Minute)
	if !after.translators.Restored() || before.latest() || !after.latest() {
		t.Errorf("restored %v; the one before is the latest: %v, the one after: %v\n%s", after.translators.Restored(), before.latest(), after.latest(), out)
	}
	before.translators.Snapshot.MarkDirty()
	os.Remove(path)
	if _, err := before.translators.Snapshot.Flush(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the one before still writes")
	}
	after.stop()
	if before.translators.Snapshot.MarkDirty(); !before.latest() {
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
	before.translators.Snapshot.MarkDirty()
	after, m = keepingCluster(t, config, path)
	after.start()
	if err := os.Rename(directory+"-away", directory); err != nil {
		t.Fatal(err)
	}
	if waitForSync(m, after.restore(m, time.Now().Add(200*time.Millisecond))) || !after.replaces() {
		t.Errorf("restored: %v; it succeeds one that serves: %v", after.translators.Restored(), after.replaces())
	}
}

// What a load before knows that keeps it elsewhere, or nowhere, is newer than what an old file has.
func TestSnapshotOlder(t *testing.T) {
	captureLog(t)
	directory := t.TempDir()
	old := filepath.Join(directory, "old")
	for _, elsewhere := range []string{"", filepath.Join(directory, "elsewhere")} {
		server := fakeAPI(t)
		config := &rest.Config{Host: server.URL}
		kept, m := keepingCluster(t, config, old)
		kept.startedAfter(t, m, time.Minute)
		kept.stop()
		before, m := keepingCluster(t, config, elsewhere)
		before.startedAfter(t, m, time.Minute)
		server.CloseClientConnections()
		server.Close()

		after, m := keepingCluster(t, config, old)
		after.start()
		if waitForSync(m, after.restore(m, time.Now().Add(200*time.Millisecond))) || !after.replaces() {
			t.Errorf("after one with %q: restored: %v; it succeeds one that serves: %v", elsewhere, after.translators.Restored(), after.replaces())
		}
		after.stop()
		before.stop()

		after, m = keepingCluster(t, config, old) // which is served when nobody knows more
		if after.startedAfter(t, m, time.Minute); !after.translators.Restored() {
			t.Error("the old file is not served")
		}
		after.stop()
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
