package compose

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"secretsync/gitstore/definition"
)

var settings = map[string][]byte{
	"username": []byte("ad@min"), "password": []byte("s3cr3t/&+"),
	"settings": []byte(`{"server":{"port":12345678901234567890,"hosts":["a","b"],"note":null}}`), "tls.crt": []byte("PEM"),
}

// run executes one template with all the work that a copy's may do.
func run(text string, value map[string][]byte) ([]byte, error) {
	return execute(text, value, new(int(mostWork)))
}

func TestTemplatesMakeTexts(t *testing.T) {
	for _, test := range []struct{ name, template, want string }{
		{"text stays as it is", "plain", "plain"},
		{"a key is its text", "{{ .username }}", "ad@min"},
		{"a URL takes escaped parts", "postgres://{{ .username | urlquery }}:{{ .password | urlquery }}@db/app", "postgres://ad%40min:s3cr3t%2F%26%2B@db/app"},
		{"JSON is taken apart, with every digit", "{{ (fromJson .settings).server.port }}", "12345678901234567890"},
		{"JSON is written, with every digit and its keys in order", `{{ fromJson .settings | toJson }}`, `{"server":{"hosts":["a","b"],"note":null,"port":12345678901234567890}}`},
		{"a loop goes over a list", "{{ range (fromJson .settings).server.hosts }}{{ . }};{{ end }}", "a;b;"},
		{"a loop is left early", "{{ range (fromJson .settings).server.hosts }}{{ . }}{{ break }}{{ end }}", "a"},
		{"a loop over nothing has its else", "{{ range list }}x{{ else }}none{{ end }}", "none"},
		{"base64 both ways", `{{ "a" | b64enc }} {{ "YQ==" | b64dec }}`, "YQ== a"},
		{"lines are indented", "key: |{{ nindent 2 .username }}", "key: |\n  ad@min"},
		{"what may be missing has a default, by get", `{{ get . "port" | default "5432" }}`, "5432"},
		{"a text is written twice by its number", `{{ printf "%[1]s-%[1]s" .username }}`, "ad@min-ad@min"},
		{"a key with a dot in it", `{{ index . "tls.crt" }}`, "PEM"},
		{"what is missing is asked for and not written", `{{ if index . "port" }}x{{ end }}{{ with index . "port" }}x{{ end }}{{ index . "port" | default "5432" }}`, "5432"},
		{"what is nothing in JSON is none in JSON either", `{{ (fromJson .settings).server.note | toJson }}`, "null"},
		{"a text that ends like a verb", `{{ printf "%s!" "100%" }}`, "100%!"},
		{"a text in which there is what printf writes of a mistake", `{{ printf "%s" "100%!" }}`, "100%!"},
		{"texts, numbers and nothing are compared", `{{ eq "a" "b" "a" }} {{ 1 | lt 0 }} {{ eq (index . "port") nil }} {{ ne .username "x" }} {{ and (le 1 2) (gt "b" "a") }}`, "true true true true true"},
		{"what is looked up is handed on", `{{ "tls.crt" | index . }}`, "PEM"},
		{"loops in loops, over a number, a dictionary and nothing", `{{ range $i := 2 }}{{ range $k, $v := dict "a" 1 "b" 2 }}{{ $i }}{{ $k }}{{ $v }} {{ else }}-{{ end }}{{ end }}{{ range (fromJson $.settings).server.note }}x{{ else }}none{{ end }}`, "0a1 0b2 1a1 1b2 none"},
		{"a dictionary is put together", `{{ dict "user" .username | toJson }}`, `{"user":"ad@min"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := definition.CheckTemplate(test.template); err != nil {
				t.Fatal(err)
			}
			got, err := run(test.template, settings)
			if err != nil || string(got) != test.want {
				t.Errorf("makes %q, %v; not %q", got, err, test.want)
			}
		})
	}
}

// A text is refused before it is made.
func TestATemplateThatMakesMuchOfLittleHoldsLittleMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := run(`{{ printf (repeat 10000 "%[1]s") (repeat 10000 "x") }}`, nil)
	runtime.ReadMemStats(&after)
	if made := (after.TotalAlloc - before.TotalAlloc) >> 20; err == nil || made > 20 {
		t.Errorf("%d MB, %v", made, err)
	}
}

func TestTemplatesThatFailNameThePlaceAndNoValue(t *testing.T) {
	for _, test := range []struct{ name, template, says string }{
		{"a key that is missing", "a\n{{ .nope }}", `line 2, at ".nope": the value has no key "nope"`},
		{"a key with a dot that is missing", `{{ index . "tsl.crt" }}`, "there is nothing to write"},
		{"one that is handed on", `{{ index . "tsl.crt" | urlquery }}`, "function urlquery is given nothing"},
		{"one that is quoted", `{{ index . "tsl.crt" | quote }}`, "function quote is given nothing"},
		{"one among others", `{{ printf "%s-%v" .username (index . "tsl.crt") }}`, "function printf is given nothing"},
		{"one in a list", `{{ join "," (list .username (index . "tsl.crt")) }}`, "function join is given nothing"},
		{"null in JSON", `{{ (fromJson .settings).server.note }}`, "there is nothing to write"},
		{"null in JSON among others", `{{ cat "a" (fromJson .settings).server.note }}`, "function cat is given nothing"},
		{"the first of none", `{{ first list }}`, "there is nothing to write"},
		{"none in a variable", `{{ $x := index . "tsl.crt" }}{{ if true }}{{ range 1 }}{{ if false }}{{ else }}{{ $x }}{{ end }}{{ end }}{{ end }}`, `line 1, at "$x": there is nothing to write`},
		{"what is no base64", `{{ .password | b64dec }}`, "function b64dec can't use what it is given"},
		{"what is no base32", `{{ .password | b32dec }}`, "function b32dec can't use what it is given"},
		{"a text as a number", `{{ printf "%d" .password }}`, "function printf"},
		{"a text as a number, where another holds what printf writes of a mistake", `{{ printf "%d %s" .username "100%!" }}`, "function printf"},
		{"fewer than printf writes", `{{ printf "%s:%s" .password }}`, "function printf"},
		{"more than printf writes", `{{ printf "%s" .password .username }}`, "function printf"},
		{"a field of a text", "{{ .username.first }}", "fromJson"},
		{"no JSON", "{{ fromJson .password }}", "function fromJson can't use what it is given"},
		{"a string in place of a number", "{{ repeat .password .password }}", "another type"},
		{"a loop without end that does nothing", "{{ range 1000000000000 }}{{ end }}", "too long"},
		{"loops in loops", "{{ range 10000 }}{{ range 10000 }}{{ range 10000 }}{{ end }}{{ end }}{{ end }}", "too long"},
		{"a loop without end in an else", "{{ if false }}{{ else }}{{ range 1000000000000 }}{{ end }}{{ end }}", "too long"},
		{"a loop with much in its body", "{{ range 40000 }}" + strings.Repeat("{{ $x := $ }}", 1000) + "{{ end }}", "too long"},
		{"a loop that compares large texts", `{{ $x := repeat 1000000 "x" }}{{ range 1000 }}{{ if eq $x "a" $x }}{{ end }}{{ end }}`, `at "$x": it takes too long`},
		{"a loop that hands large texts on to be compared", `{{ $x := repeat 1000000 "x" }}{{ range 2000 }}{{ if $x | lt "a" }}{{ end }}{{ end }}`, "too long"},
		{"a loop that looks large texts up", `{{ $d := dict }}{{ $x := repeat 1000000 "x" }}{{ range 2000 }}{{ if index $d $x }}{{ end }}{{ end }}`, "too long"},
		{"a loop that begins to go over a dictionary", `{{ $d := split "" (repeat 10000 "x") }}{{ range 40 }}{{ range $k, $v := $d }}{{ break }}{{ end }}{{ end }}`, `at "$k, $v := $d": it takes too long`},
		{"many characters looked for among many", `{{ trimAll (cat (repeat 100000 "x") "é") (repeat 100000 "é") }}`, "too long"},
		{"texts that can't be compared", `{{ if true }}{{ eq .username 1 }}{{ end }}`, `line 1, at "eq .username 1": function eq can't use what it is given`},
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
		{"one text again and again by its number", `{{ printf (repeat 100000 "%[1]s") (repeat 10000 "x") }}`, "over"},
		{"a wide number", `{{ printf "%100000000d" 1 }}`, "pads"},
		{"a number as wide as another says", `{{ printf "%*d" 100000 1 }}`, "argument"},
		{"many texts that are large", `{{ $x := repeat 1000000 "x" }}{{ range 1000 }}{{ $y := upper $x }}{{ end }}`, "too long"},
		{"a text that is written again and again", `{{ $x := repeat 100000 "x" }}{{ range 100 }}{{ $x }}{{ end }}`, "over"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := definition.CheckTemplate(test.template); err != nil {
				t.Fatal(err)
			}
			_, err := run(test.template, settings)
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
			_, _ = run(text, nil)
		}
		if got, err := run(`{{ template "inner" }}`, nil); err == nil {
			t.Errorf("it makes %q of another template", got)
		}
		for _, text := range []string{"\n", "c"} {
			if got, err := run(text, nil); err != nil || string(got) != text {
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
		if !slices.Contains([]string{tickName, writtenName, rangedName, comparedName}, name) && !slices.Contains(definition.TemplateFunctions, name) {
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
		{`{{ written .x }}`, `no function "written"`},
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
		got, err := run(text, value)
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Fatalf("it tells a value: %v", err)
		}
		if len(got) > MaxSize {
			t.Fatalf("%d bytes", len(got))
		}
		again, failed := run(text, value)
		if string(again) != string(got) || (err == nil) != (failed == nil) {
			t.Fatalf("once %q, %v; then %q, %v", got, err, again, failed)
		}
	})
}

// An engine that was given back while its budget was yet to be read could be another's by then.
func TestTemplatesThatRunAtOnceHaveABudgetEach(t *testing.T) {
	value := map[string][]byte{"name": []byte("ada"), "list": []byte(`["a","b","c"]`)}
	cost := func(text string) int {
		left := int(mostWork)
		if _, err := execute(text, value, &left); err != nil {
			t.Error(err)
		}
		return int(mostWork) - left
	}
	texts := []string{`{{ .name }}`, `{{ range fromJson .list }}{{ . }}{{ end }}{{ .name | urlquery }}`}
	alone := []int{cost(texts[0]), cost(texts[1])}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 200 {
				if got := cost(texts[i%2]); got != alone[i%2] {
					t.Errorf("%s costs %d, and %d by itself", texts[i%2], got, alone[i%2])
					return
				}
			}
		})
	}
	all.Wait()
}
