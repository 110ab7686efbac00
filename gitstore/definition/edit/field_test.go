package edit

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
	"secretsync/gitstore/definition/parse"
)

func parseShaped(t testing.TB, content string) definition.Definition {
	t.Helper()
	f, err := parse.Read([]byte(content))
	if err != nil {
		t.Fatalf("%v in\n%s", err, content)
	}
	return f.Definition
}

func TestAFileThatIsWrittenIsReadAsItWasMeant(t *testing.T) {
	d := parseShaped(t, corpus.Shaped)
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
	c, err := parse.Object(object)
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
				before := strings.ReplaceAll(corpus.Shaped, "\n", eol)
				want := strings.Replace(before, strings.ReplaceAll(test.from, "\n", eol), strings.ReplaceAll(test.to, "\n", eol), 1)
				got, err := File([]byte(before), c)
				if err != nil || string(got) != want {
					t.Errorf("%v\n%s", err, got)
				}
			}
		})
	}
}

func TestOneKeyOfDataIsEditedAmongTheOthers(t *testing.T) {
	d := parseShaped(t, corpus.Shaped)
	data := d.Shape.Data[:0:0]
	for _, k := range d.Shape.Data {
		switch k.Key {
		case "port":
			continue // goes
		case "keystore.p12":
			k.Decode = definition.Hex
		case "motd":
			k.Template = "Hi\n{{ .username }}"
		}
		data = append(data, k)
	}
	data = append(data, definition.DataKey{Key: "z", From: "y"})
	got, err := File([]byte(corpus.Shaped), definition.Change{Shape: &definition.Shape{Data: data}, Fields: []string{"data"}})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"  port: {key: settings, field: server.port}\n", "",
		"    key: keystore\n    decode: base64 # Java\n", "    key: keystore\n    decode: hex # Java\n",
		"    template: |\n      Hello {{ .username }},\n\n        how are you?\n", "    template: |-\n      Hi\n      {{ .username }}\n  z: {key: \"y\"}\n",
	).Replace(corpus.Shaped)
	if string(got) != want {
		t.Errorf("%s", got)
	}
}

func changeOf(t testing.TB, text string) definition.Change {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	c, err := parse.Object(object)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever a file says and whatever it is to say, it says it after the edit, and
// the same edit again changes nothing.
func FuzzEditFields(f *testing.F) {
	for i := range uint64(20) {
		f.Add([]byte(corpus.Shaped), i)
		f.Add([]byte("name: a-b\nsecretPath: p"), i)
		f.Add([]byte(`{"name": "a-b", "secretPath": "p", "sync": []}`), i)
		f.Add([]byte("{name: a-b, secretPath: p,\n labels: {a: b}}\n"), i)
		f.Add([]byte("name: a-b\r\nsecretPath: p\r\nsync: []\r\ndata:\r\n  a:\r\n    template: |+\r\n      x\r\n\r\n"), i)
	}
	f.Fuzz(func(t *testing.T, content []byte, seed uint64) {
		before, err := parse.Read(content)
		if err != nil {
			return
		}
		c := randomChange(rand.New(rand.NewPCG(seed, 1)), before.Definition)
		want, err := c.Apply(before.Definition)
		if err != nil {
			return
		}
		edited, err := File(content, c)
		if err != nil {
			return // told, and nothing changed
		}
		if got := parseShaped(t, string(edited)); !got.Equal(want) {
			t.Fatalf("says\n%s", edited)
		}
		if again, err := File(edited, c); err != nil || string(again) != string(edited) {
			t.Fatalf("%v, once more\n%s", err, again)
		}
		if back, err := File(content, definition.To(before.Definition)); err != nil || string(back) != string(content) {
			t.Fatalf("%v, what it says already\n%s", err, back)
		}
	})
}

// randomChange is some change of some fields.
func randomChange(r *rand.Rand, d definition.Definition) definition.Change {
	texts := []string{"a", "true", "x y", "it's", `"q"`, "a: b", "# c", "ü", "1", "", " lead", "tab\tx", "l1\nl2", "l1\n\n  l3\n"}
	text := func() string { return texts[r.IntN(len(texts))] }
	marks := func() map[string]string {
		m := make(map[string]string)
		for range r.IntN(4) {
			m[[]string{"a", "b", "example.com/c", "true", "n"}[r.IntN(5)]] = text()
		}
		return m
	}
	s := &definition.Shape{}
	if d.Shape != nil {
		*s = *d.Shape
	}
	var c definition.Change
	for _, field := range definition.Fields {
		if r.IntN(3) > 0 {
			continue
		}
		c.Fields = append(c.Fields, field)
		away := r.IntN(4) == 0
		switch field {
		case definition.FieldType:
			if s.Type = must(definition.ParseSecretType([]string{"Opaque", "kubernetes.io/tls", "x"}[r.IntN(3)])); away {
				s.Type = definition.SecretType{}
			}
		case definition.FieldMode:
			s.Mode = map[bool]definition.Mode{false: definition.ModeMerge}[away]
		case definition.FieldData:
			if s.Data = nil; away {
				continue
			}
			for _, key := range []string{"a", "b.c", "n", "true"}[r.IntN(3):] {
				k := definition.DataKey{Key: key, From: cmp.Or(text(), "k"), Field: []string{"", "a.b", "1.true"}[r.IntN(3)], Decode: []definition.Decoding{"", "", definition.Base64, definition.Hex}[r.IntN(4)]}
				if strings.ContainsAny(k.From, "\n\t") {
					k.From = "k" // a key of a value stands on one line
				}
				if tpl := text(); r.IntN(2) == 0 && definition.CheckTemplate(tpl) == nil {
					k = definition.DataKey{Key: key, Template: tpl}
				}
				if r.IntN(3) == 0 {
					k.Path = must(definition.ParseSecretPath("further/1"))
				}
				s.Data = append(s.Data, k)
			}
		case definition.FieldLabels:
			if s.Labels = marks(); away {
				s.Labels = nil
			}
			for name := range s.Labels {
				s.Labels[name] = []string{"a", "true", "1", ""}[r.IntN(4)]
			}
		case definition.FieldAnnotations:
			if s.Annotations = marks(); away {
				s.Annotations = nil
			}
		case definition.FieldDeletionPolicy:
			s.DeletionPolicy = map[bool]definition.DeletionPolicy{false: definition.Delete}[away]
		case definition.FieldRefreshInterval:
			if s.RefreshInterval = (definition.Interval{}); !away {
				s.RefreshInterval, _ = definition.ParseInterval([]string{"30s", "1h", "90s"}[r.IntN(3)])
			}
		case definition.FieldSuspend:
			is := r.IntN(2) == 0
			if s.Suspend = &is; away {
				s.Suspend = nil
			}
		}
	}
	c.Shape = s
	return c
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
				got, err := File([]byte(text(test.before)), changeOf(t, `{"labels":`+test.labels+`}`))
				if err != nil || string(got) != text(test.after) {
					t.Errorf("%v\n%q, not\n%q", err, got, text(test.after))
				}
			})
		}
	}
}
