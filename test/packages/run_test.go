package packages_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/minilb/minilb/test/cluster"
	"github.com/minilb/minilb/test/shipped"
)

// expectRuns runs the programs as a container runtime would: in nothing but the image, as its user,
// with what deploy/kustomize says.
func expectRuns(t *testing.T, image ociImage) {
	t.Helper()
	dir := t.TempDir()
	must(t, image.unpack(dir))
	for p := dir; p != os.TempDir() && len(p) > 1; p = filepath.Dir(p) {
		must(t, os.Chmod(p, 0o755)) // for the image's user
	}
	run := func(args ...string) (string, error) { return output(inside(t, dir, args...)) }

	if out, err := run("/minilb", "version"); err != nil || out != "minilb "+version+" "+runtime.Version()+" linux/"+runtime.GOARCH+" "+revision+"\n" {
		t.Errorf("minilb version: %v, %s", err, out)
	}
	if out, err := run("/coredns", "-version"); err != nil || !strings.Contains(out, " with minilb "+version+"\n") || !strings.Contains(out, ", "+revision+"\n") {
		t.Errorf("coredns -version: %v, %s", err, out)
	}

	started := 0
	for _, container := range containers(t) {
		name, _, _ := strings.Cut(container.image, ":")
		program := strings.TrimPrefix(name, "ghcr.io/minilb/")
		if name == program || len(container.command) > 0 || container.user != 65532 || len(container.args) == 0 {
			t.Errorf("deploy/kustomize runs %+v", container)
			continue
		}
		args := append([]string{"/" + program}, container.args...)
		if program == "minilb" {
			if out, err := run(append(args, "-h")...); err != nil || !strings.Contains(out, "minilb "+container.args[0]+" [flags]") {
				t.Errorf("%q: %v, %s", args, err, out)
			}
			continue
		}
		started++
		expectAnswers(t, dir, args)
	}
	if started != 2 {
		t.Errorf("%d times the DNS server among what deploy/kustomize runs, want the base's and the overlay's", started)
	}
}

// inside is a command in the directory as if there were nothing else, where this is root's process.
func inside(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env, cmd.Dir = []string{}, "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	} else {
		cmd.Path = filepath.Join(dir, args[0])
		for i, arg := range args {
			if i > 0 && strings.HasPrefix(arg, "/") {
				cmd.Args[i] = filepath.Join(dir, arg)
			}
		}
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

// expectAnswers runs the DNS server of the image with a Corefile where its arguments say.
func expectAnswers(t *testing.T, dir string, args []string) {
	t.Helper()
	i := slices.Index(args, "-conf")
	if i < 0 {
		t.Fatalf("no -conf among %q", args)
	}
	addresses, err := cluster.FreeAddrs(1)
	must(t, err)
	address := addresses[0]
	corefile := filepath.Join(dir, args[i+1])
	must(t, os.MkdirAll(filepath.Dir(corefile), 0o755))
	must(t, os.WriteFile(corefile, []byte(".:0 {\n    bind 127.0.0.1\n    health "+address+"\n    forward . tls://127.0.0.1 {\n        tls\n        tls_servername dns.example\n    }\n}\n"), 0o644))

	ctx, stop := context.WithCancel(t.Context())
	cmd := inside(t, dir, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer stop()
	healthy := false
	for deadline := time.Now().Add(20 * time.Second); !healthy && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", nil)
		must(t, err)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			healthy = response.StatusCode == http.StatusOK
		}
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := <-ended; err != nil || !healthy {
		t.Errorf("%q: healthy %v, ended with %v\n%s", args, healthy, err, &said)
	}
}

// container is what deploy/kustomize runs.
type container struct {
	image         string
	command, args []string
	user          int64
}

func containers(t *testing.T) []container {
	t.Helper()
	var all []container
	for _, manifest := range []func() (string, error){shipped.Base, shipped.DaemonSet} {
		text, err := manifest()
		must(t, err)
		text, err = shipped.OfKinds(text, "Deployment", "DaemonSet")
		must(t, err)
		documents, err := shipped.Documents(text)
		must(t, err)
		for _, document := range documents {
			var workload appsv1.Deployment // a DaemonSet has the same template
			must(t, yaml.Unmarshal([]byte(document), &workload))
			spec := workload.Spec.Template.Spec
			for _, c := range spec.Containers {
				all = append(all, container{c.Image, c.Command, c.Args, *spec.SecurityContext.RunAsUser})
			}
		}
	}
	return all
}

var (
	dockerRun   = regexp.MustCompile(`(?m)^RUN (.*)$`)
	dockerStage = regexp.MustCompile(`(?m)^FROM files AS (\S+)\n(?:EXPOSE (.*)\n)ENTRYPOINT (.*)$`)
	dockerUser  = regexp.MustCompile(`(?m)^USER (.*)$`)
)

// dockerfile reads the Dockerfile.
func dockerfile() (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "deploy/image/Dockerfile"))
	return string(text), err
}

