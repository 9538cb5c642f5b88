//go:build linux

package realcluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/minilb/minilb/test/cluster"
)

// PodImage is an image with the program of this package's directory pod.
const PodImage = "test.local/pod:1"

// BuildImages writes archives of the images that deploy/image builds, with this version, and of PodImage to a
// directory, and returns their paths.
func BuildImages(ctx context.Context, dir, version string) ([]string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	product := filepath.Join(dir, "minilb.tar")
	cmd := exec.CommandContext(ctx, "go", runImage(version, "-tarball", product)...)
	cmd.Dir = filepath.Join(root, "deploy/image")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the images: %w\n%s", err, out)
	}
	pod, err := BuildImage(ctx, dir, PodImage, "./test/realcluster/pod", "-tags=netgo")
	if err != nil {
		return nil, err
	}
	return []string{pod, product}, nil
}

// runImage returns the arguments of go that run deploy/image for this machine.
func runImage(version string, to ...string) []string {
	return append([]string{"run", ".", "-platforms", "linux/" + runtime.GOARCH, "-version", version, "-revision", "test"}, to...)
}

// PushImages brings the images that deploy/image builds into a registry, as minilb/coredns and minilb/minilb, and returns
// their digests by program.
func PushImages(ctx context.Context, registry, version string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "go", runImage(version, "-push", registry+"/minilb")...)
	cmd.Dir = "../../deploy/image"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("push the images: %w\n%s", err, &stderr)
	}
	digests := map[string]string{}
	for line := range strings.Lines(string(out)) {
		image, digest, _ := strings.Cut(strings.TrimSpace(line), "@")
		program, _, _ := strings.Cut(path.Base(image), ":")
		digests[program] = digest
	}
	return digests, nil
}

// BuildImage writes an archive of an image of one layer with one program, as "docker save" does, to a directory and
// returns its path. The program is a command of this project, such as "./cmd/coredns", built with flags of go build.
func BuildImage(ctx context.Context, dir, image, pkg string, flags ...string) (string, error) {
	program, err := cluster.Build(ctx, dir, pkg, flags...)
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	name := filepath.Base(program)
	layer, err := archive(file{name, content, 0o755})
	if err != nil {
		return "", err
	}
	diff := sha256.Sum256(layer)
	id := hex.EncodeToString(diff[:])
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Entrypoint": []string{"/" + name}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + id}},
	})
	if err != nil {
		return "", err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{image}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return "", err
	}
	content, err = archive(file{"config.json", config, 0o644}, file{"layer.tar", layer, 0o644}, file{"manifest.json", manifest, 0o644})
	if err != nil {
		return "", err
	}
	out := program + ".image.tar"
	return out, os.WriteFile(out, content, 0o644)
}

type file struct {
	name    string
	content []byte
	mode    int64
}

func archive(files ...file) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: f.mode}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}
