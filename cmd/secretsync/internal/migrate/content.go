package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	syntax "text/template/parse"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/parse"
)

// What a Secret holds where a resource says it key by key: keys of values, and
// templates over them.

// pick is one key of a Secret and where its content lies.
type pick struct {
	definition.DataKey
	value int // which of the wish's values it is of
}

// readPicks reads an ExternalSecret's single keys into the wish.
func (c *converter) readPicks(r *Resource, spec *object, w *wish) {
	for _, entry := range spec.objects("data") {
		key := entry.text("secretKey")
		if slices.ContainsFunc(w.picks, func(p pick) bool { return p.Key == key }) {
			c.add(r.finding(Refused, entry.line("secretKey"), entry.at("secretKey"), "is given a second time", "give it once"))
		}
		source := entry.object("sourceRef")
		if source.has("generatorRef") {
			c.add(r.finding(Refused, source.line("generatorRef"), source.at("generatorRef"), "makes a value anew, and a definition copies one from Vault", remedyStays))
		}
		remote := entry.object("remoteRef")
		c.refuseVersion(r, remote)
		if policy := remote.text("metadataPolicy"); policy != "" && policy != "None" {
			c.add(r.finding(Refused, remote.line("metadataPolicy"), remote.at("metadataPolicy"), "is "+plain(policy)+", and a definition copies values, not what Vault says of them", remedyKeys))
		}
		// They are about the names of keys, and about bytes that no value in Vault has.
		remote.ignore("conversionStrategy", "nullBytePolicy")
		p := pick{DataKey: definition.DataKey{Key: key}}
		c.readProperty(r, remote, &p)
		c.readDecoding(r, remote, &p)
		if p.value = c.useStore(r, spec, source, w, remote, remote.text("key")); p.value >= 0 {
			w.picks = append(w.picks, p)
		}
	}
}

func (c *converter) refuseVersion(r *Resource, remote *object) {
	if remote.has("version") {
		c.add(r.finding(Refused, remote.line("version"), remote.at("version"), "asks for a certain version, and a definition copies the newest", remedyStays))
	}
}

// plainProperty are the names of fields without what the controller's query
// language gives a meaning of its own.
var plainProperty = regexp.MustCompile(`^[-A-Za-z0-9_]+(\.[-A-Za-z0-9_]+)*$`)

// readProperty finds which key of the value is meant. The controller takes a name
// with dots for a key if the value has it, else for a field within one, which can't
// be told apart here.
func (c *converter) readProperty(r *Resource, remote *object, p *pick) {
	property := remote.text("property")
	line, field := remote.line("property"), remote.at("property")
	first, inner, nested := strings.Cut(property, ".")
	switch {
	case property == "":
		c.add(r.finding(Refused, remote.lineOfNode(), field, "is missing: the key was to hold the whole value as JSON", remedyKeys))
	case (property == p.Key || first == "") && strings.Trim(property, ".") != "" && plainProperty.MatchString(strings.TrimPrefix(property, ".")):
		p.From = property
		if nested {
			c.add(r.finding(Left, line, field, "is taken for a key of the value; the controller also finds a field of that name", "where it is a field, write key and field in the definition"))
		}
	case !plainProperty.MatchString(property):
		c.add(r.finding(Refused, line, field, "is a query, and a definition names a key and a field", remedyKeys))
	default:
		p.From, p.Field = first, inner
		if nested {
			c.add(r.finding(Left, line, field, "is taken for a field within a key; the controller also finds a key of that whole name", "where it is a key, write it as key in the definition"))
		}
	}
}

func (c *converter) readDecoding(r *Resource, remote *object, p *pick) {
	switch strategy := remote.text("decodingStrategy"); strategy {
	case "", "None":
	case "Base64":
		p.Decode = definition.Base64
	case "Base64URL":
		p.Decode = definition.Base64URL
	default:
		c.add(r.finding(Refused, remote.line("decodingStrategy"), remote.at("decodingStrategy"), "is "+plain(strategy)+", which depends on the value, and a definition says how it is decoded", "say Base64, Base64URL or None"))
	}
}

// otherwise are functions that both have and that give different texts: of numbers,
// and of characters that mean something in HTML.
var otherwise = []string{"fromJson", "toJson"}

