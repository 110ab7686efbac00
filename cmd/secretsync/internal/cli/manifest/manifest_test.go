package manifest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// one parses text that holds one definition.
func one(t *testing.T, text string) Definition {
	t.Helper()
	all, err := Parse([]byte(text))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d definitions, %v", len(all), err)
	}
	return all[0]
}

func TestADefinitionPassesWholeAndInOrder(t *testing.T) {
	const text = `name: web-tls
secretPath: production/web-tls
type: kubernetes.io/tls
data:
  tls.crt:
    key: certificate
  "yes":
    key: "1"
  port:
    template: |-
      {{ .a }}
      {{ .b }}
ratio: 1.50
big: 12345678901234567890123
since: "2026-01-02"
labels:
  reloader.example/match: "true"
suspend: false
nothing: null
empty: ""
sync: []
`
	const encoded = `{"name":"web-tls","secretPath":"production/web-tls","type":"kubernetes.io/tls","data":{"tls.crt":{"key":"certificate"},"yes":{"key":"1"},"port":{"template":"{{ .a }}\n{{ .b }}"}},"ratio":1.50,"big":12345678901234567890123,"since":"2026-01-02","labels":{"reloader.example/match":"true"},"suspend":false,"nothing":null,"empty":"","sync":[]}`
	d := one(t, text)
	if got := string(d.JSON()); got != encoded {
		t.Errorf("got  %s\nwant %s", got, encoded)
	}
	if got := string(d.YAML()); got != text {
		t.Errorf("got\n%s", got)
	}
}

