package packages_test

import (
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minilb/minilb/test/harness"
)

// platforms are those that are handed out, and what their programs are.
var platforms = map[string]struct {
	machine elf.Machine
	class   elf.Class
}{
	"linux/amd64":  {elf.EM_X86_64, elf.ELFCLASS64},
	"linux/arm64":  {elf.EM_AARCH64, elf.ELFCLASS64},
	"linux/arm/v7": {elf.EM_ARM, elf.ELFCLASS32},
}

// The images are built without a daemon, from any directory with one digest, and hold what they
// must: static programs that run as nobody, in nothing but the image; licences, certificates and the
// bill of materials of what is linked.
func TestImage(t *testing.T) {
	t.Parallel()
	delivered, err := delivered()
	must(t, err)
	images := expectImages(t, delivered.layout, delivered.push+"/", platform, delivered.printed)
	expectRuns(t, images["coredns:"+version][platform])
	expectDelivered(t, delivered)
	expectDockerfile(t, images, delivered.rootfs)
}

// With MINILB_FULL=1 the images are built for all platforms, and again in another place without what
// has been compiled before.
func TestImagePlatforms(t *testing.T) {
	if !harness.Full {
		t.Skip("takes minutes: MINILB_FULL=1 runs it")
	}
	list := strings.Join(slices.Sorted(maps.Keys(platforms)), ",")
	layout := ociLayout(filepath.Join(t.TempDir(), "layout"))
	printed, err := buildImages(nil, root, "-platforms", list, "-layout", string(layout))
	must(t, err)
	expectImages(t, layout, "", list, printed)
	again, err := buildImages([]string{"GOCACHE=" + t.TempDir()}, copyTree(t), "-platforms", list, "-layout", filepath.Join(t.TempDir(), "again"))
	must(t, err)
	if again != printed {
		t.Errorf("built elsewhere, they are\n%swant\n%s", again, printed)
	}
}

// expectImages checks all that is in a layout, and what was printed of it.
func expectImages(t *testing.T, layout ociLayout, prefix, list, printed string) map[string]map[string]ociImage {
	t.Helper()
	images, digests := layout.images(t)
	if want := fmt.Sprintf("%[1]scoredns:%[2]s@%[3]s\n%[1]sminilb:%[2]s@%[4]s\n", prefix, version, digests["coredns:"+version], digests["minilb:"+version]); printed != want {
		t.Errorf("it printed\n%swant\n%s", printed, want)
	}
	for _, name := range []string{"coredns", "minilb"} {
		image := images[name+":"+version]
		if got := strings.Join(slices.Sorted(maps.Keys(image)), ","); got != list {
			t.Fatalf("%s: got platforms %s, want %s", name, got, list)
		}
		for _, variant := range image {
			expectConfig(t, name, variant)
			expectFiles(t, variant)
			expectBill(t, variant)
			if !slices.EqualFunc(variant.layers, images["coredns:"+version][variant.platform].layers, func(a, b descriptor) bool { return a.Digest == b.Digest }) {
				t.Errorf("%s: the images' layers differ", variant.platform)
			}
		}
	}
	return images
}

// expectConfig checks what a container runtime is told.
func expectConfig(t *testing.T, program string, image ociImage) {
	t.Helper()
	config := image.config.Config
	if config.User != "65532:65532" || !slices.Equal(config.Entrypoint, []string{"/" + program}) || config.Cmd != nil || config.WorkingDir != "/" {
		t.Errorf("%s: the configuration is %+v", program, config)
	}
	if image.config.ociPlatform.String() != image.platform || image.config.Created != "2023-11-14T22:13:20Z" {
		t.Errorf("%s: made for %s at %s", program, image.config.ociPlatform, image.config.Created)
	}
	for label, want := range map[string]string{
		"title":    program,
		"version":  version,
		"revision": revision,
		"created":  "2023-11-14T22:13:20Z",
		"source":   "https://github.com/minilb/minilb",
		"licenses": "Apache-2.0 AND BSD-3-Clause AND CC0-1.0 AND ISC AND MIT AND MPL-2.0",
	} {
		if got := config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("%s: label %s: got %q, want %q", program, label, got, want)
		}
	}
}

