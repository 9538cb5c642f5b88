package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// fieldManager is the name under which the cluster's own methods write.
const fieldManager = "test"

// servedTimeout bounds the wait for the API server to serve a new
// CustomResourceDefinition, which takes it a second or two.
const servedTimeout = 30 * time.Second

// Apply applies the objects of a YAML manifest, in its order, by forced
// server-side apply with the field manager "test". Unknown and duplicate fields
// are errors. An object that carries a status has it applied, too, through the
// status subresource, so that one manifest can stand for an object and what its
// controller made of it. An object of a namespaced kind that names no namespace
// goes to "default". After CustomResourceDefinitions, Apply waits until their
// kinds are served.
func (c *Cluster) Apply(ctx context.Context, manifest string) error {
	objects, err := decode(manifest)
	if err != nil {
		return err
	}
	// The API server establishes definitions that follow each other at once.
	var definitions []*unstructured.Unstructured
	served := func() error {
		for _, definition := range definitions {
			if err := c.waitServed(ctx, definition); err != nil {
				return fmt.Errorf("apply %s: %w", describe(definition), err)
			}
		}
		definitions = nil
		return nil
	}
	for _, object := range objects {
		if object.GroupVersionKind().GroupKind() == customResourceDefinition {
			definitions = append(definitions, object)
		} else if err := served(); err != nil {
			return err
		}
		if err := c.apply(ctx, object); err != nil {
			return fmt.Errorf("apply %s: %w", describe(object), err)
		}
	}
	return served()
}

// Delete deletes the objects of a YAML manifest, the last one first, and what
// they own in the background. It does not wait until they are gone. One that
// does not exist is no error.
func (c *Cluster) Delete(ctx context.Context, manifest string) error {
	objects, err := decode(manifest)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	for _, object := range slices.Backward(objects) {
		resource, err := c.resource(object)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err == nil {
			err = resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s: %w", describe(object), err)
		}
	}
	return nil
}

func (c *Cluster) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.resource(object)
	if err != nil {
		return err
	}
	status, hasStatus := object.Object["status"]
	delete(object.Object, "status")
	if err := applyTo(ctx, resource, object); err != nil {
		return err
	}
	if object.GroupVersionKind().GroupKind() == customResourceDefinition {
		// Its published manifests carry a status which the generator left
		// there and which is the API server's to write.
		return nil
	}
	if !hasStatus || status == nil {
		return nil
	}
	bare := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	bare.SetGroupVersionKind(object.GroupVersionKind())
	bare.SetNamespace(object.GetNamespace())
	bare.SetName(object.GetName())
	if err := applyTo(ctx, resource, bare, "status"); err != nil {
		return fmt.Errorf("its status: %w", err)
	}
	return nil
}

// applyTo sends the request itself rather than through the client's Apply,
// which knows no field validation.
func applyTo(ctx context.Context, resource dynamic.ResourceInterface, object *unstructured.Unstructured, subresource ...string) error {
	body, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	force := true
	_, err = resource.Patch(ctx, object.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
		FieldManager:    fieldManager,
		FieldValidation: metav1.FieldValidationStrict,
		Force:           &force,
	}, subresource...)
	return err
}

// resource returns the client for object's kind and namespace. A namespaced
// object gets the namespace it goes to.
func (c *Cluster) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapping(object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return c.Dynamic.Resource(mapping.Resource), nil
	}
	if object.GetNamespace() == "" {
		object.SetNamespace(metav1.NamespaceDefault)
	}
	return c.Dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
}

// mapping finds the resource of a kind, and asks the API server anew for one
// that it does not know.
func (c *Cluster) mapping(kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		return c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	return mapping, err
}

func newMapper(client discovery.DiscoveryInterface) *restmapper.DeferredDiscoveryRESTMapper {
	return restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
}

var customResourceDefinition = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// waitServed waits until every version that a CustomResourceDefinition serves
// can be listed and is found.
func (c *Cluster) waitServed(ctx context.Context, definition *unstructured.Unstructured) error {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	plural, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil {
		return err
	}
	for _, version := range versions {
		fields, _ := version.(map[string]any)
		if served, _ := fields["served"].(bool); !served {
			continue
		}
		name, _ := fields["name"].(string)
		resource := c.Dynamic.Resource(schema.GroupVersionResource{Group: group, Version: name, Resource: plural})
		if err := Wait(ctx, servedTimeout, func() error {
			// What fails longest comes first, and costs least: discovery and the
			// definition itself are some 100 kB each.
			if _, err := resource.List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
				return err
			}
			if _, err := c.mapping(schema.GroupVersionKind{Group: group, Version: name, Kind: kind}); err != nil {
				return err
			}
			return c.established(ctx, definition.GetName())
		}); err != nil {
			return err
		}
	}
	return nil
}

// established returns an error unless a CustomResourceDefinition is, and not
// just one of its name that is gone.
func (c *Cluster) established(ctx context.Context, name string) error {
	definition, err := c.Dynamic.Resource(schema.GroupVersionResource{Group: customResourceDefinition.Group, Version: "v1", Resource: "customresourcedefinitions"}).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	conditions, _, err := unstructured.NestedSlice(definition.Object, "status", "conditions")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(conditions, func(condition any) bool {
		fields, _ := condition.(map[string]any)
		return fields["type"] == "Established" && fields["status"] == "True"
	}) {
		return errors.New("it is not established")
	}
	return nil
}

// decode splits a manifest into its objects; a List stands for its items.
func decode(manifest string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	for number := 1; ; number++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read document %d of the manifest: %w", number, err)
		}
		text, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return nil, fmt.Errorf("decode document %d of the manifest: %w", number, err)
		}
		if string(text) == "null" {
			continue // comments alone
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("decode document %d of the manifest: %w", number, err)
		}
		if !object.IsList() {
			objects = append(objects, object)
			continue
		}
		list, err := object.ToList()
		if err != nil {
			return nil, fmt.Errorf("decode document %d of the manifest: %w", number, err)
		}
		for i := range list.Items {
			objects = append(objects, &list.Items[i])
		}
	}
}

func describe(object *unstructured.Unstructured) string {
	name := object.GetName()
	if namespace := object.GetNamespace(); namespace != "" {
		name = namespace + "/" + name
	}
	return fmt.Sprintf("%s %s", strings.ToLower(object.GetKind()), name)
}