func TestAnAnswerOfTheServerIsADefinition(t *testing.T) {
	d := one(t, "name: db\nsecretPath: db\nsync: []\nstatus: {phase: Active}\nresourceVersion: abc\ncreatedAt: 2026-01-02T03:04:05Z\n")
	if got := string(d.JSON()); got != `{"name":"db","secretPath":"db","sync":[]}` {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsNoDefinitionIsToldWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":              {"name: [", "line 1"},
		"a list":               {"- a\n", "line 1: a definition is a mapping"},
		"no name":              {"secretPath: db\n", "line 1: name: is missing"},
		"a name that is none":  {"name: 1\n", "name: is missing"},
		"an alias":             {"name: db\na: &x [1]\nb: *x\n", "line 2: a definition has no anchors"},
		"a merge":              {"name: db\n<<: {a: b}\n", "line 2: a field's name is a text"},
		"a field twice":        {"name: db\nname: other\n", `"name"`},
		"not a number":         {"name: db\nx: .nan\n", "line 2: .nan can't be sent as a number"},
		"the second of a file": {"name: db\n---\n- a\n", "line 3: a definition is a mapping"},
	} {
		if _, err := Parse([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := Parse([]byte("# nothing\n---\n---\nname: db\n---\nname: mail\n")); err != nil || len(all) != 2 {
		t.Errorf("%d definitions, %v", len(all), err)
	}
}

func TestAPatchNamesWhatDiffers(t *testing.T) {
	base := one(t, "name: db\nsecretPath: db\nlabels: {a: b, c: d}\nrefreshInterval: 30s\nsync: [{cluster: c, namespace: n}]\n")
	for name, c := range map[string]struct{ to, want, err string }{
		"the same in another order": {"secretPath: db\nname: db\nsync: [{namespace: n, cluster: c}]\nrefreshInterval: 30s\nlabels: {c: d, a: b}\n", `{}`, ""},
		"a field of another value":  {"name: db\nsecretPath: db\nlabels: {a: b}\nrefreshInterval: 30s\nsync: [{cluster: c, namespace: n}]\n", `{"labels":{"a":"b"}}`, ""},
		"a field that goes":         {"name: db\nsecretPath: db\nlabels: {a: b, c: d}\nsync: [{cluster: c, namespace: n}]\n", `{"refreshInterval":null}`, ""},
		"a field of tomorrow":       {"name: db\nsecretPath: db\nlabels: {a: b, c: d}\nrefreshInterval: 30s\nsync: [{cluster: c, namespace: n}]\nlater: {x: 1}\n", `{"later":{"x":1}}`, ""},
		"no targets":                {"name: db\nsecretPath: db\nlabels: {a: b, c: d}\nrefreshInterval: 30s\n", `{"sync":null}`, ""},
		"another path":              {"name: db\nsecretPath: other\n", "", "secretPath: is fixed"},
		"another name":              {"name: other\nsecretPath: db\n", "", "name: is fixed"},
	} {
		patch, err := base.Patch(one(t, c.to))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if got, _ := json.Marshal(patch); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if !Same("sync", nil, json.RawMessage(`[]`)) || !Same("sync", json.RawMessage(`null`), json.RawMessage(`[]`)) {
		t.Error("no targets are not the same as none")
	}
}

func TestOfALostRaceNothingIsLost(t *testing.T) {
	base := one(t, "name: db\nsecretPath: db\nlabels: {a: b}\nsuspend: true\nsync: [1]\n")
	for name, c := range map[string]struct {
		mine, theirs, want string
		conflicts          []string
	}{
		"each another field":      {"labels: {a: c}\nsuspend: true\nsync: [1]", "labels: {a: b}\nsuspend: true\nsync: [2]", `"labels":{"a":"c"},"suspend":true,"sync":[2]`, nil},
		"both the same":           {"labels: {a: b}\nsuspend: true\nsync: [2]", "labels: {a: b}\nsuspend: true\nsync: [2]", `"labels":{"a":"b"},"suspend":true,"sync":[2]`, nil},
		"both one field":          {"labels: {a: b}\nsuspend: true\nsync: [3]", "labels: {a: b}\nsuspend: true\nsync: [2]", `"labels":{"a":"b"},"suspend":true,"sync":[3]`, []string{"sync"}},
		"I take it out":           {"labels: {a: b}\nsync: [1]", "labels: {a: b}\nsuspend: true\nsync: [2]", `"labels":{"a":"b"},"sync":[2]`, nil},
		"they take it out":        {"labels: {a: b}\nsuspend: true\nsync: [3]", "labels: {a: b}\nsync: [1]", `"labels":{"a":"b"},"sync":[3]`, nil},
		"they take out what I do": {"labels: {a: b}\nsuspend: false\nsync: [1]", "labels: {a: b}\nsync: [1]", `"labels":{"a":"b"},"sync":[1],"suspend":false`, []string{"suspend"}},
		"I add one":               {"labels: {a: b}\nsuspend: true\nsync: [1]\nlater: 1", "labels: {a: b}\nsuspend: true\nsync: [2]", `"labels":{"a":"b"},"suspend":true,"sync":[2],"later":1`, nil},
	} {
		const head = "name: db\nsecretPath: db\n"
		merged, conflicts := Merge(base, one(t, head+c.mine), one(t, head+c.theirs))
		if got, want := string(merged.JSON()), `{"name":"db","secretPath":"db",`+c.want+"}"; got != want || !slices.Equal(conflicts, c.conflicts) {
			t.Errorf("%s: got %s, conflicts %q", name, got, conflicts)
		}
	}
}

// What comes out as YAML means the same when it is read again.
func FuzzYAML(f *testing.F) {
	f.Add(`{"name":"db","a":"\u001b\u202e","b":["yes","0x10","1e3","~","2026-01-02","a: b\n c"],"c":{"<<":null,"=":1.0}}`)
	f.Add(`{"name":"x","y":" leading\n trailing \n\n","z":"\r\n","w":"#no","v":"'\""}`)
	f.Fuzz(func(t *testing.T, encoded string) {
		if !json.Valid([]byte(encoded)) {
			t.Skip()
		}
		d, err := FromJSON(json.RawMessage(encoded))
		if err != nil {
			t.Skip()
		}
		again, err := Parse(d.YAML())
		if err != nil || len(again) != 1 {
			t.Skip() // such as a field twice, or a number that YAML has no place for
		}
		if patch, err := d.Patch(again[0]); err != nil || len(patch) > 0 {
			t.Errorf("%s\nbecomes\n%s\n%v", encoded, d.YAML(), patch)
		}
	})
}
