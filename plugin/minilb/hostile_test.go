package minilb

import (
	"bytes"
	"encoding/json"
	"fmt"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/config"
	"github.com/minilb/minilb/plugin/minilb/lb"
	"github.com/minilb/minilb/plugin/minilb/printable"
	"github.com/minilb/minilb/plugin/minilb/records"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// evil is a text that clears a terminal, sets its title, turns the direction of writing, and begins a line of
// its own, which is forged.
const (
	evil   = "x\x1b[2J\x1b]0;pwned\x07\u009b31m\u202e\u2066\r\n" + forged + "\x7f"
	forged = "2026/01/01 00:00:00 [ERROR] plugin/minilb: forged"
)

// versions are those of the kinds.
var versions = map[string]string{
	"Service": "v1", "Namespace": "v1", "EndpointSlice": "discovery.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
	"Gateway": "gateway.networking.k8s.io/v1", "GatewayClass": "gateway.networking.k8s.io/v1", "HTTPRoute": "gateway.networking.k8s.io/v1",
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// M10: neither the objects of a hostile API server nor its messages do anything to the log but add lines of
// ours, of bounded length.
func TestHostileLog(t *testing.T) {
	text, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	in := func(document string) string { return strings.ReplaceAll(document, "EVIL", string(text[1:len(text)-1])) }
	list := func(kind, items string) string {
		return fmt.Sprintf(`{"kind": "%sList", "apiVersion": %q, "metadata": {"resourceVersion": "1"}, "items": [%s]}`, kind, versions[kind], items)
	}
	documents := map[string]string{
		"/api/v1/services": list("Service", `{"metadata": {"namespace": "EVIL", "name": "EVIL", "annotations": {"minilb/host": "a.b.EVIL, ü.EVIL", "minilb/alpn": "EVIL", "minilb/ttl": "EVIL", "minilb/weight": "EVIL"}},
			"spec": {"type": "LoadBalancer", "loadBalancerClass": "minilb"}}`),
		"/api/v1/namespaces": list("Namespace", `{"metadata": {"name": "EVIL"}}`),
		"/apis/discovery.k8s.io/v1/endpointslices": list("EndpointSlice", `{"metadata": {"namespace": "EVIL", "name": "EVIL", "labels": {"kubernetes.io/service-name": "EVIL"}},
			"addressType": "IPv4", "endpoints": [{"addresses": ["EVIL"], "nodeName": "EVIL"}]}`),
		"/apis/networking.k8s.io/v1/ingresses": list("Ingress", `{"metadata": {"namespace": "EVIL", "name": "EVIL", "annotations": {"minilb/service": "EVIL", "minilb/ttl": "EVIL"}},
			"spec": {"rules": [{"host": "a.org"}, {"host": "EVIL"}]}, "status": {"loadBalancer": {"ingress": [{"hostname": "EVIL"}, {"ip": "EVIL"}]}}}`),
		"/apis":                           `{"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "gateway.networking.k8s.io"}]}`,
		"/apis/gateway.networking.k8s.io": `{"kind": "APIGroup", "apiVersion": "v1", "name": "gateway.networking.k8s.io", "versions": [{"groupVersion": "gateway.networking.k8s.io/v1", "version": "v1"}]}`,
		"/apis/gateway.networking.k8s.io/v1": `{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "gateway.networking.k8s.io/v1", "resources": [
			{"name": "gateways", "verbs": ["list", "watch"]}, {"name": "gatewayclasses", "verbs": ["list", "watch"]}, {"name": "httproutes", "verbs": ["list", "watch"]}, {"name": "tlsroutes", "verbs": ["list", "watch"]}]}`,
		"/apis/gateway.networking.k8s.io/v1/gateways": list("Gateway", `{"metadata": {"namespace": "shop", "name": "gw"},
			"spec": {"gatewayClassName": "gc", "listeners": [{"name": "EVIL", "port": 80, "protocol": "HTTP", "hostname": "EVIL.org"}]}, "status": {"addresses": [{"type": "EVIL", "value": "EVIL"}]}}`),
		"/apis/gateway.networking.k8s.io/v1/gatewayclasses": list("GatewayClass", `{"metadata": {"name": "gc"}, "spec": {"controllerName": "EVIL"}}`),
		"/apis/gateway.networking.k8s.io/v1/httproutes": list("HTTPRoute", `{"metadata": {"namespace": "shop", "name": "EVIL"},
			"spec": {"hostnames": ["b.org", "EVIL"], "parentRefs": [{"name": "EVIL"}, {"name": "gw", "sectionName": "EVIL"}, {"kind": "EVIL", "group": "EVIL", "name": "EVIL"}]},
			"status": {"parents": [{"parentRef": {"name": "gw"}, "controllerName": "EVIL", "conditions": [{"type": "Accepted", "status": "False", "reason": "EVIL", "message": "EVIL"}]}]}},
			{"metadata": {"namespace": "shop", "name": "EVIL2"}, "spec": {"hostnames": {"EVIL": "EVIL"}}}`),
	}
	failure := in(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "InternalError", "code": 500, "message": "EVIL`) + strings.Repeat("long", 1<<18) + `"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "x`+"\u009b\u202e"+`31m"`)
		switch document, known := documents[r.URL.Path]; {
		case !known && strings.Contains(r.URL.Path, "x-k8s.io"):
			http.NotFound(w, r)
		case !known: // TLSRoutes are
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, failure)
		case r.URL.Query().Has("sendInitialEvents"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422}`)
		case r.URL.Query().Has("watch"):
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			fmt.Fprint(w, in(document))
		}
	}))
	t.Cleanup(server.Close)

	redirectKlog()
	out := new(syncBuffer)
	before := stdlog.Writer()
	stdlog.SetOutput(out)
	defer stdlog.SetOutput(before)
	options := config.Options{
		Zones: []string{"minilb."}, Class: lb.DefaultClass, HostAnnotations: []string{lb.HostAnnotation}, Services: true, Ingresses: true, Gateways: true, HTTPS: true,
	}
	translators, err := translator.New(&rest.Config{Host: server.URL}, log)
	if err != nil {
		t.Fatal(err)
	}
	cl := &cluster{translators: translators, load: &load{}, zones: options.Zones}
	cl.blocks = []*translator.Translator{translator.NewTranslator(translators, options, records.NewIndex(options.Zones), translator.Hooks{})}
	cl.start()
	defer cl.stop()
	for _, want := range []string{"Service ", "EndpointSlice ", "Ingress ", "HTTPRoute ", "controller", "tlsroutes.gateway.networking.k8s.io: cannot list"} {
		for end := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), want); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("no line of %q in\n%.4000s", want, out)
			}
		}
	}
	ours := regexp.MustCompile(`^(\S+ \S+ )?\[(INFO|WARNING|ERROR)\] plugin/minilb: `)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if !ours.MatchString(line) || strings.HasPrefix(line, forged) || len(line) > printable.MaxLine+100 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the log has a line of %d bytes: %.300q", len(line), line)
		}
	}
}

// M10: what the query log has of a name is of one line, too.
func TestHostileMetadata(t *testing.T) {
	m := testPlugin(testConfig())
	m.index.Update(nil, []records.Entry{{Name: "evil.minilb.", Node: addressNode("service", evil, "10.0.0.1")}}, false)
	ctx := m.Metadata(metadata.ContextWithMetadata(t.Context()), request.Request{Req: new(dns.Msg).SetQuestion("evil.minilb.", dns.TypeA), W: &test.ResponseWriter{}})
	if got := metadata.ValueFunc(ctx, "minilb/service")(); got != printable.Line(evil) || got == evil {
		t.Errorf("got %q", got)
	}
}
