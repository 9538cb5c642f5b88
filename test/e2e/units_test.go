//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/harness"
	"github.com/minilb/minilb/test/shipped"
)

// boot runs systemd as the first process of a container on the network of a host, $1, in cgroups of its
// own, $3. Of this machine's files it sees programs and devices, read-only, and a directory, $2: units are in
// units/. So whatever systemd does as at a boot, such as to empty /tmp, it does to files of its own.
const boot = `
exec unshare -p -f --kill-child sh -ec '
for cgroup in $3; do
	echo 0 >"$cgroup/cgroup.procs" # this process alone: others in it would keep systemd from dividing it
done
exec unshare -C ip netns exec "$1" unshare -m -u -i --mount-proc sh -ec "$4" boot "$2" "$3"
' boot "$1" "$2" "$3" '
	mount --make-rprivate /
	root=$1/root
	mkdir "$root"
	mount -t tmpfs tmpfs "$root"
	cd "$root"
	mkdir -p usr etc/systemd var/lib var/tmp tmp run proc sys dev minilb old
	for directory in bin sbin lib lib64; do
		ln -s "usr/$directory" "$directory"
	done
	cp /etc/passwd /etc/group /etc/nsswitch.conf etc
	echo 0123456789abcdef0123456789abcdef >etc/machine-id
	mount --bind /usr usr
	mount -o remount,bind,ro usr
	for directory in usr/lib/systemd/system usr/lib/systemd/system-generators; do
		mount -t tmpfs tmpfs "$directory"
	done
	cp "$1"/units/* usr/lib/systemd/system
	mount --rbind /dev dev
	touch "$1/console"
	mount --bind "$1/console" dev/console
	mount -o remount,bind,ro dev
	mount -t tmpfs tmpfs dev/shm
	[ ! -d dev/mqueue ] || mount -t mqueue mqueue dev/mqueue
	mount --bind "$1" minilb
	mount -t proc proc proc
	mount --bind proc/sys proc/sys # not all of it is of a namespace
	mount -o remount,bind,ro proc/sys
	mount -t sysfs -o ro sysfs sys
	if [ "$2" = "${2#* }" ]; then # one hierarchy, of version 2
		mount -t cgroup2 cgroup2 sys/fs/cgroup
	else
		mount -t tmpfs tmpfs sys/fs/cgroup
		mkdir sys/fs/cgroup/memory sys/fs/cgroup/pids sys/fs/cgroup/systemd
		mount -t cgroup -o memory cgroup sys/fs/cgroup/memory
		mount -t cgroup -o pids cgroup sys/fs/cgroup/pids
		mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
	fi
	pivot_root . old
	umount -l /old
	mount --make-rshared /
	export container=lxc
	exec chroot / /usr/lib/systemd/systemd --system --unit=multi-user.target --show-status=no
'
`

// makeCgroups makes one in each hierarchy that systemd needs, until the test ends, which is skipped where it cannot.
func makeCgroups(t *testing.T, name string) (paths []string) {
	t.Helper()
	const controllers = "/sys/fs/cgroup/cgroup.subtree_control"
	hierarchies := []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/systemd"}
	if enabled, err := os.ReadFile(controllers); err == nil { // version 2
		hierarchies = []string{"/sys/fs/cgroup"}
		for _, controller := range []string{"memory", "pids"} {
			if slices.Contains(strings.Fields(string(enabled)), controller) {
				continue
			}
			if err := os.WriteFile(controllers, []byte("+"+controller), 0); err != nil {
				t.Skipf("systemd needs cgroups of its own: %v", err)
			}
			t.Cleanup(func() {
				if err := os.WriteFile(controllers, []byte("-"+controller), 0); err != nil {
					t.Logf("others have come to need the controller: %v", err)
				}
			})
		}
	} else {
		out, err := exec.Command("/usr/lib/systemd/systemd", "--version").Output()
		must(t, err)
		if version := number(t, string(out), `^systemd (\d+)`); version >= 256 {
			t.Skipf("systemd %d does not run on cgroups of version 1", version)
		}
	}
	t.Cleanup(func() {
		// What ran in them is killed, and takes a moment to be gone.
		must(t, cluster.Wait(context.WithoutCancel(t.Context()), 20*time.Second, func() error {
			left, err := exec.Command("find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", "*/"+name+"*", "-print", "-exec", "rmdir", "{}", ";").Output()
			if len(left) > 0 {
				err = fmt.Errorf("cgroups are left: %s", left)
			}
			return err
		}))
	})
	for _, hierarchy := range hierarchies {
		paths = append(paths, filepath.Join(hierarchy, name))
		if err := os.Mkdir(paths[len(paths)-1], 0o755); err != nil {
			t.Skipf("systemd needs cgroups of its own: %v", err)
		}
	}
	return paths
}

