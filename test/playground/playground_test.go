package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
)

const (
	// startPatience is for a machine that builds the control plane first.
	startPatience = 20 * time.Minute

	// stopPatience is how soon nothing must be left.
	stopPatience = 15 * time.Second
)

// session is a playground that runs.
type session struct {
	cmd    *exec.Cmd
	dir    string // everything it writes is in here
	output *output
	exited chan error
}

var binary = sync.OnceValues(func() (string, error) { return harness.Build("plain", "./test/playground") })

func TestMain(m *testing.M) { harness.Main(m) }

// start runs the playground as "go run" does, with a temporary directory of its own.
func start(t *testing.T, args ...string) *session {
	t.Helper()
	path, err := binary()
	harness.Must(t, err)
	s := &session{dir: t.TempDir(), output: &output{}, exited: make(chan error, 1)}
	s.cmd = exec.Command(path, args...)
	s.cmd.Env = append(os.Environ(), "TMPDIR="+s.dir)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.cmd.Process.Signal(syscall.SIGTERM) // for a test that failed
		cluster.Wait(context.Background(), stopPatience, s.gone)
	})
	return s
}

// await waits until the output contains text.
func (s *session) await(t *testing.T, text string) {
	t.Helper()
	cluster.Eventually(t, startPatience, func() error {
		select {
		case err := <-s.exited:
			t.Fatalf("ended: %v\n%s", err, s.output)
		default:
		}
		if !strings.Contains(s.output.String(), text) {
			return fmt.Errorf("no %q in\n%s", text, s.output)
		}
		return nil
	})
}

// expectExit waits for the end and checks that nothing is left.
func (s *session) expectExit(t *testing.T, patience time.Duration, want int) {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		t.Fatalf("still runs after %v\n%s", patience, s.output)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != want {
		t.Errorf("exit status %d, want %d\n%s", code, want, s.output)
	}
	cluster.Eventually(t, stopPatience, s.gone)
}

// gone returns an error while there is a file or a process of the playground.
func (s *session) gone() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	if len(files) > 0 {
		return fmt.Errorf("left behind: %v", files)
	}
	for pid, command := range s.processes() {
		return fmt.Errorf("left behind: process %d: %s", pid, command)
	}
	return nil
}

// processes returns the command lines, by process, that name something in the playground's
// directory, as those of all its children do. It finds none where there is no /proc.
func (s *session) processes() map[int]string {
	found := map[int]string{}
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		text, err := os.ReadFile(path) // fails for one that has ended meanwhile
		if err != nil || !bytes.Contains(text, []byte(s.dir+"/")) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		found[pid] = strings.ReplaceAll(string(text), "\x00", " ")
	}
	return found
}

// What "-exit" shows is what must be there, and it leaves with status 0.
func TestExit(t *testing.T) {
	t.Parallel()
	s := start(t, "-exit")
	s.expectExit(t, startPatience, 0)
	for _, line := range []string{
		`  kubeconfig +/\S+/admin\.kubeconfig`,
		`  DNS +127\.0\.0\.1:\d+ \(UDP and TCP\)`,
		`  automation +mosquitto +LoadBalancer +mosquitto\.automation\.minilb +minilb`,
		`  haproxy +internal-kubernetes-ingress +LoadBalancer +internal-kubernetes-ingress\.haproxy\.minilb +minilb`,
		`  media +jellyfin +LoadBalancer +<pending> +example\.com/cloud`,
		`  ip route replace 10\.244\.\d+\.0/24 via 192\.168\.1\.31`,
		`  ip -6 route replace fd00:10:244:\S*/64 via fd00:192:168:1::33`,
		`  hint: if this router filters packets, accept LAN-to-podCIDR traffic statelessly:`,
		`      mosquitto\.automation\.minilb\. +5  IN  A +10\.244\.\d+\.11`,
		`      mqtt\.example\.com\. +5  IN  AAAA +fd00:10:244:\S+`,
		`      wiki\.apps\.sko\.ai\. +5  IN  A +10\.244\.\d+\.13`,
		`      books\.lan\.sko\.ai\. +5  IN  A +10\.244\.\d+\.17`,
		`      books\.example\.com\. +60  IN  A +192\.0\.2\.53`,
		`      radio\.media\.minilb\. +5  IN  A +10\.244\.\d+\.15`,
		`      NOERROR, no records, SOA of minilb\.`,
		`      NXDOMAIN, no records, SOA of minilb\.`,
		`      nas\.sko\.ai\. +60  IN  A +192\.0\.2\.53`,
		`      \d+ ms after the API server knew it`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(s.output.String()) {
			t.Errorf("no line %s", line)
		}
	}
	if t.Failed() || strings.Contains(s.output.String(), "WRONG") {
		t.Errorf("it shows\n%s", s.output)
	}
}

