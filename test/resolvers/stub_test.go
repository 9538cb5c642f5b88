package resolvers_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/minilb/minilb/test/harness"
)

// What stubs say of a name without an address: those that can say why tell one that does not
// exist from one that has none of the family, or none at all.
const (
	unknown   = "unknown"
	noAddress = "no-address"
)

// lookup is a question to a stub: of the family 4, 6 or any, and the answer.
type lookup struct{ family, name, want string }

// stub is a program that looks up names with a resolver library that is not ours.
type stub struct {
	command  []string
	families string // that it can ask for
	precise  bool   // it says why there is no address
	partial  bool   // it takes what fits into 512 bytes
}

// TestStubs asks the resolvers that are in programs: whatever they ask for and in whichever
// order, a name that has addresses is not unknown to them, and its addresses are all that they get.
func TestStubs(t *testing.T) {
	t.Parallel()
	const all, some = "127.0.54.1", "127.0.54.2"
	for _, host := range []string{all, some} {
		if err := bindable(host + ":53"); err != nil {
			t.Skipf("stubs know no port but 53, and it is not to be had: %v", err)
		}
	}
	unshare := harness.Program(t, "unshare", "util-linux")
	if _, err := harness.Run(t, unshare, "-m", "mount", "--bind", "/etc", "/etc"); err != nil {
		t.Skipf("stubs find their server by /etc/resolv.conf, and they cannot have one of their own: %v", err)
	}
	c := harness.Shared(t)
	kubeconfig := harness.ShippedAccounts(t, c).DNS
	ns := harness.NewNamespace(t, c)
	inNamespace := strings.NewReplacer("NS", ns).Replace
	manifest := ""
	for service, addrs := range map[string][2][]string{
		"v4":    {{"10.8.0.1", "10.8.0.2"}, nil},
		"v6":    {nil, {"fd08::1", "fd08::2"}},
		"dual":  {{"10.8.1.1", "10.8.1.2"}, {"fd08::1:1", "fd08::1:2"}},
		"empty": {},
		"many":  {numbered("10.8.2.%d", 40), numbered("fd08::2:%d", 40)},
	} {
		manifest += "{apiVersion: v1, kind: Service, metadata: {name: " + service + ", namespace: NS, annotations: {minilb/host: " + service + ".stub.example}}, spec: {type: LoadBalancer, loadBalancerClass: minilb, ports: [{port: 80}]}}\n---\n"
		for i, family := range []string{"IPv4", "IPv6"} {
			if len(addrs[i]) > 0 {
				manifest += harness.StaticSlice("NS", service, family, addrs[i]...)
			}
		}
	}
	harness.Must(t, harness.Apply(c, inNamespace(manifest)))
	up := harness.StartDNS(t, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) { // nothing else exists
		m := new(dns.Msg).SetRcode(r, dns.RcodeNameError)
		m.RecursionAvailable = true
		soa, _ := dns.NewRR(". 60 IN SOA a. b. 1 2 3 4 60")
		m.Ns = []dns.RR{soa}
		w.WriteMsg(m)
	}))
	block := `.:53 {
		bind %s
		%s
		errors
		minilb minilb {
			kubeconfig ` + kubeconfig + `
			namespaces ` + ns + `
			%s
		}
		cache
		forward . ` + up + `
	}
	`
	s := harness.LaunchCoreDNS(t, harness.CoreDNSBinary, fmt.Sprintf(block, all, "READY", "max_answers 0")+fmt.Sprintf(block, some, "", ""))
	s.Addr = all + ":53"
	s.WaitListening(t)
	s.WaitReady(t)

	const (
		v4   = "10.8.0.1 10.8.0.2"
		v6   = "fd08::1 fd08::2"
		dual = "10.8.1.1 10.8.1.2 fd08::1:1 fd08::1:2"
	)
	lookups := func(suffix string) []lookup {
		list := []lookup{
			{"any", "v4", v4}, {"4", "v4", v4}, {"6", "v4", noAddress},
			{"any", "v6", v6}, {"4", "v6", noAddress}, {"6", "v6", v6},
			{"any", "dual", dual}, {"4", "dual", "10.8.1.1 10.8.1.2"}, {"6", "dual", "fd08::1:1 fd08::1:2"},
			{"any", "empty", noAddress}, {"4", "empty", noAddress}, {"6", "empty", noAddress}, // D18
			{"any", "nope", unknown}, {"4", "nope", unknown}, {"6", "nope", unknown},
		}
		for i := range list {
			list[i].name += suffix
		}
		return list
	}
	upper := lookups(".NS.MINILB")
	for i := range upper {
		upper[i].name = strings.ToUpper(inNamespace(upper[i].name))
	}
	complete := slices.Concat(lookups(".NS.minilb"), lookups(".NS.minilb."), lookups(".stub.example"), upper)
	// What is shorter is found below one of several domains, and what is complete after all of them.
	searched := slices.Concat(lookups(""), lookups(".NS"), complete)

	nameserver := func(addr string) string { // no answer is an error, not a reason to ask again
		return "nameserver " + addr + "\noptions timeout:10 attempts:1\n"
	}
	for name, s := range stubs(t) {
		t.Run(name, func(t *testing.T) {
			if interfaces, _ := os.ReadFile("/proc/net/if_inet6"); name == "Java" && len(interfaces) == 0 {
				t.Skip("Java asks for no IPv6 addresses on a machine that has not even ::1")
			}
			for _, tc := range []struct {
				name, resolvConf string
				lookups          []lookup
			}{
				{"complete", nameserver(all), complete},
				{"search", nameserver(all) + inNamespace("search lan.test NS.minilb minilb\noptions ndots:5\n"), searched},
			} {
				t.Run(tc.name, func(t *testing.T) {
					for q, got := range s.ask(t, tc.resolvConf, tc.lookups, inNamespace) {
						if !s.precise && q.want == noAddress && got == unknown {
							got = noAddress
						}
						if got != q.want {
							t.Errorf("family %s of %s: got %q, want %q", q.family, q.name, got, q.want)
						}
					}
				})
			}
			t.Run("many", func(t *testing.T) {
				for server, most := range map[string]int{all: 40, some: 16} {
					s.askMany(t, nameserver(server), inNamespace("many.NS.minilb"), most)
				}
			})
		})
	}
}

