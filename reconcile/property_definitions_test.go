package reconcile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fields are those that are given, as in JSON.
func (s *spec) fields() map[string]any {
	f := make(map[string]any)
	if s.kind != "" {
		f["type"] = s.kind
	}
	if s.mode != "" {
		f["mode"] = s.mode
	}
	if s.data != nil {
		data := make(map[string]any)
		for key, from := range s.data {
			m := make(map[string]any)
			for name, text := range map[string]string{"path": from.path, "key": from.key, "field": from.field, "decode": from.decode} {
				if text != "" {
					m[name] = text
				}
			}
			if from.template != nil {
				m["template"] = templateOf(from.template)
			}
			data[key] = m
		}
		f["data"] = data
	}
	if s.labels != nil {
		f["labels"] = s.labels
	}
	if s.annotations != nil {
		f["annotations"] = s.annotations
	}
	if s.policy != "" {
		f["deletionPolicy"] = s.policy
	}
	if s.suspend != nil {
		f["suspend"] = *s.suspend
	}
	if s.interval != "" {
		f["refreshInterval"] = s.interval
	}
	sync := []any{}
	for _, w := range s.sync {
		m := map[string]any{"cluster": w.cluster}
		switch w.operator {
		case "":
			m["namespace"] = w.namespace
		case "matchLabels":
			m["namespaceSelector"] = map[string]any{"matchLabels": map[string]any{"team": w.teams[0]}}
		default:
			e := map[string]any{"key": "team", "operator": w.operator}
			if w.teams != nil {
				e["values"] = w.teams
			}
			m["namespaceSelector"] = map[string]any{"matchExpressions": []any{e}}
		}
		if w.secret != "" {
			m["secretName"] = w.secret
		}
		if w.restart != nil {
			m["restart"] = w.restart
		}
		sync = append(sync, m)
	}
	f["sync"] = sync
	return f
}

func templateOf(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		switch {
		case p.key == "":
			b.WriteString(p.text)
		case p.function == "get":
			fmt.Fprintf(&b, "{{ get . %q | default \"none\" }}", p.key)
		case p.function != "":
			fmt.Fprintf(&b, "{{ .%s | %s }}", p.key, p.function)
		default:
			fmt.Fprintf(&b, "{{ .%s }}", p.key)
		}
	}
	return b.String()
}

// written is a file as people write it.
func (p *property) written(s *spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Owned by somebody.\nname: %s\nsecretPath: %s # where it lies\n", s.name, s.path)
	fields := s.fields()
	names := slices.Sorted(maps.Keys(fields))
	p.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, name := range names {
		if p.oneIn(3) {
			fmt.Fprintf(&b, "# above %s\n", name)
		}
		block, isMap := fields[name].(map[string]any)
		if marks, ok := fields[name].(map[string]string); ok {
			block, isMap = make(map[string]any), true
			for key, text := range marks {
				block[key] = text
			}
		}
		list, isList := fields[name].([]any)
		remark := p.some("", " # remark", "  # another: {remark}")
		switch {
		case isMap && len(block) > 0 && p.oneIn(2):
			fmt.Fprintf(&b, "%s:%s\n", name, remark)
			for _, key := range slices.Sorted(maps.Keys(block)) {
				fmt.Fprintf(&b, "  %q: %s%s\n", key, flow(block[key]), p.some("", " # of "+key))
			}
		case isList && len(list) > 0 && p.oneIn(2):
			fmt.Fprintf(&b, "%s:%s\n", name, remark)
			for _, item := range list {
				fmt.Fprintf(&b, "  - %s%s\n", flow(item), p.some("", " # here"))
			}
		default:
			fmt.Fprintf(&b, "%s: %s%s\n", name, flow(fields[name]), remark)
		}
	}
	if p.oneIn(4) {
		return strings.TrimSuffix(b.String(), "\n")
	}
	return b.String()
}

