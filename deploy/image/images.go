package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// variant is what an image has for one platform.
type variant struct {
	platform v1.Platform
	files    []file
	licences []string
}

// image is one of those that deploy/kustomize names, for all platforms.
type image struct {
	program string
	tag     string
	index   v1.ImageIndex
	first   v1.Image // of the first platform
}

// ports are those of DNS and of the controller's health, by program. They are told, not opened.
var ports = map[string][]string{
	"coredns": {"53/tcp", "53/udp", "8080/tcp", "8181/tcp", "9153/tcp"},
	"minilb":  {"8080/tcp"},
}

// images returns an image for each program. All have all files, in layers that a node keeps once,
// and differ in what they run: "minilb check" is at hand where the DNS server runs.
func (t *tree) images(variants []variant) ([]image, error) {
	images := make([]image, len(programs))
	for i, program := range programs {
		images[i] = image{program: program, tag: strings.ReplaceAll(t.version, "+", "-"), index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	}
	for _, variant := range variants {
		layers, err := t.layers(variant.files)
		if err != nil {
			return nil, err
		}
		for i, program := range programs {
			built, err := t.image(program, variant, layers)
			if err != nil {
				return nil, err
			}
			platform := variant.platform
			images[i].index = mutate.AppendManifests(images[i].index, mutate.IndexAddendum{Add: built, Descriptor: v1.Descriptor{Platform: &platform}})
			if images[i].first == nil {
				images[i].first = built
			}
		}
	}
	for i := range images {
		images[i].index = mutate.Annotations(images[i].index, t.labels(images[i].program, variants[0].licences)).(v1.ImageIndex)
	}
	return images, nil
}

// layers makes one layer of each program and one of the rest, which comes first and changes least.
func (t *tree) layers(files []file) ([]v1.Layer, error) {
	parts := [][]file{files[len(programs):]}
	for i := range programs {
		parts = append(parts, files[i:i+1])
	}
	var layers []v1.Layer
	for _, part := range parts {
		var archived bytes.Buffer
		if err := archive(&archived, part, t.created); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(archived.Bytes())), nil
		}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// image returns the image of a program for one platform.
func (t *tree) image(program string, variant variant, layers []v1.Layer) (v1.Image, error) {
	created := v1.Time{Time: t.created}
	exposed := map[string]struct{}{}
	for _, port := range ports[program] {
		exposed[port] = struct{}{}
	}
	built := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	built, err := mutate.ConfigFile(built, &v1.ConfigFile{
		OS: variant.platform.OS, Architecture: variant.platform.Architecture, Variant: variant.platform.Variant,
		Created: created,
		RootFS:  v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint:   []string{"/" + program},
			User:         fmt.Sprintf("%d:%[1]d", user),
			WorkingDir:   "/",
			Labels:       t.labels(program, variant.licences),
			ExposedPorts: exposed,
		},
	})
	if err != nil {
		return nil, err
	}
	for _, layer := range layers {
		built, err = mutate.Append(built, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "github.com/minilb/minilb/deploy/image"}})
		if err != nil {
			return nil, err
		}
	}
	return built, nil
}

// labels are those of the OCI's image specification.
func (t *tree) labels(program string, licences []string) map[string]string {
	const prefix = "org.opencontainers.image."
	descriptions := map[string]string{
		"coredns": "CoreDNS with the plugin minilb, which answers the names of LoadBalancer Services with their pods",
		"minilb":  "The companion of CoreDNS's plugin minilb: Services' status, routes",
	}
	return map[string]string{
		prefix + "title":       program,
		prefix + "description": descriptions[program],
		prefix + "version":     t.version,
		prefix + "revision":    t.revision,
		prefix + "created":     t.created.Format(time.RFC3339),
		prefix + "source":      repository,
		prefix + "licenses":    strings.Join(licences, " AND "),
	}
}

// deliver brings the images to where the options say, and prints their names and digests.
func deliver(ctx context.Context, opts options, images []image) error {
	var path layout.Path
	if opts.layout != "" {
		if _, err := os.Stat(opts.layout); err == nil {
			return fmt.Errorf("-layout %q is there already; name a new directory", opts.layout)
		}
		var err error
		if path, err = layout.Write(opts.layout, mutate.IndexMediaType(empty.Index, types.OCIImageIndex)); err != nil {
			return fmt.Errorf("-layout: %w", err)
		}
	}
	archived := map[name.Reference]v1.Image{}
	for _, image := range images {
		if opts.layout != "" {
			named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": image.program + ":" + image.tag})
			if err := path.AppendIndex(image.index, named); err != nil {
				return fmt.Errorf("-layout: %w", err)
			}
		}
		if opts.tarball != "" {
			reference, err := name.NewTag("ghcr.io/minilb/" + image.program + ":" + image.tag)
			if err != nil {
				return err
			}
			archived[reference] = image.first
		}
		where := image.program + ":" + image.tag
		if opts.push != "" {
			where = strings.TrimSuffix(opts.push, "/") + "/" + where
			reference, err := name.NewTag(where)
			if err != nil {
				return fmt.Errorf("-push: %w", err)
			}
			if err := remote.WriteIndex(reference, image.index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
				return fmt.Errorf("push %s: %w", reference, err)
			}
		}
		digest, err := image.index.Digest()
		if err != nil {
			return err
		}
		fmt.Printf("%s@%s\n", where, digest)
	}
	if opts.tarball != "" {
		if err := tarball.MultiRefWriteToFile(opts.tarball, archived); err != nil {
			return fmt.Errorf("-tarball: %w", err)
		}
	}
	return nil
}