// askMany checks what the stub gets for a name with more addresses than 512 bytes can hold, of
// which the server answers so many of each family (D23, D32).
func (s stub) askMany(t *testing.T, resolvConf, name string, most int) {
	t.Helper()
	asIs := func(name string) string { return name }
	for q, got := range s.ask(t, resolvConf, []lookup{{family: "any", name: name}, {family: "4", name: name}, {family: "6", name: name}}, asIs) {
		addrs := strings.Fields(got)
		if len(slices.Compact(slices.Clone(addrs))) < len(addrs) {
			t.Errorf("family %s of %s: an address is there twice: %q", q.family, name, got)
		}
		for family, prefix := range map[string]string{"4": "10.8.2.", "6": "fd08::2:"} {
			have := len(addrs)
			addrs = slices.DeleteFunc(addrs, func(addr string) bool { return strings.HasPrefix(addr, prefix) })
			have -= len(addrs)
			least, most := most, most
			if q.family != "any" && q.family != family {
				least, most = 0, 0
			} else if s.partial && most > 16 {
				least = 1
			}
			if have < least || have > most {
				t.Errorf("family %s of %s: got %d addresses %s…, want %d to %d: %q", q.family, name, have, prefix, least, most, got)
			}
		}
		if len(addrs) > 0 {
			t.Errorf("family %s of %s: got %q, which are not its addresses", q.family, name, addrs)
		}
	}
}