// A playground that waits offers commands that work, and Ctrl-C ends it without a trace.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.await(t, "grep ^coredns_minilb_requests\n")
	t.Run("suggestions", s.trySuggestions)
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.expectExit(t, stopPatience, 0)
	t.Logf("gone %v after SIGINT", time.Since(began).Round(time.Millisecond))
}

// trySuggestions runs all of them in their order, one by one. What is asked may be some time behind
// what was written: who reads would ask again, too.
func (s *session) trySuggestions(t *testing.T) {
	for _, tool := range []string{"kubectl", "dig", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	expected := []struct{ command, line string }{ // in their order, by how the command ends
		{"kubectl get services,pods,endpointslices -A", `automation +pod/mosquitto-0 +1/1 +Running .*`},
		{" mqtt.sko.ai", `mqtt\.sko\.ai\.\s+5\s+IN\s+A\s+10\.244\.\d+\.10`},
		{" get service web", `web +LoadBalancer .* web\.haproxy\.minilb .*`},
		{" +short mosquitto.automation.minilb", `10\.244\.\d+\.12`},
		{" +short photos.sko.ai", `192\.0\.2\.53`},
		{" +short library.lan.sko.ai", `10\.244\.\d+\.17`},
		{" radio.media.minilb", `.*status: NXDOMAIN.*`},
		{" radio.media.minilb photos.sko.ai", `Notes      Service media/radio has label minilb/ignore, which makes it absent`},
		{" +answer mosquitto.automation.minilb", `mosquitto\.automation\.minilb\.\s+30\s+IN\s+A\s+10\.244\.\d+\.11`},
	}
	env := append(os.Environ(), "HOME="+t.TempDir()) // kubectl caches there
	exports := ""
	for _, statement := range s.suggestions() {
		switch {
		case strings.HasPrefix(statement, "export "):
			exports += statement + "\n"
			continue
		case strings.HasPrefix(statement, "sleep "):
			continue // for who asks once
		}
		run := func() string {
			cmd := exec.Command("sh", "-e", "-c", exports+statement)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", statement, err, out)
			}
			return string(out)
		}
		if len(expected) == 0 || !strings.HasSuffix(statement, expected[0].command) {
			t.Logf("%s\n%s", statement, run())
			continue
		}
		line := regexp.MustCompile(`(?m)^` + expected[0].line + `$`)
		expected = expected[1:]
		cluster.Eventually(t, 30*time.Second, func() error {
			if out := run(); !line.MatchString(out) {
				return fmt.Errorf("%s: no line %s in\n%s", statement, line, out)
			}
			return nil
		})
	}
	if len(expected) > 0 {
		t.Errorf("nothing is suggested that ends in %q", expected[0].command)
	}
}

// suggestions returns the commands that are suggested, of which some have several lines.
func (s *session) suggestions() (statements []string) {
	_, text, _ := strings.Cut(s.output.String(), "\nThings to try")
	_, script, _ := strings.Cut(text, "\n")
	statement := ""
	for line := range strings.Lines(script) {
		statement += strings.TrimSpace(line)
		if strings.HasSuffix(statement, "\\") {
			statement += "\n"
			continue
		}
		if statement != "" && !strings.HasPrefix(statement, "#") {
			statements = append(statements, statement)
		}
		statement = ""
	}
	return statements
}

// A daemon that dies takes the playground with it, which says what it died of.
func TestDeath(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.await(t, "grep ^coredns_minilb_requests\n")
	for pid, command := range s.processes() {
		if strings.HasSuffix(command, "/Corefile ") {
			if err := syscall.Kill(pid, syscall.SIGABRT); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
			s.expectExit(t, stopPatience, 1)
			const want = "playground: coredns ended by itself: exit status 2; the end of its log:\n"
			if !strings.Contains(s.output.String(), want) {
				t.Errorf("no %q in\n%s", want, s.output)
			}
			return
		}
	}
	t.Skip("cannot find processes here")
}

// An interrupt during a build leaves nothing either.
func TestInterruptStart(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.await(t, "Building coredns and minilb.\n")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.expectExit(t, stopPatience, 1)
	if !strings.HasSuffix(s.output.String(), "playground: interrupted\n") {
		t.Errorf("it says\n%s", s.output)
	}
}

// output collects what a process says while it is read.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
