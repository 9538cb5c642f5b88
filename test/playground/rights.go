package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// base is what a user of the cluster would apply, below the root of the repository.
const base = "deploy/kustomize/base"

// tokenLifetime is longer than anybody plays.
const tokenLifetime = 30 * 24 * time.Hour

// rights are what the daemons may do.
type rights struct {
	namespace, manifest string

	dns, controller string // paths of kubeconfigs
}

// grantRights applies the ServiceAccounts and their RBAC as they are shipped, and issues tokens
// of them: what works here works with no more rights in a cluster.
func (p *playground) grantRights(ctx context.Context) error {
	if err := p.cluster.Apply(ctx, p.rights.manifest); err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	for account, kubeconfig := range map[string]*string{
		"minilb-dns":        &p.rights.dns,
		"minilb-controller": &p.rights.controller,
	} {
		token, err := p.cluster.ServiceAccountToken(ctx, p.rights.namespace, account, tokenLifetime)
		if err != nil {
			return err
		}
		if *kubeconfig, err = p.cluster.TokenKubeconfig(token); err != nil {
			return err
		}
	}
	return nil
}

// readRights does as much of kustomize's work as it takes: of the resources in
// kustomization.yaml it keeps those that grant rights, and puts them into its namespace.
func (p *playground) readRights(ctx context.Context) error {
	output, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("ask go for the module: %w", err)
	}
	gomod := string(bytes.TrimSpace(output))
	if filepath.Base(gomod) != "go.mod" {
		return errors.New("run this in the repository of minilb")
	}
	dir := filepath.Join(filepath.Dir(gomod), filepath.FromSlash(base))
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		return fmt.Errorf("%w: run this in the repository of minilb", err)
	}
	var kustomization struct {
		Namespace string   `json:"namespace"`
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return fmt.Errorf("read %s/kustomization.yaml: %w", base, err)
	}
	var manifest bytes.Buffer
	for _, name := range kustomization.Resources {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = copyRights(&manifest, text, kustomization.Namespace)
		}
		if err != nil {
			return fmt.Errorf("read %s/%s: %w", base, name, err)
		}
	}
	p.rights.namespace, p.rights.manifest = kustomization.Namespace, manifest.String()
	return nil
}

// copyRights writes the objects of a manifest that grant rights.
func copyRights(w io.Writer, manifest []byte, namespace string) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return err
		}
		namespaced := []string{"ServiceAccount", "Role", "RoleBinding"}
		switch {
		case slices.Contains(namespaced, object.GetKind()):
			object.SetNamespace(namespace)
		case slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding"}, object.GetKind()):
		default:
			continue
		}
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "---\n%s", text)
	}
}
