package definition

import (
	"fmt"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// fields are a definition's values as the reader of YAML gives them that
// kubectl and every controller use: what a file means to people who work with
// Kubernetes. The nodes of yaml/v3 only tell where things stand.
type fields struct {
	Name       string         `json:"name"`
	SecretPath string         `json:"secretPath"`
	Sync       []targetFields `json:"sync"`
}

type targetFields struct {
	Cluster    string `json:"cluster"`
	Namespace  string `json:"namespace"`
	SecretName string `json:"secretName"`
}

// agree checks a file in which nothing else is wrong against the second reader.
// The two follow different versions of YAML: to the one, "no" is a text and
// "0o17" a number, to the other it is the other way round. What could be read in
// two ways is refused, so that nobody's tool takes the file for another one.
func (p *parser) agree(f *document) {
	var read fields
	if err := sigsyaml.UnmarshalStrict(f.text, &read); err != nil {
		p.failAt(1, "some readers of YAML can't read the file; write it in the form of the documentation")
		return
	}
	p.agreeOn(f.name.value, "name", read.Name)
	p.agreeOn(f.secretPath.value, "secretPath", read.SecretPath)
	if len(read.Sync) != len(f.targets) {
		p.failAt(1, "some readers of YAML find %d targets in the file and others %d; write it in the form of the documentation", len(read.Sync), len(f.targets))
		return
	}
	for i, t := range f.targets {
		where := fmt.Sprintf("sync[%d]", i)
		p.agreeOn(t.cluster.value, join(where, "cluster"), read.Sync[i].Cluster)
		p.agreeOn(t.namespace.value, join(where, "namespace"), read.Sync[i].Namespace)
		if t.secretName.value != nil {
			p.agreeOn(t.secretName.value, join(where, "secretName"), read.Sync[i].SecretName)
		}
	}
}

func (p *parser) agreeOn(n *yaml.Node, what, read string) {
	if read != n.Value {
		p.fail(n, "%s: some readers of YAML take %s for something else than a text; put it in quotes: %q", what, Quote(n.Value), shorten(n.Value))
	}
}
