package packages_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

var exposure = regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+) `)

// The units of the Debian package are sound, run the programs that are in it with arguments that
// these take, and leave little open: their exposure is the one of deploy/systemd/README.md.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze := harness.Program(t, "systemd-analyze", "systemd")
	harness.Program(t, "dpkg-deb", "dpkg")
	unpacked, err := debian()
	must(t, err)
	dir := filepath.Join(t.TempDir(), "root")
	_, err = output(exec.Command("cp", "-r", unpacked, dir))
	must(t, err)
	// The units of systemd itself that ours speak of.
	units := filepath.Join(dir, "usr/lib/systemd/system")
	for _, target := range []string{"sysinit", "basic", "shutdown", "multi-user", "network-online", "nss-lookup"} {
		must(t, os.WriteFile(filepath.Join(units, target+".target"), []byte("[Unit]\nDescription="+target+"\n"), 0o644))
	}
	corefile := strings.ReplaceAll(read(t, dir, "etc/minilb/Corefile"), "/var/lib/minilb", t.TempDir())
	must(t, os.WriteFile(filepath.Join(dir, "etc/minilb/Corefile"), []byte(corefile), 0o644))
	readme := read(t, root, "deploy/systemd/README.md")
	for _, name := range []string{"minilb-dns", "minilb-routes", "minilb-controller"} {
		unit := name + ".service"
		if out, err := exec.Command(analyze, "verify", "--root="+dir, "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		out, err := output(exec.Command(analyze, "security", "--offline=true", "--root="+dir, "--no-pager", unit))
		must(t, err)
		score := exposure.FindStringSubmatch(out)
		if score == nil {
			t.Fatalf("%s: no exposure in\n%s", unit, out)
		}
		row := regexp.MustCompile("(?m)^\\| `" + name + "` \\|.*\\| (\\S+) \\|$").FindStringSubmatch(readme)
		if row == nil || !atMost(t, score[1], row[1]) {
			t.Errorf("%s: the exposure is %s, README.md has %q", unit, score[1], row)
		}
		expectCommand(t, dir, read(t, units, unit))
	}
	// R8b: the lock is where "minilb routes" looks for it, in a directory that stays, and is nobody else's.
	for _, line := range []string{"RuntimeDirectory=minilb", "RuntimeDirectoryMode=0700", "RuntimeDirectoryPreserve=yes"} {
		if !strings.Contains(read(t, units, "minilb-routes.service"), "\n"+line+"\n") {
			t.Errorf("minilb-routes.service has no line %s", line)
		}
	}
}

// atMost compares two numbers.
func atMost(t *testing.T, number, bound string) bool {
	t.Helper()
	var a, b float64
	_, err := fmt.Sscan(number+" "+bound, &a, &b)
	must(t, err)
	return a <= b
}

// expectCommand runs a unit's command with its kubeconfig missing: it is understood, and says so.
func expectCommand(t *testing.T, dir, unit string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindStringSubmatch(unit)
	if line == nil {
		t.Fatal("no ExecStart in a unit")
	}
	credentials := t.TempDir()
	command := strings.ReplaceAll(line[1], "%d", credentials)
	for _, variable := range regexp.MustCompile(`(?m)^Environment=(\w+)=(\S*)$`).FindAllStringSubmatch(unit, -1) {
		command = strings.ReplaceAll(command, "${"+variable[1]+"}", variable[2])
	}
	args := strings.Fields(command)
	for i, arg := range args {
		if strings.HasPrefix(arg, "/usr/") || strings.HasPrefix(arg, "/etc/") {
			args[i] = filepath.Join(dir, arg)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"KUBECONFIG=" + credentials + "/kubeconfig"}
	out, err := cmd.CombinedOutput()
	text := string(out)
	told := strings.Contains(text, credentials+"/kubeconfig") && (strings.Contains(text, "does not exist") || strings.Contains(text, "no kubeconfig in $KUBECONFIG"))
	powerless := strings.Contains(line[1], "-apply") && strings.Contains(text, "CAP_NET_ADMIN") // where this test has no such right
	if err == nil || !told && !powerless {
		t.Errorf("%q without a kubeconfig: %v, %s", args, err, text)
	}
}
