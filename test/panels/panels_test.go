package panels

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	one := 1
	for _, test := range []struct {
		v        float64
		unit     string
		decimals *int
		want     string
	}{
		{0, "s", nil, "0 s"}, {0.00025, "s", nil, "250 µs"}, {0.0123456, "s", nil, "12.3 ms"}, {90, "s", nil, "1.5 min"},
		{42 << 20, "bytes", nil, "42 MiB"}, {0, "bytes", nil, "0 B"}, {1234, "reqps", nil, "1.23k req/s"}, {0.0512, "percentunit", &one, "5.1%"},
		{0, "percentunit", &one, "0.0%"}, {7, "", nil, "7"}, {0.5, "short", nil, "0.5"},
	} {
		if got := format(test.v, test.unit, test.decimals); got != test.want {
			t.Errorf("%v %s: got %q, want %q", test.v, test.unit, got, test.want)
		}
	}
}

func TestTick(t *testing.T) {
	for _, test := range []struct {
		highest float64
		unit    string
		want    float64
	}{{0, "short", 1}, {10, "short", 2}, {9, "short", 2}, {0.004, "s", 0.001}, {100 << 20, "bytes", 20 << 20}, {24, "short", 5}} {
		if got := tick(test.highest, test.unit); got < test.want*0.999 || got > test.want*1.001 {
			t.Errorf("%v %s: got %v, want %v", test.highest, test.unit, got, test.want)
		}
	}
}

// Series stand on each other where they have values at the same time.
func TestStack(t *testing.T) {
	drawn, floors := stack([]series{{points: []point{{1, 2}, {2, 3}}}, {points: []point{{2, 4}}}})
	if got := fmt.Sprint(drawn[0].points, floors[0], drawn[1].points, floors[1]); got != "[{1 2} {2 3}] [{1 0} {2 0}] [{2 7}] [{2 3}]" {
		t.Errorf("got %s", got)
	}
}

// The picture is well-formed XML that has each panel's title, legend and value.
func TestDraw(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query().Get("query"); strings.Contains(query, "$") || !strings.HasPrefix(query, "up{") {
			t.Errorf("got the query %q", query)
		}
		io.WriteString(w, `{"data":{"result":[{"metric":{"job":"a<b"},"values":[[1000,"1"],[1001,"NaN"],[1002,"1"]]}]}}`)
	}))
	defer server.Close()
	board := `{"panels":[{"type":"row","title":"Row","gridPos":{"x":0,"y":0,"w":24,"h":1}}`
	for i, kind := range []string{"stat", "timeseries", "state-timeline", "table"} {
		board += fmt.Sprintf(`,{"type":%q,"title":"Panel %d","gridPos":{"x":%d,"y":1,"w":6,"h":8},"targets":[{"expr":"up{job=~\"$job\"}","legendFormat":"{{job}}"}],
			"fieldConfig":{"defaults":{"mappings":[{"options":{"1":{"text":"yes"}}}]}}}`, kind, i, 6*i)
	}
	svg, err := Draw([]byte(board+`]}`), server.URL, time.Unix(1000, 0), time.Unix(1120, 0))
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
	for _, want := range []string{">Row<", ">Panel 0<", ">Panel 3<", ">yes<", ">a&lt;b<", ">2 min<"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the picture has no %s", want)
		}
	}
	if _, err := Draw([]byte(`{"panels":[{"type":"gauge","title":"x"}]}`), server.URL, time.Unix(0, 0), time.Unix(1, 0)); err == nil || !strings.Contains(err.Error(), `unknown type "gauge"`) {
		t.Errorf("an unknown type of panel: got %v", err)
	}
}
