package compose

import (
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

var settings = map[string][]byte{
	"username": []byte("ad@min"), "password": []byte("s3cr3t/&+"),
	"settings": []byte(`{"server":{"port":12345678901234567890,"hosts":["a","b"]}}`),
}

func TestTemplatesMakeTexts(t *testing.T) {
	for _, test := range []struct{ name, template, want string }{
		{"text stays as it is", "plain", "plain"},
		{"a key is its text", "{{ .username }}", "ad@min"},
		{"a URL takes escaped parts", "postgres://{{ .username | urlquery }}:{{ .password | urlquery }}@db/app", "postgres://ad%40min:s3cr3t%2F%26%2B@db/app"},
		{"JSON is taken apart, with every digit", "{{ (fromJson .settings).server.port }}", "12345678901234567890"},
		{"JSON is written, with every digit and its keys in order", `{{ fromJson .settings | toJson }}`, `{"server":{"hosts":["a","b"],"port":12345678901234567890}}`},
		{"a loop goes over a list", "{{ range (fromJson .settings).server.hosts }}{{ . }};{{ end }}", "a;b;"},
		{"a loop is left early", "{{ range (fromJson .settings).server.hosts }}{{ . }}{{ break }}{{ end }}", "a"},
		{"a loop over nothing has its else", "{{ range list }}x{{ else }}none{{ end }}", "none"},
		{"base64 both ways", `{{ "a" | b64enc }} {{ "YQ==" | b64dec }}`, "YQ== a"},
		{"lines are indented", "key: |{{ nindent 2 .username }}", "key: |\n  ad@min"},
		{"what may be missing has a default, by get", `{{ get . "port" | default "5432" }}`, "5432"},
		{"a dictionary is put together", `{{ dict "user" .username | toJson }}`, `{"user":"ad@min"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := definition.CheckTemplate(test.template); err != nil {
				t.Fatal(err)
			}
			got, err := execute(test.template, settings)
			if err != nil || string(got) != test.want {
				t.Errorf("makes %q, %v; not %q", got, err, test.want)
			}
		})
	}
}

func TestTemplatesThatFailNameThePlaceAndNoValue(t *testing.T) {
	for _, test := range []struct{ name, template, says string }{
		{"a key that is missing", "a\n{{ .nope }}", `line 2, at ".nope": the value has no key "nope"`},
		{"a field of a text", "{{ .username.first }}", "fromJson"},
		{"no JSON", "{{ fromJson .password }}", "function fromJson can't use what it is given"},
		{"a string in place of a number", "{{ repeat .password .password }}", "another type"},
		{"a loop without end that does nothing", "{{ range 1000000000000 }}{{ end }}", "too long"},
		{"loops in loops", "{{ range 10000 }}{{ range 10000 }}{{ range 10000 }}{{ end }}{{ end }}{{ end }}", "too long"},
		{"a loop without end in an else", "{{ if false }}{{ else }}{{ range 1000000000000 }}{{ end }}{{ end }}", "too long"},
		{"a text that doubles", `{{ $x := "xx" }}{{ range 64 }}{{ $x = print $x $x }}{{ end }}`, "over"},
		{"a text that doubles unseen", `{{ $x := "xx" }}{{ range 64 }}{{ $x = cat $x $x }}{{ end }}`, "over"},
		{"a dictionary that doubles as a text", `{{ $d := dict }}{{ range 64 }}{{ $d = dict "a" $d "b" $d }}{{ end }}{{ $d | toJson }}`, "over"},
		{"a list that doubles as a text", `{{ $d := list "x" }}{{ range 64 }}{{ $d = list $d $d }}{{ end }}{{ join "" $d }}`, "over"},
		{"much of little", `{{ repeat 1000000000 "x" }}`, "over"},
		{"less than nothing", `{{ repeat -1 "x" }}`, "can't use"},
		{"much between little", `{{ $x := repeat 100000 "x" }}{{ replace "x" $x $x }}`, "over"},
		{"much between characters", `{{ $x := repeat 100000 "x" }}{{ replace "" $x $x }}`, "over"},
		{"much in front of little", `{{ indent 100000000 "x" }}`, "over"},
		{"much between items", `{{ $x := repeat 500000 "x" }}{{ join $x (splitList "" $x) }}`, "over"},
		{"a wide number", `{{ printf "%100000000d" 1 }}`, "pads"},
		{"a number as wide as another says", `{{ printf "%*d" 100000 1 }}`, "argument"},
		{"many texts that are large", `{{ $x := repeat 1000000 "x" }}{{ range 1000 }}{{ $y := upper $x }}{{ end }}`, "too long"},
		{"a text that is written again and again", `{{ $x := repeat 100000 "x" }}{{ range 100 }}{{ $x }}{{ end }}`, "over"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := definition.CheckTemplate(test.template); err != nil {
				t.Fatal(err)
			}
			_, err := execute(test.template, settings)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%v, not %q", err, test.says)
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "ad@min") {
				t.Errorf("it tells a value: %v", err)
			}
		})
	}
}

// Engines are used again, and no template sees what another left in one.
func TestATemplateKnowsNothingOfThoseBeforeIt(t *testing.T) {
	for range 3 {
		for _, text := range []string{`{{ define "inner" }}x{{ end }}`, "{{ .x", "a{{ if true }}b{{ end }}", "  ", `{{ define "inner" }}x{{ end }}{{ template "inner" }}`} {
			_, _ = execute(text, nil)
		}
		if got, err := execute(`{{ template "inner" }}`, nil); err == nil {
			t.Errorf("it makes %q of another template", got)
		}
		for _, text := range []string{"\n", "c"} {
			if got, err := execute(text, nil); err != nil || string(got) != text {
				t.Errorf("%q makes %q, %v", text, got, err)
			}
		}
	}
}

func TestEachFunctionIsThere(t *testing.T) {
	if !slices.IsSorted(definition.TemplateFunctions) {
		t.Error("definition.TemplateFunctions is not sorted")
	}
	ours := functions(new(budget))
	own := []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "len"} // text/template's, which make no text
	for _, name := range definition.TemplateFunctions {
		if ours[name] == nil && !slices.Contains(own, name) {
			t.Errorf("%s is promised and missing", name)
		}
	}
	for name := range ours {
		if name != tickName && !slices.Contains(definition.TemplateFunctions, name) {
			t.Errorf("%s is there and not promised", name)
		}
	}
}

func TestTemplatesThatAreRefusedBeforehand(t *testing.T) {
	for _, test := range []struct{ template, says string }{
		{"", "empty"},
		{"a\n{{ .x", "line 2"},
		{`{{ env "HOME" }}`, `no function "env"`},
		{`{{ now }}`, `no function "now"`},
		{`{{ tick }}`, `no function "tick"`},
		{`{{ call .x }}`, `no function "call"`},
		{`{{ define "a" }}x{{ end }}`, "define"},
		{`{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`, "define"},
		{`{{ if true }}{{ template "" }}{{ end }}`, "define"},
		{strings.Repeat("x", definition.MaxTemplateSize+1), "at most"},
	} {
		if err := definition.CheckTemplate(test.template); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.40q: %v, not %q", test.template, err, test.says)
		}
	}
}

// Whatever a template does, it ends, says nothing of the value where it fails, and
// does the same again.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{{ .password }}", "{{ range fromJson .settings }}{{ . }}{{ end }}", `{{ printf "%v" (fromJson .settings) }}`, "{{ index . 1 }}", "{{ slice .username 9 }}"} {
		f.Add(seed)
	}
	const canary = "c4n4ryc4n4ry"
	value := map[string][]byte{"password": []byte(canary), "username": []byte(canary), "settings": []byte(`{"a":["` + canary + `",1]}`)}
	f.Fuzz(func(t *testing.T, text string) {
		if definition.CheckTemplate(text) != nil {
			return
		}
		got, err := execute(text, value)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Fatalf("it tells a value: %v", err)
		}
		if len(got) > MaxSize {
			t.Fatalf("%d bytes", len(got))
		}
		again, failed := execute(text, value)
		if string(again) != string(got) || (err == nil) != (failed == nil) {
			t.Fatalf("once %q, %v; then %q, %v", got, err, again, failed)
		}
	})
}