// dockerLine returns the command with which the Dockerfile makes /rootfs.
func dockerLine() (string, error) {
	text, err := dockerfile()
	if err != nil {
		return "", err
	}
	line := dockerRun.FindStringSubmatch(text)
	if line == nil {
		return "", errors.New("the Dockerfile has no RUN")
	}
	return line[1], nil
}

// expectDockerfile compares what the Dockerfile makes of rootfs, which its command wrote, with the
// images that are built without a daemon.
func expectDockerfile(t *testing.T, images map[string]map[string]ociImage, rootfs string) {
	t.Helper()
	text, err := dockerfile()
	must(t, err)
	user := dockerUser.FindStringSubmatch(text)
	if user == nil {
		t.Fatal("the Dockerfile has no USER")
	}
	seen := 0
	for name, f := range images["coredns:"+version][platform].files {
		if f.header.FileInfo().IsDir() {
			continue
		}
		seen++
		content, err := os.ReadFile(filepath.Join(rootfs, name))
		if err != nil || digest(content) != digest(f.content) {
			t.Errorf("the Dockerfile makes another %s, %v", name, err)
		}
	}
	if seen < 100 {
		t.Errorf("compared %d files", seen)
	}
	stages := dockerStage.FindAllStringSubmatch(text, -1)
	if len(stages) != 2 {
		t.Fatalf("the Dockerfile has %d targets", len(stages))
	}
	for _, stage := range stages {
		config := images[stage[1]+":"+version][platform].config.Config
		var entrypoint []string
		must(t, json.Unmarshal([]byte(stage[3]), &entrypoint))
		exposed := map[string]struct{}{}
		for _, port := range strings.Fields(stage[2]) {
			exposed[port] = struct{}{}
		}
		same := len(exposed) == len(config.ExposedPorts)
		for port := range exposed {
			_, found := config.ExposedPorts[port]
			same = same && found
		}
		if user[1] != config.User || !slices.Equal(entrypoint, config.Entrypoint) || !same {
			t.Errorf("target %s of the Dockerfile and the image differ: %+v", stage[1], config)
		}
	}
}

// expectDelivered compares what is in the registry, and what the archive has, with what was printed.
func expectDelivered(t *testing.T, delivered delivery) {
	t.Helper()
	lines := strings.Fields(delivered.printed)
	host, repository, _ := strings.Cut(delivered.push, "/")
	for i, name := range []string{"coredns", "minilb"} {
		digest, found := strings.CutPrefix(lines[i], delivered.push+"/"+name+":"+version+"@")
		if !found {
			t.Errorf("it printed %q", lines[i])
		}
		response, err := http.Get("http://" + host + "/v2/" + repository + "/" + name + "/manifests/" + version)
		must(t, err)
		response.Body.Close()
		if got := response.Header.Get("Docker-Content-Digest"); response.StatusCode != http.StatusOK || got != digest {
			t.Errorf("%s: the registry has %s, %s, want %s", name, response.Status, got, digest)
		}
	}
	listed, err := output(exec.Command("tar", "-xOf", delivered.archive, "manifest.json"))
	must(t, err)
	var manifest []struct {
		RepoTags []string
		Layers   []string
	}
	must(t, json.Unmarshal([]byte(listed), &manifest))
	var tags []string
	for _, image := range manifest {
		tags = append(tags, image.RepoTags...)
		if len(image.Layers) != 3 {
			t.Errorf("%v has %d layers", image.RepoTags, len(image.Layers))
		}
	}
	slices.Sort(tags)
	if want := []string{"ghcr.io/minilb/coredns:" + version, "ghcr.io/minilb/minilb:" + version}; !slices.Equal(tags, want) {
		t.Errorf("the archive has %q, want %q", tags, want)
	}
}
