package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// secrets are all that stand in the tenant's namespaces.
func (p *property) secrets() map[spot]*corev1.Secret {
	all := make(map[spot]*corev1.Secret)
	for place := range p.should.namespaces {
		cluster, namespace, _ := strings.Cut(place, "/")
		list, err := p.stack.Cluster(cluster).Admin.CoreV1().Secrets(namespace).List(p.ctx, metav1.ListOptions{})
		p.must(err)
		for i := range list.Items {
			all[spot{cluster, namespace, list.Items[i].Name}] = &list.Items[i]
		}
	}
	return all
}

func (p *property) copiesDiffer() string {
	secrets := p.secrets()
	for at, c := range p.should.stands {
		if secrets[at] == nil {
			return fmt.Sprintf("nothing stands at %v, and %v should", at, c)
		}
	}
	for at, s := range secrets {
		c := p.should.stands[at]
		if c == nil {
			return fmt.Sprintf("at %v stands %v, and nothing should", at, s.ObjectMeta)
		}
		if differs := p.differing(c, s); differs != "" {
			return fmt.Sprintf("at %v should stand %v: %s", at, c, differs)
		}
	}
	return ""
}

// pin notes in which version those stand by now that are nobody's of ours, from which
// nothing is to change them any more.
func (p *property) pin() {
	for at, s := range p.secrets() {
		if c := p.should.stands[at]; len(c.records) == 0 {
			c.resource = s.ResourceVersion
		}
	}
}

func (c *secret) String() string {
	whose := "somebody's Secret"
	if c.whole != "" {
		whose = "a copy of " + c.whole
	} else if len(c.records) > 0 {
		whose = fmt.Sprintf("a Secret that %v share", slices.Sorted(maps.Keys(c.records)))
	}
	return whose
}

// recorded is the record of a share, as the API server has it.
type recorded struct {
	Tenant, Path        string
	Version             int
	Deletes             bool
	Keys                map[string]string
	Labels, Annotations []string
}

const recordOf = ".merge.secretsync.dev/stamp"

// differing says in what a Secret is not what it should be.
func (p *property) differing(c *secret, s *corev1.Secret) string {
	want := map[string]map[string]string{inData: {}, inLabels: {}, inAnnotation: {}}
	for e, x := range c.entries {
		want[e.of][e.name] = x.text
	}
	if len(c.records) > 0 {
		want[inLabels]["secretsync.dev/tenant"] = p.name
	}
	annotations := maps.Clone(s.Annotations)
	if c.whole != "" {
		want[inLabels]["app.kubernetes.io/managed-by"], want[inLabels]["secretsync.dev/name"] = "secretsync", c.whole
		if version := annotations["secretsync.dev/vault-version"]; version != strconv.Itoa(c.records[c.whole].version) {
			return fmt.Sprintf("it bears version %q, not %d", version, c.records[c.whole].version)
		}
		maps.DeleteFunc(annotations, func(name, _ string) bool {
			return strings.HasPrefix(name, "secretsync.dev/") && name != "secretsync.dev/adopt"
		})
	} else if differs := p.recordsDiffer(c, annotations); differs != "" {
		return differs
	}
	if len(c.records) == 0 && c.resource != "" && s.ResourceVersion != c.resource {
		return "it is somebody's, and was touched"
	}
	if c.adopt != nil {
		want[inAnnotation]["secretsync.dev/adopt"] = p.adoption(c.adopt)
	}
	data := make(map[string]string)
	for key, content := range s.Data {
		data[key] = string(content)
	}
	for _, d := range []map[string]string{data, want[inData]} { // whose blanks and order are free
		if text, ok := d[corev1.DockerConfigJsonKey]; ok {
			var v any
			if json.Unmarshal([]byte(text), &v) == nil {
				d[corev1.DockerConfigJsonKey] = textOf(v)
			}
		}
	}
	if string(s.Type) != c.kind {
		return fmt.Sprintf("its type is %s, not %s", s.Type, c.kind)
	}
	for _, what := range []struct {
		of string
		is map[string]string
	}{{inData, data}, {inLabels, s.Labels}, {inAnnotation, annotations}} {
		if len(what.is)+len(want[what.of]) > 0 && !maps.Equal(what.is, want[what.of]) {
			return fmt.Sprintf("its %s are %q, not %q", what.of, what.is, want[what.of])
		}
	}
	return ""
}

// recordsDiffer compares the records of shares, and takes them out of the annotations.
func (p *property) recordsDiffer(c *secret, annotations map[string]string) string {
	found := 0
	for name, text := range maps.Clone(annotations) {
		definition, is := strings.CutSuffix(name, recordOf)
		if !is {
			continue
		}
		found++
		delete(annotations, name)
		var r recorded
		want := c.records[definition]
		if err := json.Unmarshal([]byte(text), &r); err != nil || want == nil {
			return fmt.Sprintf("%v, it bears a record of %s, which has no share: %s", err, definition, text)
		}
		lists := make(map[entry]bool)
		for key := range r.Keys {
			lists[entry{inData, key}] = true
		}
		for _, name := range r.Labels {
			lists[entry{inLabels, name}] = true
		}
		for _, name := range r.Annotations {
			lists[entry{inAnnotation, name}] = true
		}
		for e := range want.wrote {
			if !lists[e] {
				return fmt.Sprintf("the record of %s lacks %v: %s", definition, e, text)
			}
		}
		if len(lists) != len(want.wrote) || r.Tenant != p.name || r.Version != want.version || r.Deletes != want.deletes {
			return fmt.Sprintf("the record of %s is %s, not %v", definition, text, want)
		}
	}
	if found != len(c.records) {
		return fmt.Sprintf("it bears %d records, and should those of %v", found, slices.Sorted(maps.Keys(c.records)))
	}
	return ""
}

// adoption is the annotation that lets definitions take a Secret over.
func (p *property) adoption(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = p.name + "/" + name
	}
	return strings.Join(all, ", ")
}
