package packages_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minilb/minilb/test/harness"
)

// debian is what the Debian package unpacks to.
var debian = sync.OnceValues(func() (string, error) {
	delivered, err := delivered()
	if err != nil {
		return "", err
	}
	nfpm, err := tool("test/tools/nfpm", "nfpm")
	if err != nil {
		return "", err
	}
	cmd := command(root, nfpm, "package", "-f", "deploy/nfpm.yaml", "-p", "deb", "-t", filepath.Join(scratch, "minilb.deb"))
	cmd.Env = append(os.Environ(), "VERSION="+strings.TrimPrefix(version, "v"), "ARCH="+runtime.GOARCH, "ROOTFS="+delivered.rootfs, "SOURCE_DATE_EPOCH="+epoch)
	if _, err := output(cmd); err != nil {
		return "", err
	}
	out := filepath.Join(scratch, "debian")
	_, err = output(exec.Command("dpkg-deb", "--raw-extract", filepath.Join(scratch, "minilb.deb"), out))
	return out, err
})

// The Debian package has the programs, which run, the units, a Corefile that is the operator's to
// change, and what the law wants.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	dpkg := harness.Program(t, "dpkg-deb", "dpkg")
	dir, err := debian()
	must(t, err)
	fields, err := output(exec.Command(dpkg, "--field", filepath.Join(scratch, "minilb.deb"), "Package", "Version", "Architecture", "Depends"))
	must(t, err)
	architecture, err := output(exec.Command("dpkg", "--print-architecture"))
	must(t, err)
	if want := "Package: minilb\nVersion: 1.2.3\nArchitecture: " + architecture; fields != want {
		t.Errorf("got\n%swant\n%s", fields, want)
	}
	if conffiles := read(t, dir, "DEBIAN/conffiles"); conffiles != "/etc/minilb/Corefile\n" {
		t.Errorf("the conffiles are %q", conffiles)
	}
	if out, err := output(exec.Command(filepath.Join(dir, "usr/bin/minilb"), "version")); err != nil || !strings.HasPrefix(out, "minilb "+version+" ") {
		t.Errorf("minilb version: %v, %s", err, out)
	}
	if out, err := output(exec.Command(filepath.Join(dir, "usr/lib/minilb/coredns"), "-version")); err != nil || !strings.Contains(out, " with minilb "+version+"\n") {
		t.Errorf("coredns -version: %v, %s", err, out)
	}
	for _, module := range dependencies(t) {
		if texts, err := os.ReadDir(filepath.Join(dir, "usr/share/doc/minilb/licenses", module)); err != nil || len(texts) == 0 {
			t.Errorf("no licence of %s: %v", module, err)
		}
	}
	var top []string
	must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "usr/share/doc/minilb/licenses/") {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s has mode %s", name, info.Mode())
		}
		if !entry.IsDir() {
			top = append(top, name)
		}
		return nil
	}))
	want := []string{
		"DEBIAN/conffiles", "DEBIAN/control", "DEBIAN/md5sums", "DEBIAN/postinst", "DEBIAN/postrm", "DEBIAN/prerm",
		"etc/minilb/Corefile", "usr/bin/minilb", "usr/lib/minilb/coredns",
		"usr/lib/systemd/system/minilb-controller.service", "usr/lib/systemd/system/minilb-dns.service", "usr/lib/systemd/system/minilb-routes.service",
		"usr/share/doc/minilb/README.md", "usr/share/doc/minilb/copyright", "usr/share/doc/minilb/plugin.md", "usr/share/doc/minilb/sbom.spdx.json",
	}
	if slices.Sort(top); !slices.Equal(top, want) {
		t.Errorf("got  %q\nwant %q", top, want)
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		if _, err := output(exec.Command("sh", "-n", filepath.Join(dir, "DEBIAN", script))); err != nil {
			t.Error(err)
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	return string(text)
}
