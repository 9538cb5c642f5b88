package packages_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// descriptor is one of the OCI's image specification.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    *ociPlatform      `json:"platform"`
}

type ociPlatform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p ociPlatform) String() string {
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

// ociImage is an image for one platform, taken apart.
type ociImage struct {
	platform string
	layers   []descriptor
	files    map[string]ociFile // by path without the slash that it begins with
	config   struct {
		ociPlatform
		Created string `json:"created"`
		Config  struct {
			User         string              `json:"User"`
			Entrypoint   []string            `json:"Entrypoint"`
			Cmd          []string            `json:"Cmd"`
			WorkingDir   string              `json:"WorkingDir"`
			Labels       map[string]string   `json:"Labels"`
			ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		} `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
}

type ociFile struct {
	header  tar.Header
	content []byte
}

// ociLayout is a directory with images.
type ociLayout string

// blob reads what a descriptor names, and compares it with that.
func (l ociLayout) blob(t *testing.T, d descriptor) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(string(l), "blobs", strings.Replace(d.Digest, ":", "/", 1)))
	must(t, err)
	if got := digest(content); got != d.Digest || int64(len(content)) != d.Size {
		t.Errorf("%s of %d bytes has %d and the digest %s", d.Digest, d.Size, len(content), got)
	}
	return content
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// images reads a layout: the images by name and tag, each by platform.
func (l ociLayout) images(t *testing.T) (images map[string]map[string]ociImage, digests map[string]string) {
	t.Helper()
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	content, err := os.ReadFile(filepath.Join(string(l), "index.json"))
	must(t, err)
	must(t, json.Unmarshal(content, &index))
	images, digests = map[string]map[string]ociImage{}, map[string]string{}
	for _, named := range index.Manifests {
		name := named.Annotations["org.opencontainers.image.ref.name"]
		digests[name] = named.Digest
		images[name] = map[string]ociImage{}
		var platforms struct {
			Manifests []descriptor `json:"manifests"`
		}
		must(t, json.Unmarshal(l.blob(t, named), &platforms))
		for _, d := range platforms.Manifests {
			images[name][d.Platform.String()] = l.image(t, d)
		}
	}
	return images, digests
}

func (l ociLayout) image(t *testing.T, d descriptor) ociImage {
	t.Helper()
	var manifest struct {
		Config descriptor   `json:"config"`
		Layers []descriptor `json:"layers"`
	}
	must(t, json.Unmarshal(l.blob(t, d), &manifest))
	image := ociImage{platform: d.Platform.String(), layers: manifest.Layers, files: map[string]ociFile{}}
	must(t, json.Unmarshal(l.blob(t, manifest.Config), &image.config))
	if len(image.config.RootFS.DiffIDs) != len(manifest.Layers) {
		t.Fatalf("%d layers, and %d in the configuration", len(manifest.Layers), len(image.config.RootFS.DiffIDs))
	}
	for i, layer := range manifest.Layers {
		packed, err := gzip.NewReader(bytes.NewReader(l.blob(t, layer)))
		must(t, err)
		archived, err := io.ReadAll(packed)
		must(t, err)
		if got := digest(archived); got != image.config.RootFS.DiffIDs[i] {
			t.Errorf("layer %s unpacked is %s, the configuration says %s", layer.Digest, got, image.config.RootFS.DiffIDs[i])
		}
		for entries := tar.NewReader(bytes.NewReader(archived)); ; {
			header, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			content, err := io.ReadAll(entries)
			must(t, err)
			name := strings.TrimSuffix(header.Name, "/")
			if _, twice := image.files[name]; twice && header.Typeflag != tar.TypeDir {
				t.Errorf("%s is there twice", name)
			}
			image.files[name] = ociFile{*header, content}
		}
	}
	return image
}

// unpack writes the image's files below dir.
func (i ociImage) unpack(dir string) error {
	for name, f := range i.files {
		path := filepath.Join(dir, name)
		if f.header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if f.header.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is no file and no directory", name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.content, f.header.FileInfo().Mode()); err != nil {
			return err
		}
	}
	return nil
}
