package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// user is whom the programs run as: nobody in particular, as in deploy/kustomize.
const user = 65532

// file is one of an image. Its path begins at the root, without a slash.
type file struct {
	path    string
	mode    int64 // permissions
	content []byte
}

// files returns what an image for the platform has, and the licences of it all: the programs first,
// each by itself, then the rest, by path.
func (t *tree) files(ctx context.Context, platform v1.Platform) ([]file, []string, error) {
	out, err := os.MkdirTemp("", "minilb-image-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(out)
	if err := t.build(ctx, platform, out); err != nil {
		return nil, nil, err
	}
	var built, rest []file
	var binaries []binary
	for _, program := range programs {
		content, err := os.ReadFile(filepath.Join(out, program))
		if err != nil {
			return nil, nil, err
		}
		built = append(built, file{program, 0o755, content})
		binary, err := readBinary(program, content)
		if err != nil {
			return nil, nil, err
		}
		binaries = append(binaries, binary)
	}
	modules, err := t.modules(ctx, binaries)
	if err != nil {
		return nil, nil, err
	}
	for _, module := range modules {
		rest = append(rest, module.texts...)
	}
	licence, err := os.ReadFile(filepath.Join(t.dir, "LICENSE"))
	if err != nil {
		return nil, nil, err
	}
	bill, err := t.bill(platform, binaries, modules)
	if err != nil {
		return nil, nil, fmt.Errorf("bill of materials: %w", err)
	}
	rest = append(rest,
		file{"LICENSE", 0o644, licence},
		file{"sbom.spdx.json", 0o644, bill},
		file{"etc/ssl/certs/ca-certificates.crt", 0o644, certificates()},
		file{"etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%[1]d:nonroot:/:/sbin/nologin\n", user)},
		file{"etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", user)},
	)
	slices.SortFunc(rest, func(a, b file) int { return bytes.Compare([]byte(a.path), []byte(b.path)) })
	return append(built, rest...), identifiers(modules), nil
}

// archive writes files, and the directories that they are in, as a tar. It has nothing of this
// machine: all is root's, and of one time.
func archive(w io.Writer, files []file, at time.Time) error {
	out := tar.NewWriter(w)
	made := map[string]bool{".": true}
	var directory func(name string) error
	directory = func(name string) error {
		if made[name] {
			return nil
		}
		made[name] = true
		if err := directory(path.Dir(name)); err != nil {
			return err
		}
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: at, Format: tar.FormatPAX})
	}
	for _, f := range files {
		if err := directory(path.Dir(f.path)); err != nil {
			return err
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: at, Format: tar.FormatPAX}
		if err := out.WriteHeader(&header); err != nil {
			return err
		}
		if _, err := out.Write(f.content); err != nil {
			return err
		}
	}
	return out.Close()
}

// writeFiles writes files below a directory.
func writeFiles(root string, files []file) error {
	for _, f := range files {
		name := filepath.Join(root, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.content, os.FileMode(f.mode)); err != nil {
			return err
		}
	}
	return nil
}
