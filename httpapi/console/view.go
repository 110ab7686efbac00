package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"time"

	"secretsync/httpapi/console/lines"
	"secretsync/reconcile/fault"
)

//go:embed templates/*.html
var templates embed.FS

// page is what the frame around every page is made from.
type page struct {
	Title     string
	Path      string
	Assets    string
	RequestID string
	Who       *Identity // nil: nobody is signed in
	Token     string
	Data      any
}

// parsePages makes a template of each page within the frame that all have.
func parsePages() (map[string]*template.Template, error) {
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	frame, err := template.New("").Funcs(functions).ParseFS(templates, "templates/frame.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		t, err := frame.Clone()
		if err == nil {
			t, err = t.ParseFS(templates, name)
		}
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return pages, nil
}

var functions = template.FuncMap{
	"when":    when,
	"short":   short,
	"code":    code,
	"explain": explain,
	"number":  number,
	"visible": lines.Visible,
	"plural": func(n int, one, many string) string {
		if n == 1 {
			return one
		}
		return many
	},
	"add": func(a, b int) int { return a + b },
	"hasPrefix": func(s, prefix string) bool {
		return strings.HasPrefix(s, prefix)
	},
}

// when shows a time so that it can be read without script, and by the reader's own
// manner with it.
func when(t any) template.HTML {
	var at time.Time
	switch t := t.(type) {
	case time.Time:
		at = t
	case *time.Time:
		if t != nil {
			at = *t
		}
	}
	if at.IsZero() {
		return `<span class="none">–</span>`
	}
	at = at.UTC()
	return template.HTML(`<time datetime="` + at.Format(time.RFC3339) + `">` + at.Format("2006-01-02 15:04") + ` UTC</time>`)
}

// number shows one so that script can write it as the reader does.
func number(n int) template.HTML {
	return template.HTML(fmt.Sprintf(`<data value="%d">%d</data>`, n, n))
}

func short(sha string) string { return sha[:min(len(sha), 8)] }

// code sets what stands between backticks as code; all of it is escaped.
func code(markdown string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(markdown, "`") {
		if i%2 == 1 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
			continue
		}
		b.WriteString(template.HTMLEscapeString(part))
	}
	return template.HTML(b.String())
}

// explain tells what there is to know of a reason; nil for a word that is none.
func explain(reason string) *fault.Explanation {
	e, ok := fault.Explain(fault.Reason(reason))
	if !ok {
		return nil
	}
	return &e
}
