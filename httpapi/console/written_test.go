package console

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestAnEditSendsWhatDiffersAndNoMore(t *testing.T) {
	const base = "# Ours.\nname: db\nsecretPath: a/b\nlabels: {team: payments}\nsync:\n  - cluster: one\n    namespace: x\n"
	for name, c := range map[string]struct {
		text    string
		body    string // as JSON; empty: none is sent
		problem string
	}{
		"another target":           {base + "  - cluster: two\n    namespace: yy\n", `{"sync":[{"cluster":"one","namespace":"x"},{"cluster":"two","namespace":"yy"}]}`, ""},
		"another field":            {strings.Replace(base, "payments", "orders", 1), `{"labels":{"team":"orders"},"sync":[{"cluster":"one","namespace":"x"}]}`, ""},
		"a field that is gone":     {strings.Replace(base, "labels: {team: payments}\n", "", 1), `{"labels":null,"sync":[{"cluster":"one","namespace":"x"}]}`, ""},
		"a new field":              {base + "suspend: true\n", `{"suspend":true,"sync":[{"cluster":"one","namespace":"x"}]}`, ""},
		"no target any more":       {"name: db\nsecretPath: a/b\nlabels: {team: payments}\n", `{"sync":null}`, ""},
		"no sync, and a new field": {"name: db\nsecretPath: a/b\nlabels: {}\n", `{"labels":{},"sync":null}`, ""},
		"another path":             {strings.Replace(base, "a/b", "a/c", 1), "", "secretPath can't be changed"},
		"another name":             {strings.Replace(base, "name: db", "name: dc", 1), "", "name can't be changed"},
		"the order of fields":      {"secretPath: a/b\nname: db\nsync:\n  - namespace: x\n    cluster: one\nlabels: {team: payments}\n", "", "Only comments"},
		"nothing":                  {base, "", "Nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			body, problem := bodyOfEdit(base, c.text)
			if (problem == "") != (c.problem == "") || !strings.Contains(problem, c.problem) {
				t.Fatalf("%q", problem)
			}
			if c.body == "" {
				return
			}
			var got, want map[string]any
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.body), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s", body)
			}
		})
	}
}

func TestTheNameStandsInTheText(t *testing.T) {
	for text, want := range map[string]string{
		"name: db\n": "db",
		"# name: no\nsecretPath: a\nname:   \"db\" # ours\n": "db",
		"name: 'db'\n":              "db",
		"":                          "",
		"names: x\n  name: inner\n": "",
	} {
		if got := nameIn(text); got != want {
			t.Errorf("%q is named %q", text, got)
		}
	}
}

func TestAMistakeIsToldWithItsLine(t *testing.T) {
	c := checkText("db", "name: db\nsecretPath: a\nsync:\n  - cluster: one\n    namepsace: x\n")
	if len(c.Problems) == 0 || c.Problems[0].Line != 4 && c.Problems[0].Line != 5 {
		t.Errorf("%+v", c.Problems)
	}
	if c := checkText("", "secretPath: a\n"); len(c.Problems) != 1 || !strings.Contains(c.Problems[0].Cause, "name") {
		t.Errorf("%+v", c.Problems)
	}
	if c := checkText("db", "name: db\nsecretPath: a\n"); len(c.Problems) != 0 {
		t.Errorf("%+v", c.Problems)
	}
}

// What readers of YAML disagree about is no definition: so what is sent can't be another
// than what was checked.
func TestWhatReadersDisagreeAboutIsRefused(t *testing.T) {
	for _, word := range []string{"y", "no", "0x10", "1e3", "2030-01-02", "~", "1_000"} {
		text := "name: db\nsecretPath: a\nsync:\n  - cluster: one\n    namespace: " + word + "\n"
		if c := checkText("db", text); len(c.Problems) == 0 {
			if body, _ := bodyOfEdit("name: db\nsecretPath: a\n", text); !strings.Contains(string(body), `"namespace":"`+word+`"`) {
				t.Errorf("%s is checked as text, and sent in %s", word, body)
			}
		}
	}
}

func TestWhatCanBeWrittenIsTheSchemas(t *testing.T) {
	all, err := definitionFields()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
		if f.About == "" {
			t.Errorf("nothing is said of %s", f.Name)
		}
		if f.Name == "sync" && (len(f.Inner) < 3 || f.Inner[0].Name != "cluster") {
			t.Errorf("%+v", f.Inner)
		}
	}
	if len(names) < 3 || names[0] != "name" || names[1] != "secretPath" {
		t.Errorf("%v", names)
	}
}