// stubs builds the programs of testdata/stub.
func stubs(t *testing.T) map[string]stub {
	t.Helper()
	dir := t.TempDir()
	source := func(name string) string {
		path, err := filepath.Abs(filepath.Join("testdata/stub", name))
		harness.Must(t, err)
		return path
	}
	compiled := func(name string, command ...string) []string {
		out := filepath.Join(dir, name)
		cmd := exec.Command(command[0], append(command[1:], "-o", out, source(name))...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // Go's own resolver
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
		}
		return []string{out}
	}
	musl := compiled("stub.c", harness.Program(t, "musl-gcc", "musl-tools"), "-static")
	harness.Must(t, os.Rename(musl[0], musl[0]+".musl"))
	musl[0] += ".musl"
	harness.Program(t, "javac", "default-jdk-headless")
	return map[string]stub{
		"glibc":  {command: compiled("stub.c", harness.Program(t, "cc", "gcc")), precise: true},
		"musl":   {command: musl, partial: true},
		"Go":     {command: compiled("stub.go", "go", "build")},
		"Python": {command: []string{harness.Program(t, "python3", "python3"), source("stub.py")}, precise: true},
		"Java":   {command: []string{harness.Program(t, "java", "default-jdk-headless"), source("Stub.java")}, families: "any"},
	}
}

// ask runs the stub with an /etc of its own, which nobody else sees, and returns what it got.
func (s stub) ask(t *testing.T, resolvConf string, questions []lookup, inNamespace func(string) string) map[lookup]string {
	t.Helper()
	args := []string{"-m", "sh", "-c", `mount --bind /etc "$0/real" && mount --bind "$0/etc" /etc && exec "$@"`, privateEtc(t, resolvConf)}
	args = append(args, s.command...)
	asked := map[string]lookup{}
	for _, q := range questions {
		if s.families == "" || s.families == q.family {
			question := q.family + ":" + inNamespace(q.name)
			asked[question] = q
			args = append(args, question)
		}
	}
	out, err := harness.Run(t, harness.Program(t, "unshare", "util-linux"), args...)
	harness.Must(t, err)
	answers := map[lookup]string{}
	for line := range strings.Lines(out) {
		question, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		q, ok := asked[question]
		if !ok {
			t.Fatalf("%s printed %q, which was not asked for:\n%s", s.command, line, out)
		}
		answers[q] = canonical(answer)
	}
	if len(answers) != len(asked) {
		t.Fatalf("%s: %d answers to %d questions:\n%s", s.command, len(answers), len(asked), out)
	}
	return answers
}

// canonical sorts addresses and writes them as we do, and leaves alone what is none.
func canonical(answer string) string {
	fields := strings.Fields(answer)
	for i, field := range fields {
		addr, err := netip.ParseAddr(field)
		if err != nil {
			return answer
		}
		fields[i] = addr.String()
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}

// privateEtc makes a directory with etc, to be mounted over /etc, in which names are looked up
// as resolvConf says and all else is as it is: links to real, where /etc is mounted before.
func privateEtc(t *testing.T, resolvConf string) string {
	t.Helper()
	dir := t.TempDir()
	etc, real := filepath.Join(dir, "etc"), filepath.Join(dir, "real")
	harness.Must(t, errors.Join(os.Mkdir(etc, 0o755), os.Mkdir(real, 0o755)))
	files := map[string]string{
		"resolv.conf":   resolvConf,
		"nsswitch.conf": "hosts: files dns\n",
		"hosts":         "127.0.0.1 localhost\n",
	}
	entries, err := os.ReadDir("/etc")
	harness.Must(t, err)
	for _, entry := range entries {
		if _, ours := files[entry.Name()]; !ours {
			harness.Must(t, os.Symlink(filepath.Join(real, entry.Name()), filepath.Join(etc, entry.Name())))
		}
	}
	for name, text := range files {
		harness.Must(t, os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644))
	}
	return dir
}

// numbered returns the texts of a format with the numbers from 1.
func numbered(format string, n int) []string {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf(format, i+1))
	}
	return texts
}
