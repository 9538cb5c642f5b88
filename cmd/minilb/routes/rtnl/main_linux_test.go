package rtnl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace is set in the environment of the process that has a network namespace to itself.
const inNamespace = "MINILB_TEST_NAMESPACE"

// host runs a test anew in a process that has a network namespace of its own, in which there are
// two networks: 192.168.1.1/24 and fd00:192:168:1::1/64 on the interface "lan", and 192.168.2.1/24
// on "other". It returns true there. What the test makes goes with the process.
func host(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		if os.Geteuid() != 0 {
			t.Skip("network namespaces need root")
		}
		requireIP(t)
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
		cmd.Env = append(os.Environ(), inNamespace+"=yes")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skipf("network namespaces cannot be made here: %v", err)
		}
		if err != nil {
			t.Fatalf("in a namespace: %v\n%s", err, out)
		}
		t.Logf("in a namespace:\n%s", out)
		return false
	}
	runDirs = []string{t.TempDir()}
	for _, key := range []string{"default/accept_dad", "default/accept_ra", "all/accept_dad"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+key, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	ip(t, "link set lo up", "link add lan type veth peer name lan-far", "link add other type veth peer name other-far",
		"link set lan-far up", "link set other-far up", "link set lan up", "link set other up",
		"addr add 192.168.1.1/24 dev lan", "addr add fd00:192:168:1::1/64 dev lan nodad", "addr add 192.168.2.1/24 dev other")
	within(t, func() error { // IPv6 takes its time, also without looking for duplicates
		own := shown(t, "-6 route show table local type local")
		if !strings.Contains(own, "local fd00:192:168:1::1 ") || strings.Count(own, "local fe80:") != 4 {
			return fmt.Errorf("the host's addresses are not ready:\n%s", own)
		}
		return nil
	})
	return true
}

// withoutNetAdmin takes CAP_NET_ADMIN from this thread, to which the goroutine is locked.
func withoutNetAdmin(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var capabilities [2]unix.CapUserData
	if err := unix.Capget(&header, &capabilities[0]); err != nil {
		t.Fatal(err)
	}
	capabilities[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &capabilities[0]); err != nil {
		t.Fatal(err)
	}
}

// requireIP skips a test without ip(8); where all programs must be there, it fails.
func requireIP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err == nil {
		return
	}
	complain := t.Skipf
	if os.Getenv("MINILB_REQUIRE_PROGRAMS") != "" {
		complain = t.Fatalf
	}
	complain("ip is not installed: apt-get install iproute2")
}

// ip executes lines of iproute2's, without the word "ip".
func ip(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
}

// table returns the routes of both families with our protocol, as ip(8) shows them.
func table(t *testing.T) string {
	t.Helper()
	return shown(t, "-4 route show table all proto 109") + shown(t, "-6 route show table all proto 109")
}

// shown returns what ip(8) prints, with single spaces.
func shown(t *testing.T, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	var text strings.Builder
	for line := range strings.Lines(string(out)) {
		text.WriteString(strings.TrimSuffix(strings.Join(strings.Fields(line), " "), " pref medium") + "\n")
	}
	return text.String()
}

// eventually waits until the routes of our protocol are these.
func eventually(t *testing.T, want ...string) {
	t.Helper()
	wanted := ""
	if len(want) > 0 {
		wanted = strings.Join(want, "\n") + "\n"
	}
	within(t, func() error {
		if got := table(t); got != wanted {
			return fmt.Errorf("the table has\n%swant\n%s", got, wanted)
		}
		return nil
	})
}

// within waits until there is no error.
func within(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}
