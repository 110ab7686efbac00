package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// description is the served document, for tests.
type description struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

var loadDescription = sync.OnceValues(func() (*description, error) {
	text, err := openAPIDocument()
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	d := &description{document: root.(map[string]any), compiler: jsonschema.NewCompiler()}
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource("api.json", root)
})

// at follows a JSON pointer, through references, and returns where it ended.
func (d *description) at(pointer string) (map[string]any, string) {
	var v any = d.document
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		v = v.(map[string]any)[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, pointer
	}
	if ref, ok := m["$ref"].(string); ok {
		return d.at(ref)
	}
	return m, pointer
}

func pointerTo(parts ...string) string {
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
	}
	return "#/" + strings.Join(parts, "/")
}

// template turns a request's path into the document's, if it has one. With a verb
// behind a parameter it is the one that has it.
func (d *description) template(path string) (found string, ok bool) {
	for template := range d.document["paths"].(map[string]any) {
		want, got := strings.Split(template, "/"), strings.Split(path, "/")
		matches := slices.EqualFunc(want, got, func(w, g string) bool {
			_, verb, parameter := strings.Cut(w, "}")
			return w == g || parameter && g != verb && strings.HasSuffix(g, verb)
		})
		if matches && len(template) > len(found) {
			found, ok = template, true
		}
	}
	return found, ok
}

// witness is a transport that holds every answer against the description and
// remembers what it saw.
type witness struct {
	t testing.TB
	d *description

	mu   sync.Mutex
	seen map[string]bool // pointers into the document
}

func newWitness(t testing.TB) *witness {
	d, err := loadDescription()
	if err != nil {
		t.Fatal(err)
	}
	return &witness{t: t, d: d, seen: map[string]bool{}}
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	w.judge(r, response, body)
	return response, nil
}

// documentedHeaders are those that mean something to a client of this API; the
// others (Date, security headers) are of HTTP.
var documentedHeaders = []string{"X-Request-Id", "Etag", "Location", "Warning", "Www-Authenticate", "Retry-After", "Preference-Applied"}

func (w *witness) judge(r *http.Request, response *http.Response, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	call := fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, response.StatusCode)
	path, ok := w.d.template(r.URL.Path)
	method := strings.ToLower(r.Method)
	if !ok || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return // 404, or described in words
	}
	if operation, _ := w.d.at(pointerTo("paths", path, method)); operation == nil {
		return // 405, or refused before that
	}
	status := strconv.Itoa(response.StatusCode)
	answer, pointer := w.d.at(pointerTo("paths", path, method, "responses", status))
	if answer == nil && response.StatusCode >= 500 {
		status = "default"
		answer, pointer = w.d.at(pointerTo("paths", path, method, "responses", status))
	}
	if answer == nil {
		w.t.Errorf("%s is not described; body %s", call, body)
		return
	}
	w.seen[pointerTo("paths", path, method, "responses", status)] = true

	headers, _ := answer["headers"].(map[string]any)
	for _, name := range documentedHeaders {
		described := false
		for header := range headers {
			if http.CanonicalHeaderKey(header) == name {
				described = true
				if response.Header.Get(name) != "" {
					w.seen[pointer+"/headers/"+header] = true
				}
			}
		}
		if response.Header.Get(name) != "" && !described && status != "default" {
			w.t.Errorf("%s has the header %s, which is not described", call, name)
		}
	}

	content, _ := answer["content"].(map[string]any)
	if (content == nil) != (len(body) == 0) {
		w.t.Errorf("%s has the body %q; described is %v", call, body, content)
		return
	}
	if content["application/json"] == nil {
		return
	}
	at := pointer + "/content/application~1json/schema"
	schema, err := w.d.compiler.Compile("api.json" + at)
	if err != nil {
		w.t.Fatalf("%s: %v", at, err)
	}
	if response.Header.Get("Content-Encoding") != "" {
		return
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		w.t.Errorf("%s: %v in %s", call, err, body)
		return
	}
	if err := schema.Validate(instance); err != nil {
		w.t.Errorf("%s: %v\nin %s", call, err, body)
	}
	w.mark(at, instance)
}

// mark remembers which properties of the schema an instance has.
func (w *witness) mark(pointer string, instance any) {
	schema, pointer := w.d.at(pointer)
	if alternatives, ok := schema["anyOf"].([]any); ok {
		for _, alternative := range alternatives {
			if ref, ok := alternative.(map[string]any)["$ref"].(string); ok {
				w.mark(ref, instance)
			}
		}
	}
	switch v := instance.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		for name, value := range v {
			if properties[name] != nil {
				at := pointer + "/properties/" + name
				w.seen[at] = true
				w.mark(at, value)
			}
		}
	case []any:
		if schema["items"] != nil {
			for _, item := range v {
				w.mark(pointer+"/items", item)
			}
		}
	}
}