// readTemplates makes the keys that a template composes. It is called when the
// values that it is made of are known.
func (c *converter) readTemplates(r *Resource, template *object, w *wish) {
	if template.has("templateFrom") {
		c.add(r.finding(Refused, template.line("templateFrom"), template.at("templateFrom"), "takes templates from elsewhere, and a definition holds its own", "write them out in data"))
		template.ignore("templateFrom")
	}
	version, policy := template.text("engineVersion"), template.text("mergePolicy")
	if !template.has("data") || template.object("data").node == nil {
		return
	}
	data := template.object("data")
	switch {
	case version != "" && version != "v2":
		c.add(r.finding(Refused, template.line("engineVersion"), template.at("engineVersion"), "is "+plain(version)+", whose functions are others", "bring the template to v2 first"))
	case policy == "Merge" && len(w.picks) == 0:
		c.add(r.finding(Refused, template.line("mergePolicy"), template.at("mergePolicy"), "is Merge: the Secret holds all keys of the value and more, and a definition names each key or takes all", remedyKeys))
	}
	named := w.picks
	var made []pick
	for i := 0; i+1 < len(data.node.Content); i += 2 {
		key, text := data.node.Content[i], data.node.Content[i+1]
		data.ignore(key.Value)
		p := pick{DataKey: definition.DataKey{Key: key.Value}}
		var trouble string
		if p.Template, p.value, trouble = carryTemplate(text, named); trouble != "" {
			c.add(r.finding(Refused, key.Line, data.at(plain(key.Value)), trouble, remedyTemplate))
		}
		made = append(made, p)
	}
	if policy != "Merge" {
		w.picks = made
		return
	}
	// A template has the last word on its key.
	w.picks = slices.DeleteFunc(slices.Clone(named), func(p pick) bool {
		return slices.ContainsFunc(made, func(m pick) bool { return m.Key == p.Key })
	})
	w.picks = append(w.picks, made...)
}

const remedyTemplate = "write the template anew in the definition, or " + remedyStays

// carryTemplate returns a template that gives here what the given one gives there,
// and the value that it is of; or what is in the way, in words that hold nothing of
// the template. There, a template sees the Secret's keys as named; here, those of
// one value. Without names both are the same.
func carryTemplate(n *yaml.Node, named []pick) (text string, value int, trouble string) {
	if n.Kind != yaml.ScalarNode {
		return "", 0, "is not a text"
	}
	text = n.Value
	if definition.CheckTemplate(text) != nil {
		return "", 0, "uses what a definition's templates don't have, or is none"
	}
	tree := syntax.New("")
	tree.Mode = syntax.SkipFuncCheck
	parsed, err := tree.Parse(text, "", "", map[string]*syntax.Tree{})
	if err != nil {
		return "", 0, "is no template"
	}
	s := &sight{}
	s.list(parsed.Root)
	switch {
	case slices.ContainsFunc(s.calls, func(name string) bool { return slices.Contains(otherwise, name) }):
		return "", 0, "reads or writes JSON by a function that gives another text here for some numbers and characters"
	case named == nil:
		return text, 0, ""
	case s.whole:
		return "", 0, "uses the keys as a whole, which here are all of the value and not the ones named in data"
	}
	value = -1
	// From the end, so that what stands before keeps its place.
	slices.SortFunc(s.fields, func(a, b *syntax.FieldNode) int { return int(b.Pos - a.Pos) })
	for _, f := range s.fields {
		i := slices.IndexFunc(named, func(p pick) bool { return len(f.Ident) == 1 && p.Key == f.Ident[0] })
		switch {
		case i < 0:
			return "", 0, "uses a key that data does not name"
		case named[i].Field != "" || named[i].Decode != "" || !identifier.MatchString(named[i].From):
			return "", 0, "uses a key that is decoded, a field within one, or one whose name a template can't write"
		case value >= 0 && value != named[i].value:
			return "", 0, "uses keys of several paths, and a template here is of one"
		}
		value = named[i].value
		begin := int(f.Pos)
		if !strings.HasPrefix(text[begin:], "."+f.Ident[0]) {
			return "", 0, "is written in a way that is not understood"
		}
		text = text[:begin] + "." + named[i].From + text[begin+1+len(f.Ident[0]):]
	}
	return text, max(value, 0), ""
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// sight is what a template uses.
type sight struct {
	fields []*syntax.FieldNode
	calls  []string
	whole  bool // it uses all keys at once, or something whose keys are not known
}

func (s *sight) list(l *syntax.ListNode) {
	if l != nil {
		for _, n := range l.Nodes {
			s.node(n)
		}
	}
}

func (s *sight) node(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.ActionNode:
		s.pipe(n.Pipe)
	case *syntax.IfNode:
		s.pipe(n.Pipe)
		s.list(n.List)
		s.list(n.ElseList)
	case *syntax.RangeNode:
		s.whole = true
		s.pipe(n.Pipe)
		s.list(n.List)
		s.list(n.ElseList)
	case *syntax.WithNode:
		s.whole = true
		s.pipe(n.Pipe)
		s.list(n.List)
		s.list(n.ElseList)
	case *syntax.PipeNode:
		s.pipe(n)
	case *syntax.FieldNode:
		s.fields = append(s.fields, n)
	case *syntax.IdentifierNode:
		s.calls = append(s.calls, n.Ident)
	case *syntax.VariableNode:
		s.whole = s.whole || n.Ident[0] == "$"
	case *syntax.DotNode:
		s.whole = true
	case *syntax.ChainNode:
		s.node(n.Node)
	}
}

func (s *sight) pipe(p *syntax.PipeNode) {
	if p == nil {
		return
	}
	for _, command := range p.Cmds {
		for _, arg := range command.Args {
			s.node(arg)
		}
	}
}

// readType reads the type of the Secret.
func (c *converter) readType(r *Resource, o *object, field string, w *wish) {
	text := o.text(field)
	if text == "" || text == "Opaque" {
		return
	}
	kind, err := definition.ParseSecretType(text)
	if err != nil {
		c.add(r.finding(Refused, o.line(field), o.at(field), "is no type that a copy can have", remedyStays))
	}
	w.shape.Type = kind
}

// readMarks reads labels or annotations of the Secret. Where they are templates,
// those that make something of values are left.
func (c *converter) readMarks(r *Resource, o *object, field string, templates bool) map[string]string {
	marks := o.object(field)
	if marks.node == nil {
		return nil
	}
	kept := make(map[string]string)
	for i := 0; i+1 < len(marks.node.Content); i += 2 {
		key, value := marks.node.Content[i], marks.node.Content[i+1]
		marks.ignore(key.Value)
		reason := "is none that a definition can give"
		switch {
		case templates && strings.Contains(value.Value, "{{"):
			reason = "is made by a template, and a definition has it as it is"
		case value.Kind == yaml.ScalarNode:
			if _, err := parse.Object(map[string]any{field: map[string]any{key.Value: value.Value}}); err == nil {
				kept[key.Value] = value.Value
				continue
			}
		}
		c.add(r.finding(Left, key.Line, marks.at(plain(key.Value)), reason+"; it stays on a Secret that is handed over, and new copies don't get it", "set it by hand; a copy keeps what others write on it"))
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// readRestarts reads which workloads restart when the Secret changes.
func (c *converter) readRestarts(r *Resource, spec *object, w *wish) {
	var workloads []string
	for _, o := range spec.objects("rolloutRestartTargets") {
		workload := strings.ToLower(o.text("kind")) + "/" + o.text("name")
		switch _, err := definition.ParseRestart([]string{workload}); {
		case err != nil:
			c.add(r.finding(Left, o.lineOfNode(), o.path, "is no Deployment, StatefulSet or DaemonSet, and is not restarted when a value changes", "let a reloader watch the Secret, or restart it by hand"))
		case !slices.Contains(workloads, workload):
			workloads = append(workloads, workload)
		}
	}
	restart, err := definition.ParseRestart(workloads)
	if err != nil {
		c.add(r.finding(Left, spec.line("rolloutRestartTargets"), spec.at("rolloutRestartTargets"), fmt.Sprintf("names %d workloads, which are too many for a target", len(workloads)), "let a reloader watch the Secret"))
		return
	}
	w.restart = restart
}