// flow is a value on one line.
func flow(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

// sharing are the definitions that share their Secrets, mostly.
var sharing = []string{"def-5", "def-6", "def-7"}

// anySpec makes a definition with any of the fields.
func (p *property) anySpec(name string) *spec {
	s := p.anyCopy(name)
	if slices.Contains(sharing, name) {
		s.kind, s.mode, s.data = "", p.some("Merge", "Merge", "Merge", "Merge", "", "Own"), make(map[string]source)
		for range 1 + p.rand.IntN(3) {
			from := p.anySource()
			if p.oneIn(2) { // likely to be had, or to be waited for
				from = source{key: p.some("username", "password", "nope")}
			}
			s.data[p.some("a", "b.c", "k")] = from
		}
	}
	s.sync = p.anyWishes(slices.Contains(sharing, name))
	return s
}

// anyCopy makes one with any of the fields that say what its copies are.
func (p *property) anyCopy(name string) *spec {
	s := &spec{name: name, path: fmt.Sprintf("p%d", p.rand.IntN(3))}
	if was := p.should.definition[name]; was != nil && !p.oneIn(4) {
		s.path = was.path
	}
	if p.oneIn(2) {
		s.kind = p.some("Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/dockerconfigjson", "example.com/own")
	}
	if !p.oneIn(4) {
		s.data = make(map[string]source)
		for range 1 + p.rand.IntN(4) {
			s.data[p.some("a", "b.c", "url", "username", "server", "n_1")] = p.anySource()
		}
	}
	if s.kind != "" && !p.oneIn(4) { // data that are likely to fit
		s.data = map[string]source{"more": p.anySource()}
		switch s.kind {
		case "kubernetes.io/tls":
			s.data["tls.crt"], s.data["tls.key"] = source{key: "certificate"}, source{key: "private_key"}
		case "kubernetes.io/ssh-auth":
			s.data["ssh-privatekey"] = source{key: "password"}
		case "kubernetes.io/dockerconfigjson":
			s.data = nil
		default:
			s.data["username"] = source{key: "username"}
		}
	}
	marks := func(names ...string) map[string]string {
		m := make(map[string]string)
		for _, name := range names {
			if p.oneIn(2) {
				m[name] = p.some("x", "payments", "true", "1")
			}
		}
		return m
	}
	if p.oneIn(2) {
		s.labels = marks("team", "tier", "example.com/kind")
	}
	if p.oneIn(2) {
		s.annotations = marks("reloader.example/match", "note")
		if p.oneIn(3) {
			s.annotations["note"] = p.some("a: b # c", "two\nlines", "ü", " lead", "'\"")
		}
	}
	s.policy = p.some("", "Retain", "Delete", "Delete")
	if p.oneIn(4) {
		is := p.oneIn(2)
		s.suspend = &is
	}
	s.interval = p.some("", "", "1s", "30s", "5m")
	return s
}

// anyWishes makes targets: of definitions that share, mostly such that meet.
func (p *property) anyWishes(shares bool) (sync []wish) {
	for range p.rand.IntN(4) {
		if shares && p.oneIn(3) {
			sync = append(sync, wish{cluster: "production", namespace: p.name, secret: p.some("shared", "app")})
			continue
		}
		w := wish{cluster: p.some("production", "staging"), secret: p.some("", "", "", "shared", "foreign", "def-0")}
		if shares {
			w = wish{cluster: p.some("production", "production", "staging"), secret: p.some("shared", "app", "app", "foreign", "def-0")}
		}
		switch {
		case p.oneIn(3):
			w.operator = p.some("matchLabels", "In", "NotIn", "Exists", "DoesNotExist")
			switch w.operator {
			case "matchLabels":
				w.teams = []string{p.some("x", "y")}
			case "In", "NotIn":
				w.teams = [][]string{{"x"}, {"x", "y"}}[p.rand.IntN(2)]
			}
		case p.oneIn(10):
			w.namespace = "foreign-" + p.name
		default:
			w.namespace = p.should.granted[p.rand.IntN(len(p.should.granted))]
			if shares && p.oneIn(2) {
				w.namespace = p.name
			}
			if p.oneIn(12) {
				w.cluster = "nowhere"
			}
		}
		if p.oneIn(4) {
			w.restart = [][]string{{"deployment/web"}, {"statefulset/db", "daemonset/x"}}[p.rand.IntN(2)]
		}
		sync = append(sync, w)
	}
	return sync
}

func (p *property) anySource() source {
	from := source{}
	if p.oneIn(4) {
		from.path = fmt.Sprintf("p%d", p.rand.IntN(4))
	}
	switch p.rand.IntN(5) {
	case 0:
		from.key = p.some("json", "text")
		from.field = p.some("s", "n", "l.1", "o.x", "z", "b", "o", "nope", "l.7")
	case 1:
		from.key, from.decode = "base64", "base64"
		if p.oneIn(3) {
			from.key, from.decode = "hex", "hex"
		}
	case 2:
		from.template = []piece{{text: "postgres://"}}
		for range 1 + p.rand.IntN(3) {
			from.template = append(from.template, piece{key: p.some("username", "password", "number", "maybe"), function: p.some("", "urlquery", "b64enc", "upper")}, piece{text: p.some(":", "@db/app", "\n  ")})
		}
		from.template = append(from.template, piece{key: "maybe", function: "get"})
	default:
		from.key = p.some("username", "password", "number", "empty", "json", "maybe")
	}
	return from
}