// expectFiles checks that an image has what it must and nothing else, and nothing of this machine.
func expectFiles(t *testing.T, image ociImage) {
	t.Helper()
	made := time.Unix(1700000000, 0)
	for name, f := range image.files {
		h := f.header
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(made) || h.Mode&0o022 != 0 || h.Mode&0o044 != 0o044 {
			t.Errorf("%s: %+v", name, h)
		}
		if top, _, _ := strings.Cut(name, "/"); !slices.Contains([]string{"coredns", "minilb", "LICENSE", "licenses", "etc", "sbom.spdx.json"}, top) {
			t.Errorf("%s is not expected", name)
		}
	}
	want := platforms[image.platform]
	for _, name := range []string{"coredns", "minilb"} {
		program, err := elf.NewFile(bytes.NewReader(image.files[name].content))
		must(t, err)
		if program.Machine != want.machine || program.Class != want.class {
			t.Errorf("%s: %s is for %s, %s", image.platform, name, program.Machine, program.Class)
		}
		if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("%s: %s takes %v, %v", image.platform, name, libraries, err)
		}
		for _, segment := range program.Progs {
			if segment.Type == elf.PT_INTERP {
				t.Errorf("%s: %s takes a dynamic linker", image.platform, name)
			}
		}
	}
	licence, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	must(t, err)
	if !bytes.Equal(image.files["LICENSE"].content, licence) {
		t.Error("/LICENSE is not ours")
	}
	for _, module := range append(dependencies(t), "std@") {
		found := false
		for name, f := range image.files {
			found = found || strings.HasPrefix(name, path.Join("licenses", module)) && strings.Count(string(f.content), "\n") > 2
		}
		if !found {
			t.Errorf("no licence of %s", module)
		}
	}
	roots := 0
	for rest := image.files["etc/ssl/certs/ca-certificates.crt"].content; len(rest) > 0; roots++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("the certificates are no PEM")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !certificate.IsCA {
			t.Errorf("no root certificate: %v", err)
		}
	}
	if roots < 100 {
		t.Errorf("%d root certificates, want those of Mozilla", roots)
	}
}

var dependency = regexp.MustCompile(`(?m)^\| (\S+\.\S+) \| (v\S+) \|`)

// dependencies returns what deploy/DEPENDENCIES.md says is linked, as module@version.
func dependencies(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy/DEPENDENCIES.md"))
	must(t, err)
	var all []string
	for _, match := range dependency.FindAllStringSubmatch(string(text), -1) {
		all = append(all, match[1]+"@"+match[2])
	}
	if len(all) < 50 {
		t.Fatalf("read %d modules from deploy/DEPENDENCIES.md", len(all))
	}
	return all
}

// expectBill compares the bill of materials with what is there.
func expectBill(t *testing.T, image ociImage) {
	t.Helper()
	var bill struct {
		SPDXVersion string `json:"spdxVersion"`
		SPDXID      string
		Namespace   string `json:"documentNamespace"`
		License     string `json:"dataLicense"`
		Creation    struct {
			Created  string   `json:"created"`
			Creators []string `json:"creators"`
		} `json:"creationInfo"`
		Packages []struct {
			SPDXID    string
			Name      string `json:"name"`
			Version   string `json:"versionInfo"`
			License   string `json:"licenseConcluded"`
			Location  string `json:"downloadLocation"`
			Checksums []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"checksumValue"`
			} `json:"checksums"`
		} `json:"packages"`
		Relationships []struct {
			From string `json:"spdxElementId"`
			Is   string `json:"relationshipType"`
			To   string `json:"relatedSpdxElement"`
		} `json:"relationships"`
	}
	must(t, json.Unmarshal(image.files["sbom.spdx.json"].content, &bill))
	if bill.SPDXVersion != "SPDX-2.3" || bill.SPDXID != "SPDXRef-DOCUMENT" || bill.License != "CC0-1.0" || !strings.HasPrefix(bill.Namespace, "https://") ||
		bill.Creation.Created != "2023-11-14T22:13:20Z" || len(bill.Creation.Creators) != 1 || !strings.HasPrefix(bill.Creation.Creators[0], "Tool: ") {
		t.Errorf("the bill of materials begins with %+v", bill.Creation)
	}
	ids, listed := map[string]string{}, map[string]bool{}
	for _, p := range bill.Packages {
		if ids[p.SPDXID] != "" || !regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`).MatchString(p.SPDXID) {
			t.Errorf("%s and %s are %q", ids[p.SPDXID], p.Name, p.SPDXID)
		}
		ids[p.SPDXID] = p.Name
		listed[p.Name+"@"+p.Version] = true
		if p.License == "" || p.Location == "" {
			t.Errorf("nothing is said of where %s is from, or of its licence", p.Name)
		}
		if f, ok := image.files[p.Name]; ok && (len(p.Checksums) != 1 || p.Checksums[0].Algorithm != "SHA256" || "sha256:"+p.Checksums[0].Value != digest(f.content)) {
			t.Errorf("%s has the checksums %v", p.Name, p.Checksums)
		}
	}
	links := map[string]int{}
	for _, r := range bill.Relationships {
		if r.Is == "STATIC_LINK" {
			links[ids[r.From]]++
		}
	}
	if image.platform == platform { // another may link others
		for _, name := range append(dependencies(t), "coredns@"+version, "minilb@"+version) {
			if !listed[name] {
				t.Errorf("the bill of materials has no %s", name)
			}
		}
	}
	if links["coredns"] < 80 || links["minilb"] < 40 || links["minilb"] >= links["coredns"] {
		t.Errorf("modules linked: %v", links)
	}
}

// copyTree returns a copy of what is in the repository, without its history.
func copyTree(t *testing.T) string {
	t.Helper()
	elsewhere := filepath.Join(t.TempDir(), "a", "copy of the source")
	must(t, os.MkdirAll(elsewhere, 0o755))
	for _, part := range []string{"cmd", "plugin", "deploy", "go.mod", "go.sum", "LICENSE"} {
		_, err := output(exec.Command("cp", "-r", filepath.Join(root, part), elsewhere))
		must(t, err)
	}
	return elsewhere
}
