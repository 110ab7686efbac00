package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"secretsync/reconcile/fault"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
)

// value writes a value anew, or takes it away.
func (p *property) value() {
	path := fmt.Sprintf("p%d", p.rand.IntN(4))
	v := p.should.values[path]
	switch {
	case v != nil && !v.deleted && p.oneIn(8):
		p.must(p.stack.Vault.Client.KVv2("secret").Delete(p.ctx, p.name+"/"+path))
		v.deleted = true
		p.did = "the deletion of value " + path
	default:
		p.write(path)
		p.did = fmt.Sprintf("a new value at %s with %q", path, slices.Sorted(maps.Keys(p.should.values[path].data)))
	}
	for name, s := range p.should.definition {
		if slices.Contains(s.paths(), path) {
			p.r.SyncNow(p.tenant(), p.parse(name))
		}
	}
}

// write puts a new version of a value into the vault.
func (p *property) write(path string) {
	version := p.put(path, p.anyValue())
	read, err := p.stack.Vault.Client.KVv2("secret").Get(p.ctx, p.name+"/"+path) // the vault keeps no number of many digits as it was
	p.must(err)
	p.should.values[path] = &modelValue{data: read.Data, version: version}
}

// labelled has a namespace get, change or lose a label.
func (p *property) labelled() {
	cluster, namespace := p.some("production", "staging"), p.should.granted[1+p.rand.IntN(3)]
	team := p.some("x", "y", "")
	labels := map[string]string{"team": team}
	text := fmt.Sprintf(`{"team":%q}`, team)
	if team == "" {
		labels, text = map[string]string{}, `{"team":null}`
	}
	p.did = fmt.Sprintf("namespace %s of %s with labels %s", namespace, cluster, text)
	p.label(cluster, namespace, text)
	p.should.namespaces[cluster+"/"+namespace] = labels
}

// madeBySomebody makes a Secret that is none of ours.
func (p *property) madeBySomebody(at spot, c *secret) {
	p.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: at.namespace, Name: at.secret, Labels: make(map[string]string)}, Data: make(map[string][]byte)}
	for e, x := range c.entries {
		switch e.of {
		case inData:
			s.Data[e.name] = []byte(x.text)
		case inLabels:
			s.Labels[e.name] = x.text
		}
	}
	if c.adopt != nil {
		s.Annotations = map[string]string{"secretsync.dev/adopt": p.adoption(c.adopt)}
	}
	p.create(at.cluster, s)
	p.should.stands[at] = c
}

// once reports whether a place may be meddled with: more than a few times is a fight,
// which others test.
func (p *property) once(at spot) bool {
	if p.meddled[at] >= 4 {
		return false
	}
	p.meddled[at]++
	return true
}

// anySpot is one of some, in an order that is always the same.
func (p *property) anySpot(some func(spot, *secret) bool) (spot, bool) {
	var all []spot
	for at, c := range p.should.stands {
		if some(at, c) {
			all = append(all, at)
		}
	}
	if len(all) == 0 {
		return spot{}, false
	}
	slices.SortFunc(all, func(a, b spot) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all[p.rand.IntN(len(all))], true
}

func (at spot) place() string { return at.cluster + "/" + at.namespace + "/" + at.secret }

// meddle has somebody edit or delete a copy that is right.
func (p *property) meddle() {
	at, ok := p.anySpot(func(at spot, c *secret) bool {
		return c.whole != "" && slices.Equal(p.want[c.whole][at], []fault.Reason{fault.ReasonSynced})
	})
	if !ok || !p.once(at) {
		return
	}
	c := p.should.stands[at]
	kind := p.rand.IntN(4)
	p.did = fmt.Sprintf("meddling %d with %v", kind, at)
	if kind == 0 {
		p.world.delete(at.place())
		delete(p.should.stands, at)
		return
	}
	p.edit(at.place(), func(s *corev1.Secret) {
		switch kind {
		case 1:
			s.Data["edited"] = []byte("by hand")
		case 2:
			s.Labels["hand"] = "x"
			c.set(entry{inLabels, "hand"}, "x")
		case 3:
			delete(s.Annotations, "reloader.example/match")
			delete(s.Labels, "team")
			s.Labels["secretsync.dev/name"] = "another"
		}
	})
}

// interfere has somebody change a Secret that is shared, or is his own: what is ours, what
// is not, and what he lets us have.
func (p *property) interfere() {
	at, ok := p.anySpot(func(_ spot, c *secret) bool { return c.whole == "" })
	if !ok || len(p.should.stands[at].records) > 0 && !p.once(at) {
		return
	}
	c := p.should.stands[at]
	p.made++
	text := fmt.Sprintf("by hand %d", p.made)
	key := p.some("a", "b.c", "k", "theirs", "more")
	switch kind := p.rand.IntN(8); kind {
	case 0:
		p.did = fmt.Sprintf("the deletion of %v", at)
		p.world.delete(at.place())
		delete(p.should.stands, at)
	case 1:
		p.did = fmt.Sprintf("the removal of key %s from %v", key, at)
		p.edit(at.place(), func(s *corev1.Secret) { delete(s.Data, key) })
		delete(c.entries, entry{inData, key})
	case 2:
		declares := make(map[string]string)
		raw := make(map[string][]byte)
		for range p.rand.IntN(3) {
			name := p.some("a", "b.c", "k", "theirs")
			declares[name], raw[name] = text, []byte(text)
		}
		p.did = fmt.Sprintf("the declaration of keys %v in %v", slices.Sorted(maps.Keys(declares)), at)
		_, err := p.stack.Cluster(at.cluster).Admin.CoreV1().Secrets(at.namespace).Apply(p.ctx,
			applyv1.Secret(at.secret, at.namespace).WithData(raw), metav1.ApplyOptions{FieldManager: "argocd", Force: true})
		p.must(err)
		c.declare(declares)
	case 3:
		names := [][]string{nil, {"def-5"}, {"def-6", "def-7"}, {"def-0", "def-5"}}[p.rand.IntN(4)]
		p.did = fmt.Sprintf("%v being handed to %v", at, names)
		p.edit(at.place(), func(s *corev1.Secret) {
			if delete(s.Annotations, "secretsync.dev/adopt"); names != nil {
				if s.Annotations == nil {
					s.Annotations = make(map[string]string)
				}
				s.Annotations["secretsync.dev/adopt"] = p.adoption(names)
			}
		})
		c.adopt = names
	case 4:
		label := p.some("team", "tier", "hand")
		p.did = fmt.Sprintf("the label %s on %v", label, at)
		p.edit(at.place(), func(s *corev1.Secret) {
			if s.Labels == nil {
				s.Labels = make(map[string]string)
			}
			s.Labels[label] = "x"
		})
		c.set(entry{inLabels, label}, "x")
	default:
		p.did = fmt.Sprintf("an edit of key %s in %v", key, at)
		p.edit(at.place(), func(s *corev1.Secret) {
			if s.Data == nil {
				s.Data = make(map[string][]byte)
			}
			s.Data[key] = []byte(text)
		})
		c.set(entry{inData, key}, text)
	}
	if s := p.get(at.place()); s != nil {
		c.resource = s.ResourceVersion
	}
}
