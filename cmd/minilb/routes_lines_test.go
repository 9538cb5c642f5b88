package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minilb/minilb/cmd/minilb/routes"
)

// R7b: a thousand Nodes that come, change and go all the time, each with what there is no route to, are told in a
// bounded number of lines, by -watch and by -apply; and a node that is right is in none of them.
func TestHostileNodesBounded(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(r *routesRun) func([]routes.Entry) error
	}{
		{"watch", nil},
		{"apply", func(r *routesRun) func([]routes.Entry) error { // without a kernel
			r.stderr = newBoundedLines(r.stderr)
			var last []routes.Entry
			return func(entries []routes.Entry) error {
				r.warnSkipped(routes.Changes(last, entries))
				last = entries
				if all := tableRoutes(entries); len(all) != 1 || all[0].Node != "a" {
					t.Errorf("in the kernel: %+v", all)
				}
				return nil
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, events := lan(t)
				format, err := routes.FormatByName("ip")
				if err != nil {
					t.Fatal(err)
				}
				var stdout, stderr strings.Builder
				r := &routesRun{clients: noResources, format: format, stdout: &stdout, stderr: &stderr}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() {
					if tc.run == nil {
						err = r.watch(ctx, client)
					} else {
						err = r.watchNodes(ctx, client, tc.run(r))
					}
					if err != nil {
						t.Error(err)
					}
				})
				time.Sleep(3 * time.Second)
				for round := range 300 {
					for i := round % 5; i < 1000; i += 5 {
						hostile := lanNode(fmt.Sprintf("evil%03d", i), fmt.Sprintf("9.%d.%d.%d/32", round%250, i/250, i%250), "192.168.1.66")
						if events.Modify(hostile); round%3 == 0 {
							events.Delete(hostile)
						}
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				cancel()
				running.Wait()
				if strings.Count(stdout.String(), "ip route") > 1 || strings.Contains(stdout.String(), "ip route replace 9.") {
					t.Errorf("routes are printed:\n%s", &stdout)
				}
				if !strings.Contains(stderr.String(), "too many lines") && strings.Count(stderr.String(), "change too often") != 1 {
					t.Errorf("that lines are left out is not told:\n%s", &stderr)
				}
				lines := strings.Count(stdout.String()+stderr.String(), "\n")
				if lines > linesAtOnce+3*5*linesPerMinute+10 || lines < 100 {
					t.Errorf("%d lines in five minutes", lines)
				}
			})
		})
	}
}

// Lines that are too many are left out, which is told, and those that come later are not.
func TestBoundedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		b := newBoundedLines(&out)
		write := func(line string) {
			if n, err := io.WriteString(b, line); n != len(line) || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		}
		for range linesAtOnce {
			write("one\n")
		}
		if got := out.String(); got != strings.Repeat("one\n", linesAtOnce) {
			t.Errorf("got %d bytes", len(got))
		}
		out.Reset()
		for range 7 {
			write("two\n")
		}
		time.Sleep(7 * time.Second)
		write("three\n")
		write("four\n")
		if got := out.String(); got != "minilb: too many lines: 10 a minute are printed from here on\nminilb: 7 lines left out\nthree\nminilb: too many lines: 10 a minute are printed from here on\n" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Hour)
		b.w = failing{}
		if _, err := io.WriteString(b, "five\n"); err == nil {
			t.Error("what cannot be written is no error")
		}
		if _, err := io.WriteString(b, "six\n"); err == nil {
			t.Error("what cannot be written is no error")
		}
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }
