package definition

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

const shaped = `# Owned by web.
name: web-tls
secretPath: production/web-tls
type: kubernetes.io/tls # as ingress wants it
data:
  # the chain, leaf first
  tls.crt: {key: certificate}
  tls.key: {key: private_key}
  port: {key: settings, field: server.port}
  keystore.p12:
    key: keystore
    decode: base64 # Java
  ca.crt: {path: shared/ca, key: pem}
  DATABASE_URL: {template: 'postgres://{{ .username | urlquery }}@db/app'}
  motd:
    template: |
      Hello {{ .username }},

        how are you?
labels: {team: payments}
annotations:
  reloader.example/match: "true"
deletionPolicy: Delete
suspend: false
refreshInterval: 30s
sync:
  - cluster: production
    namespace: default
    restart: [deployment/web, statefulset/db]
  # everywhere else
  - cluster: production
    namespaceSelector: {matchLabels: {team: payments}}
    secretName: tls
`

func parseShaped(t testing.TB, content string) Definition {
	t.Helper()
	p := &parser{}
	f := p.parse([]byte(content))
	if err := p.err(); err != nil {
		t.Fatalf("%v in\n%s", err, content)
	}
	return f.definition
}

func TestEveryFieldIsRead(t *testing.T) {
	d := parseShaped(t, shaped)
	s := d.Shape
	if s.Type.String() != "kubernetes.io/tls" || s.Mode != "" || s.DeletionPolicy != Delete || s.Suspend == nil || *s.Suspend || s.RefreshInterval.Duration().Seconds() != 30 {
		t.Errorf("%+v", s)
	}
	keys := make(map[string]DataKey)
	for _, k := range s.Data {
		keys[k.Key] = k
	}
	if len(keys) != 7 || keys["port"].Field != "server.port" || keys["keystore.p12"].Decode != Base64 || keys["ca.crt"].Path.String() != "shared/ca" ||
		keys["motd"].Template != "Hello {{ .username }},\n\n  how are you?\n" || keys["tls.crt"].From != "certificate" {
		t.Errorf("%+v", keys)
	}
	if s.Labels["team"] != "payments" || s.Annotations["reloader.example/match"] != "true" {
		t.Errorf("%v %v", s.Labels, s.Annotations)
	}
	if got := fmt.Sprint(d.Sync[0].Restart.Workloads()); got != "[deployment/web statefulset/db]" {
		t.Error(got)
	}
	if sel := d.Sync[1].Selector; sel.String() != "team=payments" || !d.Sync[1].Namespace.IsZero() || d.Sync[1].Place(d.Name).String() != "production/{team=payments}/tls" {
		t.Errorf("%q", sel)
	}
	if got := fmt.Sprint(d.Paths()); got != "[production/web-tls shared/ca]" {
		t.Error(got)
	}
}

func TestWhatIsWrongWithAFieldIsToldWithItsLine(t *testing.T) {
	const head = "name: a-b\nsecretPath: p\n"
	for _, test := range []struct{ name, content, line, says string }{
		{"a type that Kubernetes fills", "type: kubernetes.io/service-account-token", "3", "made by Kubernetes itself"},
		{"a type that is none", "type: 'a b'", "3", "no type of a Secret"},
		{"a mode that is none", "mode: merge", "3", `did you mean "Merge"?`},
		{"a share without keys", "mode: Merge", "3", "has to name the keys"},
		{"no keys at all", "data: {}", "3", "data is empty"},
		{"a key that Kubernetes does not allow", "data:\n  'a b': {key: x}", "4", `"a b" is no key that Kubernetes allows`},
		{"a text in place of where it comes from", "data:\n  a: password", "4", "such as {key: password}"},
		{"neither key nor template", "data:\n  a: {decode: hex}", "4", "data.a.key is missing"},
		{"both key and template", "data:\n  a: {key: x, template: y}", "4", "has a key and a template"},
		{"decode with a template", "data:\n  a: {template: y, decode: hex}", "4", "data.a.decode goes with key"},
		{"a decoding that is none", "data:\n  a: {key: x, decode: base46}", "4", `did you mean "base64"?`},
		{"a field with an empty name", "data:\n  a: {key: x, field: a..b}", "4", "no field such as server.port"},
		{"a path that leaves", "data:\n  a: {key: x, path: ../x}", "4", `".." segment`},
		{"a template that is open", "data:\n  a:\n    template: |\n      x\n      {{ .y", "5", "unclosed action"},
		{"a function that is none", "data:\n  a: {template: '{{ env \"HOME\" }}'}", "4", `no function "env"`},
		{"an unknown word", "data:\n  a: {kez: x}", "4", `did you mean "key"?`},
		{"a key twice", "data:\n  a: {key: x}\n  a: {key: y}", "5", "stands twice"},
		{"a label of ours", "labels: {secretsync.dev/tenant: x}", "3", "set by secretsync itself"},
		{"a label of ours, by a domain below", "labels: {x.secretsync.dev/y: x}", "3", "set by secretsync itself"},
		{"who manages it", "labels: {app.kubernetes.io/managed-by: helm}", "3", "set by secretsync itself"},
		{"a label that is a number", "labels: {a: 1}", "3", "put it in quotes"},
		{"a label that is too free", "labels: {a: 'b c'}", "3", "no value that Kubernetes allows"},
		{"an annotation without a name", "annotations: {'': x}", "3", "no name that Kubernetes allows"},
		{"a list of labels", "labels: [a]", "3", "must consist of 'key: value' lines"},
		{"a policy that is none", "deletionPolicy: Remove", "3", "none of Retain and Delete"},
		{"a word for truth", "suspend: yes", "3", "true or false"},
		{"an interval without a unit", "refreshInterval: 30", "3", "put it in quotes"},
		{"an interval that is too short", "refreshInterval: 10ms", "3", "less than a second"},
		{"namespace and selector", "sync:\n  - cluster: c\n    namespace: n\n    namespaceSelector: {matchLabels: {a: b}}", "6", "remove one of them"},
		{"a selector for everything", "sync:\n  - cluster: c\n    namespaceSelector: {}", "5", "selects every namespace"},
		{"a selector of another form", "sync:\n  - cluster: c\n    namespaceSelector: {team: a}", "5", "as in Kubernetes"},
		{"a selector in capital letters", "sync:\n  - cluster: c\n    namespaceSelector: {MATCHLABELS: {a: b}}", "5", "as in Kubernetes"},
		{"a selector of two spellings", "sync:\n  - cluster: c\n    namespaceSelector: {matchLabels: {a: b}, MatchLabels: {c: d}}", "5", "as in Kubernetes"},
		{"an operator that is none", "sync:\n  - cluster: c\n    namespaceSelector: {matchExpressions: [{key: a, operator: Is}]}", "5", "is not valid"},
		{"a selector twice", "sync:\n  - cluster: c\n    namespaceSelector: {matchLabels: {a: b}}\n  - {cluster: c, namespaceSelector: {matchLabels: {a: b}}}", "6", "same target"},
		{"a workload of another kind", "sync:\n  - {cluster: c, namespace: n, restart: [job/x]}", "4", "no workload"},
		{"no workload", "sync:\n  - {cluster: c, namespace: n, restart: []}", "4", "must be a list"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("secrets/a-b.yaml", []byte(head+test.content+"\n"))
			if err == nil || !strings.HasPrefix(err.Error(), "secrets/a-b.yaml:"+test.line+": ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; not line %s: %s", err, test.line, test.says)
			}
		})
	}
}

func TestAFileThatIsWrittenIsReadAsItWasMeant(t *testing.T) {
	d := parseShaped(t, shaped)
	again := parseShaped(t, string(Encode(d)))
	if !again.Equal(d) {
		t.Errorf("%s", Encode(d))
	}
	// As JSON, whose members the API takes.
	var object map[string]any
	text, err := json.Marshal(map[string]any{"type": "kubernetes.io/tls", "suspend": false, "labels": map[string]string{"a": "ü\u0085\u007f😀\"\\"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	object["annotations"], object["labels"] = object["labels"], nil
	c, err := ParseObject(object)
	if err != nil || c.Shape.Annotations["a"] != "ü\u0085\u007f😀\"\\" || c.Shape.Labels != nil || !c.Names("labels") || c.Names("mode") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnEditTouchesJustWhatChanges(t *testing.T) {
	for _, test := range []struct{ name, change, from, to string }{
		{"a type, with the remark behind it", `{"type":"Opaque"}`, "type: kubernetes.io/tls # as", "type: Opaque # as"},
		{"a type is taken away", `{"type":null}`, "type: kubernetes.io/tls # as ingress wants it\n", ""},
		{"a mode is added", `{"mode":"Merge"}`, "data:\n", "mode: Merge\ndata:\n"},
		{"labels in braces", `{"labels":{"team":"b","x":"1"}}`, "labels: {team: payments}", `labels: {team: b, x: "1"}`},
		{"labels are emptied", `{"labels":{}}`, "labels: {team: payments}", "labels: {}"},
		{"an annotation is added", `{"annotations":{"reloader.example/match":"true","b":"c"}}`, "match: \"true\"\n", "match: \"true\"\n  b: c\n"},
		{"an annotation changes", `{"annotations":{"reloader.example/match":"no"}}`, `match: "true"`, `match: "no"`},
		{"annotations are taken away", `{"annotations":null}`, "annotations:\n  reloader.example/match: \"true\"\n", ""},
		{"suspend", `{"suspend":true}`, "suspend: false", "suspend: true"},
		{"an interval is taken away", `{"refreshInterval":null}`, "refreshInterval: 30s\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := changeOf(t, test.change)
			for _, eol := range []string{"\n", "\r\n"} {
				before := strings.ReplaceAll(shaped, "\n", eol)
				want := strings.Replace(before, strings.ReplaceAll(test.from, "\n", eol), strings.ReplaceAll(test.to, "\n", eol), 1)
				got, err := Edit([]byte(before), c)
				if err != nil || string(got) != want {
					t.Errorf("%v\n%s", err, got)
				}
			}
		})
	}
}

func TestOneKeyOfDataIsEditedAmongTheOthers(t *testing.T) {
	d := parseShaped(t, shaped)
	data := d.Shape.Data[:0:0]
	for _, k := range d.Shape.Data {
		switch k.Key {
		case "port":
			continue // goes
		case "keystore.p12":
			k.Decode = Hex
		case "motd":
			k.Template = "Hi\n{{ .username }}"
		}
		data = append(data, k)
	}
	data = append(data, DataKey{Key: "z", From: "y"})
	got, err := Edit([]byte(shaped), Change{Shape: &Shape{Data: data}, Fields: []string{"data"}})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"  port: {key: settings, field: server.port}\n", "",
		"    key: keystore\n    decode: base64 # Java\n", "    key: keystore\n    decode: hex # Java\n",
		"    template: |\n      Hello {{ .username }},\n\n        how are you?\n", "    template: |-\n      Hi\n      {{ .username }}\n  z: {key: \"y\"}\n",
	).Replace(shaped)
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

func changeOf(t testing.TB, text string) Change {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	c, err := ParseObject(object)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnObjectThatIsWrongNamesTheField(t *testing.T) {
	for object, want := range map[string]string{
		`{"labels":{"team":null}}`:                                   "labels.team: has no value",
		`{"data":{"a":{"key":"x"},"b":null}}`:                        "data.b: must say where it comes from",
		`{"labels":{"a":1}}`:                                         "labels.a: must be a text, not a number",
		`{"type":"a b"}`:                                             "type: \"a b\" is no type",
		`{"data":{"a":{"key":"x","decode":"rot13"}}}`:                "data.a.decode: \"rot13\" is none of",
		`{"suspend":"true"}`:                                         "suspend: must be true or false, not a text",
		`{"sync":[{"cluster":"c","namespaceSelector":{}}]}`:          "sync[0].namespaceSelector: selects every namespace",
		`{"sync":[{"cluster":"c","namespace":"n","restart":["x"]}]}`: "sync[0].restart: \"x\" is no workload",
		`{"sync":[{"cluster":"c","namespace":"n","owner":"x"}]}`:     "sync[0].owner",
		`{"labels":{"secretsync.dev/tenant":"x"}}`:                   "labels: \"secretsync.dev/tenant\" is set by",
	} {
		var parsed map[string]any
		if err := json.Unmarshal([]byte(object), &parsed); err != nil {
			t.Fatal(err)
		}
		_, err := ParseObject(parsed)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, not %s", object, err, want)
		}
	}
}

// Whatever a file says and whatever it is to say, it says it after the edit, and
// the same edit again changes nothing.
func FuzzEditFields(f *testing.F) {
	for i := range uint64(20) {
		f.Add([]byte(shaped), i)
		f.Add([]byte("name: a-b\nsecretPath: p"), i)
		f.Add([]byte(`{"name": "a-b", "secretPath": "p", "sync": []}`), i)
		f.Add([]byte("{name: a-b, secretPath: p,\n labels: {a: b}}\n"), i)
		f.Add([]byte("name: a-b\r\nsecretPath: p\r\nsync: []\r\ndata:\r\n  a:\r\n    template: |+\r\n      x\r\n\r\n"), i)
	}
	f.Fuzz(func(t *testing.T, content []byte, seed uint64) {
		p := &parser{}
		before := p.parse(content)
		if p.err() != nil {
			return
		}
		c := randomChange(rand.New(rand.NewPCG(seed, 1)), before.definition)
		want, err := c.Apply(before.definition)
		if err != nil {
			return
		}
		edited, err := Edit(content, c)
		if err != nil {
			return // told, and nothing changed
		}
		if got := parseShaped(t, string(edited)); !got.Equal(want) {
			t.Fatalf("says\n%s", edited)
		}
		if again, err := Edit(edited, c); err != nil || string(again) != string(edited) {
			t.Fatalf("%v, once more\n%s", err, again)
		}
		if back, err := Edit(content, To(before.definition)); err != nil || string(back) != string(content) {
			t.Fatalf("%v, what it says already\n%s", err, back)
		}
	})
}

// randomChange is some change of some fields.
func randomChange(r *rand.Rand, d Definition) Change {
	texts := []string{"a", "true", "x y", "it's", `"q"`, "a: b", "# c", "ü", "1", "", " lead", "tab\tx", "l1\nl2", "l1\n\n  l3\n"}
	text := func() string { return texts[r.IntN(len(texts))] }
	marks := func() map[string]string {
		m := make(map[string]string)
		for range r.IntN(4) {
			m[[]string{"a", "b", "example.com/c", "true", "n"}[r.IntN(5)]] = text()
		}
		return m
	}
	s := &Shape{}
	if d.Shape != nil {
		*s = *d.Shape
	}
	var c Change
	for _, field := range shapeKeys {
		if r.IntN(3) > 0 {
			continue
		}
		c.Fields = append(c.Fields, field)
		away := r.IntN(4) == 0
		switch field {
		case fieldType:
			s.Type = SecretType{text0([]string{"Opaque", "kubernetes.io/tls", "x"}[r.IntN(3)], away)}
		case fieldMode:
			s.Mode = map[bool]Mode{false: ModeMerge}[away]
		case fieldData:
			if s.Data = nil; away {
				continue
			}
			for _, key := range []string{"a", "b.c", "n", "true"}[r.IntN(3):] {
				k := DataKey{Key: key, From: cmp.Or(text(), "k"), Field: []string{"", "a.b", "1.true"}[r.IntN(3)], Decode: []Decoding{"", "", Base64, Hex}[r.IntN(4)]}
				if strings.ContainsAny(k.From, "\n\t") {
					k.From = "k" // a key of a value stands on one line
				}
				if tpl := text(); r.IntN(2) == 0 && CheckTemplate(tpl) == nil {
					k = DataKey{Key: key, Template: tpl}
				}
				if r.IntN(3) == 0 {
					k.Path = SecretPath{text0("further/1", false)}
				}
				s.Data = append(s.Data, k)
			}
		case fieldLabels:
			if s.Labels = marks(); away {
				s.Labels = nil
			}
			for name := range s.Labels {
				s.Labels[name] = []string{"a", "true", "1", ""}[r.IntN(4)]
			}
		case fieldAnnotations:
			if s.Annotations = marks(); away {
				s.Annotations = nil
			}
		case fieldDeletionPolicy:
			s.DeletionPolicy = map[bool]DeletionPolicy{false: Delete}[away]
		case fieldRefreshInterval:
			if s.RefreshInterval = (Interval{}); !away {
				s.RefreshInterval, _ = ParseInterval([]string{"30s", "1h", "90s"}[r.IntN(3)])
			}
		case fieldSuspend:
			is := r.IntN(2) == 0
			if s.Suspend = &is; away {
				s.Suspend = nil
			}
		}
	}
	c.Shape = s
	return c
}

func text0(s string, away bool) text {
	if away {
		return text{}
	}
	return text{s}
}

func TestLastEntriesGoFromAFileWithoutALineBreakAtItsEnd(t *testing.T) {
	const head = "name: a-b\nsecretPath: p\nlabels: # of all\n"
	for name, test := range map[string]struct{ before, labels, after string }{
		"one":                    {"  a: s\n  b: t", `{"a":"s"}`, "  a: s"},
		"two":                    {"  a: s\n  b: t\n  c: u # last", `{"a":"s"}`, "  a: s"},
		"two with a blank line":  {"  a: s\n\n  b: t\n\n  c: u", `{"a":"s"}`, "  a: s"},
		"all, and another comes": {"  a: s\n  b: t", `{"c":"u"}`, "  c: u"},
		"the one in front, too":  {"  a: s\n  b: t\n  c: u", `{"b":"w"}`, "  b: w"},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			t.Run(name+" "+strconv.Quote(eol), func(t *testing.T) {
				text := func(s string) string { return strings.ReplaceAll(head+s, "\n", eol) }
				got, err := Edit([]byte(text(test.before)), changeOf(t, `{"labels":`+test.labels+`}`))
				if err != nil || string(got) != text(test.after) {
					t.Errorf("%v\n%q, not\n%q", err, got, text(test.after))
				}
			})
		}
	}
}
