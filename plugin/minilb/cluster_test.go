package minilb

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/minilb/minilb/plugin/minilb/translator"
)

// What keeps the cluster from being read is said again each minute, until it is read or the server ends.
func TestRemind(t *testing.T) {
	for _, tc := range []struct {
		about string
		reads bool // whether there is anything to read
		want  int  // lines in three minutes
	}{{"all is read", false, 0}, {"nothing is read", true, 3}} {
		translators, err := translator.New(&rest.Config{Host: "https://api.example"}, log)
		if err != nil {
			t.Fatal(err)
		}
		conf := testConfig()
		synctest.Test(t, func(t *testing.T) {
			cl := &cluster{translators: translators, zones: conf.Options.Zones, started: time.Now()}
			if tc.reads {
				cl.blocks = []*translator.Translator{translator.NewTranslator(translators, conf.Options, testPlugin(conf).index, translator.Hooks{})}
			}
			lines := func() int {
				out := captureLog(t)
				time.Sleep(3*time.Minute + time.Second)
				synctest.Wait()
				for _, text := range []string{"[WARNING] plugin/minilb: Still without the cluster's state after ", "the API server has not answered: ", "services", "endpointslices.discovery.k8s.io", "Names in minilb. lan. get SERVFAIL"} {
					if strings.Count(out.String(), text) < strings.Count(out.String(), "\n") {
						t.Errorf("%s: got %q, want %q in each line", tc.about, out, text)
					}
				}
				return strings.Count(out.String(), "\n")
			}
			ctx, cancel := context.WithCancel(t.Context())
			go cl.remind(ctx)
			if got := lines(); got != tc.want {
				t.Errorf("%s: got %d lines in three minutes, want %d", tc.about, got, tc.want)
			}
			cancel()
			if got := lines(); got != 0 {
				t.Errorf("%s: got %d lines after the end", tc.about, got)
			}
		})
	}
}
