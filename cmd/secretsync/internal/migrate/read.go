package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
)

// The groups whose resources are read.
const (
	groupExternal   = "external-secrets.io"
	groupGenerators = "generators.external-secrets.io"
	groupVault      = "secrets.hashicorp.com"
)

// Resource is one resource of one of the two controllers.
type Resource struct {
	file           string
	line           int
	group, version string
	kind           string
	namespace      string // empty where it gives none
	name           string
	owners         []owner
	spec, status   *object
	labels         *object // that the controller copies onto the Secret
	annotations    *object
	wrong          *[]mistake
}

// owner is who made a resource.
type owner struct{ kind, name string }

// ours reports whether the resource is of one of the two controllers.
func (r *Resource) ours() bool {
	return r.group == groupExternal || r.group == groupGenerators || r.group == groupVault
}

func (r *Resource) finding(w Weight, line int, field, reason, remedy string) Finding {
	return Finding{Weight: w, File: r.file, Line: line, Kind: plain(r.kind), Namespace: plainOrEmpty(r.namespace), Name: plainOrEmpty(r.name),
		Field: field, Reason: reason, Remedy: remedy, of: r}
}

func plainOrEmpty(s string) string {
	if s == "" {
		return ""
	}
	return plain(s)
}

// Read takes the resources out of a text: YAML of any number of documents, or
// JSON, with Lists taken apart. Resources of other controllers and of Kubernetes
// itself are among them; [Convert] passes them over. file is the text's name in
// findings. The error says where the text can't be read.
func Read(file string, text []byte) (resources []*Resource, err error) {
	// The library is known to panic on some texts that are no YAML.
	defer func() {
		if recover() != nil {
			resources, err = nil, fmt.Errorf("%s: is no YAML that can be read", file)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return resources, nil
		case err != nil:
			return nil, unreadable(file, err)
		}
		if len(document.Content) == 0 || isNull(document.Content[0]) {
			continue // a document of comments
		}
		read, err := readDocument(file, document.Content[0])
		if err != nil {
			return nil, err
		}
		resources = append(resources, read...)
	}
}

// unreadable says where a text is no YAML. The library's message can quote what
// it read, so only its line is passed on.
func unreadable(file string, err error) error {
	var line int
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scan := fmt.Sscanf(text, "line %d:", &line); scan != nil {
		return fmt.Errorf("%s: is no YAML that can be read; if it is a template, render it first", file)
	}
	return fmt.Errorf("%s:%d: is no YAML from here on; if it is a template, render it first", file, line)
}

func readDocument(file string, root *yaml.Node) ([]*Resource, error) {
	r, err := readResource(file, root)
	if err != nil {
		return nil, err
	}
	if items := r.items; strings.HasSuffix(r.kind, "List") && items != nil {
		var list []*Resource
		for _, item := range items.Content {
			one, err := readResource(file, item)
			if err != nil {
				return nil, err
			}
			list = append(list, one.Resource)
		}
		return list, nil
	}
	return []*Resource{r.Resource}, nil
}

// envelope is a resource, or a list of some.
type envelope struct {
	*Resource
	items *yaml.Node
}

func readResource(file string, root *yaml.Node) (envelope, error) {
	if root.Kind != yaml.MappingNode {
		return envelope{}, fmt.Errorf("%s:%d: is no resource: it has no apiVersion and kind", file, root.Line)
	}
	wrong := new([]mistake)
	o := newObject("", root, root.Line, wrong)
	r := &Resource{file: file, line: root.Line, kind: o.text("kind"), wrong: wrong}
	group, version, found := strings.Cut(o.text("apiVersion"), "/")
	if r.group, r.version = group, version; !found {
		r.group, r.version = "", group // v1 of Kubernetes itself
	}
	if r.kind == "" || r.version == "" {
		return envelope{}, fmt.Errorf("%s:%d: is no resource: it has no apiVersion and kind", file, root.Line)
	}
	metadata := o.object("metadata")
	r.name, r.namespace = metadata.text("name"), metadata.text("namespace")
	r.labels, r.annotations = metadata.object("labels"), metadata.object("annotations")
	for _, reference := range metadata.objects("ownerReferences") {
		r.owners = append(r.owners, owner{reference.text("kind"), reference.text("name")})
	}
	r.spec, r.status = o.object("spec"), o.object("status")
	items := o.field("items")
	if items != nil && items.Kind != yaml.SequenceNode {
		items = nil
	}
	if r.ours() {
		// Below spec and status there is nothing to convert.
		o.unread(func(line int, field string) {
			switch {
			case strings.Contains(field, "."):
			case field == "items":
			default:
				*wrong = append(*wrong, mistake{line, field, "is not known"})
			}
		})
		if _, err := definition.ParseSecretName(r.name); err != nil {
			*wrong = append(*wrong, mistake{metadata.line("name"), "metadata.name", "is no name that Kubernetes allows"})
		}
	}
	return envelope{r, items}, nil
}
