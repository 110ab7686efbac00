package parse

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/corpus"
)

func TestEveryFieldIsRead(t *testing.T) {
	f, err := Read([]byte(corpus.Shaped))
	if err != nil {
		t.Fatal(err)
	}
	d := f.Definition
	s := d.Shape
	if s.Type.String() != "kubernetes.io/tls" || s.Mode != "" || s.DeletionPolicy != definition.Delete || s.Suspend == nil || *s.Suspend || s.RefreshInterval.Duration().Seconds() != 30 {
		t.Errorf("%+v", s)
	}
	keys := make(map[string]definition.DataKey)
	for _, k := range s.Data {
		keys[k.Key] = k
	}
	if len(keys) != 7 || keys["port"].Field != "server.port" || keys["keystore.p12"].Decode != definition.Base64 || keys["ca.crt"].Path.String() != "shared/ca" ||
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
		{"a type of the server's own", "type: secretsync.dev/api-keys", "3", "keeps its own keys"},
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
		{"no workload", "sync:\n  - {cluster: c, namespace: n, restart: []}", "4", "restart is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := File("secrets/a-b.yaml", []byte(head+test.content+"\n"))
			if err == nil || !strings.HasPrefix(err.Error(), "secrets/a-b.yaml:"+test.line+": ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; not line %s: %s", err, test.line, test.says)
			}
		})
	}
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
		_, err := Object(parsed)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, not %s", object, err, want)
		}
	}
}