// units are ours, and the targets that they speak of.
var (
	units   = []string{"minilb-dns", "minilb-routes", "minilb-controller"}
	targets = []string{"sysinit", "basic", "shutdown", "multi-user", "network-online", "nss-lookup"}
)

// The units of deploy/systemd run on the router under systemd itself, sandboxed and limited as they say, and
// do what they are for: names are answered, routes set, statuses written.
func TestUnits(t *testing.T) {
	l := theLab(t)
	if _, err := os.Stat("/usr/lib/systemd/systemd"); err != nil {
		harness.Program(t, "/usr/lib/systemd/systemd", "systemd")
	}
	if target, err := os.Readlink("/lib"); err != nil || target != "usr/lib" {
		t.Skipf("all programs must be in /usr, and /lib leads to %q", target)
	}
	ctx := t.Context()
	l.createService(t, "web")
	p := l.startPod(t, "web-0", "web", "node1")

	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "units"), 0o755))
	install := func(text []byte, name string, mode os.FileMode) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(dir, name), text, mode))
	}
	copied := func(from, name string, mode os.FileMode) {
		t.Helper()
		text, err := os.ReadFile(from)
		must(t, err)
		install(text, name, mode)
	}
	copied(l.coredns, "coredns", 0o755)
	copied(l.minilb, "minilb", 0o755)
	copied("../../deploy/systemd/Corefile", "Corefile", 0o644)
	routes, err := shipped.ApplyRoutes(ctx, l.cluster)
	must(t, err)
	must(t, l.lanKubeconfig(routes))
	copied(l.accounts.DNS, "dns.kubeconfig", 0o600)
	copied(l.accounts.Controller, "controller.kubeconfig", 0o600)
	copied(routes, "routes.kubeconfig", 0o600)
	for _, target := range targets {
		text := "[Unit]\nDescription=" + target + "\n"
		if target == "multi-user" {
			text += "Wants=" + strings.Join(units, ".service ") + ".service\n"
		}
		install([]byte(text), "units/"+target+".target", 0o644)
	}
	texts := map[string]string{}
	for _, unit := range units {
		text, err := os.ReadFile("../../deploy/systemd/" + unit + ".service")
		must(t, err)
		texts[unit] = string(text)
		here := strings.NewReplacer("/usr/lib/minilb/", "/minilb/", "/usr/bin/", "/minilb/", "/etc/minilb/", "/minilb/").Replace(string(text))
		log := "append:/minilb/" + unit + ".log\n"
		here = strings.Replace(here, "[Service]\n", "[Service]\nStandardOutput="+log+"StandardError="+log, 1)
		install([]byte(here), "units/"+unit+".service", 0o644)
	}

	t.Cleanup(func() {
		_, err := l.Router.Output(context.WithoutCancel(ctx), l.minilb, "routes", "-cleanup")
		must(t, err)
		for _, unit := range units {
			if text, err := os.ReadFile(filepath.Join(dir, unit+".log")); t.Failed() {
				t.Logf("%s said (%v):\n%.5000s", unit, err, text)
			}
		}
	})
	cgroups := makeCgroups(t, l.Prefix+"units") // they go before the routes do, and with them who sets those anew
	d := l.start(t, "systemd", "sh", "-c", boot, "boot", l.Router.Name, dir, strings.Join(cgroups, " "))
	d.StopSignal = syscall.SIGHUP // unshare(1) blocks SIGTERM; systemd is killed with it, and with that all that runs there
	// in runs a command where systemd runs.
	in := func(args ...string) (string, error) {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", d.PID()))
		pid := strings.TrimSpace(string(children))
		if err != nil || pid == "" {
			return "", fmt.Errorf("systemd does not run: %w", errors.Join(err, errors.New("no child")))
		}
		out, err := exec.CommandContext(ctx, "nsenter", append([]string{"-a", "-t", pid}, args...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%q: %w: %s", args, err, out)
		}
		return string(out), err
	}

	var want []string
	for _, node := range l.nodes {
		want = append(want, routeLines(node.podCIDRs, node.addresses)...)
	}
	l.waitAddresses(t, "web.default.minilb.", 1)
	l.expectRoutes(t, want)
	for _, family := range families {
		l.expectDirect(t, family, p, "web.default.minilb")
	}
	cluster.Eventually(t, 30*time.Second, func() error {
		service, err := l.cluster.Client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && (len(service.Status.LoadBalancer.Ingress) != 1 || service.Status.LoadBalancer.Ingress[0].Hostname != "web.default.minilb") {
			err = fmt.Errorf("the status is %+v", service.Status.LoadBalancer)
		}
		return err
	})
	cluster.Eventually(t, 30*time.Second, func() error {
		_, err := in("test", "-s", "/var/lib/minilb/snapshot")
		return err
	})

	// Other users of the machine get neither the tokens nor what the services keep, and root's minilb has the lock
	// of the service's (R8b).
	for path, text := range map[string]string{
		"/run/credentials/minilb-dns.service/kubeconfig":        l.accounts.DNS,
		"/run/credentials/minilb-controller.service/kubeconfig": l.accounts.Controller,
		"/run/credentials/minilb-routes.service/kubeconfig":     routes,
		"/var/lib/minilb/snapshot":                              "",
	} {
		want, _ := os.ReadFile(text)
		if got, err := in("cat", path); err != nil || text != "" && got != string(want) {
			t.Errorf("root reads %s: %v, %q", path, err, got)
		}
		if got, err := in("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path); err == nil || !strings.HasPrefix(got, "cat: "+path+": ") {
			t.Errorf("another user reads %s: %v, %q", path, err, got)
		}
	}
	if got, err := in("/minilb/minilb", "routes", "-cleanup"); err == nil || !strings.Contains(got, `another "minilb routes -apply" runs`) {
		t.Errorf("-cleanup beside minilb-routes.service: %v, %q", err, got)
	}

	metrics := map[string]string{}
	for unit, addr := range map[string]string{"minilb-dns": "127.0.0.1:9153", "minilb-controller": "127.0.0.1:8081"} {
		metrics[unit], err = in("curl", "-sf", "http://"+addr+"/metrics")
		must(t, err)
		if memory := harness.Sum(metrics[unit], "process_resident_memory_bytes"); memory < 1<<20 {
			t.Errorf("%s has %g bytes of memory by its metrics", unit, memory)
		}
	}
	if harness.Sum(metrics["minilb-dns"], "process_start_time_seconds") == 0 {
		t.Error("the DNS server's metrics do not say when it started")
	}
	backlog, err := in("ss", "-Hltn", "sport = :53")
	must(t, err)
	somaxconn, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	must(t, err)
	if fields := strings.Fields(backlog); len(fields) < 3 || fields[2] != strings.TrimSpace(string(somaxconn)) {
		t.Errorf("the DNS server lets %q connections wait, want %s", backlog, somaxconn)
	}
	for unit, text := range texts {
		state, err := in("systemctl", "show", "--property=ActiveState,NRestarts", unit)
		must(t, err)
		if !strings.Contains(state, "ActiveState=active\n") || !strings.Contains(state, "NRestarts=0\n") {
			t.Errorf("%s: %q", unit, state)
		}
		limit := number(t, text, `MemoryMax=(\d+)M`) << 20
		for files, want := range map[[2]string]int{{"memory.max", "memory.limit_in_bytes"}: limit, {"pids.max", "pids.max"}: number(t, text, `TasksMax=(\d+)`)} {
			under := "*/" + unit + ".service/"
			out, err := in("find", "/sys/fs/cgroup", "(", "-path", under+files[0], "-o", "-path", under+files[1], ")", "-exec", "cat", "{}", ";")
			must(t, err)
			if strings.TrimSpace(out) != fmt.Sprint(want) {
				t.Errorf("%s: %s is %q, want %d", unit, files[0], out, want)
			}
		}
		soft := number(t, text, `GOMEMLIMIT=(\d+)MiB`) << 20
		if soft > limit*9/10 || soft < limit*8/10 {
			t.Errorf("%s: GOMEMLIMIT is %d, and MemoryMax %d", unit, soft, limit)
		}
		if said := harness.Sum(metrics[unit], "go_gc_gomemlimit_bytes"); metrics[unit] != "" && int(said) != soft {
			t.Errorf("%s: the runtime's limit is %g, want %d", unit, said, soft)
		}
	}
	if _, err := in(append([]string{"systemctl", "stop"}, units...)...); err != nil {
		t.Error(err)
	}
	for _, unit := range units {
		if result, err := in("systemctl", "show", "--property=Result", "--value", unit); err != nil || strings.TrimSpace(result) != "success" {
			t.Errorf("%s ended with %q, %v", unit, result, err)
		}
	}
}

// number returns what a pattern has in parentheses.
func number(t *testing.T, text, pattern string) (n int) {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	_, err := fmt.Sscan(found[1], &n)
	must(t, err)
	return n
}
