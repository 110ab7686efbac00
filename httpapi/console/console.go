package console

import (
	"bytes"
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"secretsync/httpapi/console/session"
)

// Console serves the pages. It is safe for concurrent use.
type Console struct {
	api      API
	now      func() time.Time
	sessions *session.Store
	origin   *http.CrossOriginProtection
	mux      *http.ServeMux
	pages    map[string]*template.Template
	fields   []field // of a definition
	lists    lists
	commits  commits
	serving  <-chan struct{} // closed when the server ends
}

// New makes a console over an API. Streams end when serving is closed.
func New(api API, now func() time.Time, serving <-chan struct{}) (*Console, error) {
	c := &Console{api: api, now: now, sessions: session.NewStore(now), origin: http.NewCrossOriginProtection(),
		mux: http.NewServeMux(), serving: serving}
	var err error
	if c.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if c.fields, err = definitionFields(); err != nil {
		return nil, err
	}
	c.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { seeOther(w, r, home) })
	c.mux.HandleFunc("GET /console/assets/"+assetHash()+"/{file}", serveAsset)
	c.mux.HandleFunc("GET "+SignInPath, c.askForKey)
	c.mux.HandleFunc("POST "+SignInPath, c.signIn)
	c.visit("GET "+home+"{$}", (*visit).overview)
	c.visit("GET /console/live", (*visit).live)
	c.visit("GET /console/map", (*visit).showMap)
	c.visit("GET /console/tenant", (*visit).showTenant)
	c.visit("GET /console/keys", (*visit).showKeys)
	c.visit("GET /console/orphans", (*visit).showOrphans)
	c.visit("GET /console/new", (*visit).askForNew)
	c.visit("GET /console/d/{name}", (*visit).showDefinition)
	c.visit("GET /console/d/{name}/edit", (*visit).askForEdit)
	c.visit("GET /console/d/{name}/delete", (*visit).askForDelete)
	c.visit("GET /console/d/{name}/revert", (*visit).askForRevert)
	c.form("POST /console/sign-out", (*visit).signOut)
	c.form("POST /console/check", (*visit).check)
	c.form("POST /console/new", (*visit).create)
	c.form("POST /console/keys", (*visit).makeKey)
	c.form("POST /console/keys/revoke", (*visit).revokeKey)
	c.form("POST /console/sync", (*visit).syncAll)
	c.form("POST /console/deletions/release", (*visit).release)
	c.form("POST /console/orphans/delete", (*visit).deleteOrphan)
	c.form("POST /console/d/{name}/edit", (*visit).edit)
	c.form("POST /console/d/{name}/sync", (*visit).syncNow)
	c.form("POST /console/d/{name}/delete", (*visit).deleteDefinition)
	c.form("POST /console/d/{name}/revert", (*visit).revert)
	return c, nil
}

const (
	home = "/console/"
	// SignInPath is where a key is sent to, in a form's field "key".
	SignInPath = "/console/sign-in"
	// MaxSignIn bounds that form.
	MaxSignIn = 16 << 10
	// maxForm bounds a form: a definition's text, and what stands around it.
	maxForm = 256 << 10
)

// EndSessions ends all sessions of a key that was revoked.
func (c *Console) EndSessions(keyID string) { c.sessions.EndOf(keyID) }

// Refuse answers a request for a page with what is the matter.
func (c *Console) Refuse(w http.ResponseWriter, r *http.Request, err *Error) {
	setPolicy(w.Header())
	c.fail(w, r, nil, err)
}

func setPolicy(h http.Header) {
	h["Content-Security-Policy"] = policy
	h["Referrer-Policy"] = []string{"same-origin"} // none at all would take the Origin from forms
	h["X-Frame-Options"] = []string{"DENY"}
	h["Cross-Origin-Opener-Policy"] = sameOrigin
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	h["Permissions-Policy"] = []string{"camera=(), geolocation=(), microphone=(), payment=(), usb=()"}
}

// Serve answers a request for a page. With secure cookies are for TLS alone.
func (c *Console) Serve(w http.ResponseWriter, r *http.Request, secure bool) {
	setPolicy(w.Header())
	if secure {
		r = r.WithContext(withSecure(r.Context()))
	}
	if err := c.origin.Check(r); err != nil {
		c.fail(w, r, nil, &Error{Status: http.StatusForbidden, Sentence: "this request was sent by another page than one of this console, and was not carried out"})
		return
	}
	if _, pattern := c.mux.Handler(r); pattern == "" {
		c.fail(w, r, nil, &Error{Status: http.StatusNotFound, Sentence: "there is no such page"})
		return
	}
	c.mux.ServeHTTP(w, r)
}

// Shared by all answers.
var (
	policy = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"}
	sameOrigin = []string{"same-origin"}
)

// visit has a page be served to those who are signed in.
func (c *Console) visit(pattern string, show func(*visit, http.ResponseWriter) error) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s := c.sessionOf(r)
		if s == nil {
			toSignIn(w, r)
			return
		}
		c.run(w, r, s, show)
	})
}

// form is visit for what changes something.
func (c *Console) form(pattern string, act func(*visit, http.ResponseWriter) error) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s := c.sessionOf(r)
		if s == nil {
			toSignIn(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			c.fail(w, r, s, &Error{Status: http.StatusBadRequest, Sentence: "the form can't be read: it is malformed, or too large"})
			return
		}
		if !s.Genuine(r.PostForm.Get("token")) {
			c.fail(w, r, s, &Error{Status: http.StatusForbidden, Sentence: "this form is not of your session, and was not carried out: load the page again"})
			return
		}
		c.run(w, r, s, act)
	})
}

func (c *Console) run(w http.ResponseWriter, r *http.Request, s *session.Session, do func(*visit, http.ResponseWriter) error) {
	v := &visit{c: c, r: r, s: s, who: s.Who, ctx: r.Context()}
	err := do(v, w)
	switch {
	case err == nil:
	case errors.Is(err, errSessionOver):
		setCookie(w, isSecure(r), "")
		toSignIn(w, r)
	default:
		c.fail(w, r, s, err)
	}
}

// byScript is the header of the script's requests: it says whether the page is kept
// fresh, which is no use of the session, or somebody typed, which is.
const (
	byScript = "X-Console-Refresh"
	typed    = "typed"
)

func (c *Console) sessionOf(r *http.Request) *session.Session {
	cookie, err := r.Cookie(cookieName(isSecure(r)))
	if err != nil {
		return nil
	}
	why := r.Header.Get(byScript)
	return c.sessions.Find(cookie.Value, (why == "" || why == typed) && r.URL.Path != "/console/live")
}

// toSignIn asks for a key, and remembers what was asked for, if it was a page.
func toSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(byScript) != "" || r.URL.Path == "/console/live" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	to := SignInPath
	if r.Method == http.MethodGet && r.URL.RequestURI() != home {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	seeOther(w, r, to)
}

// seeOther goes to a path of ours.
func seeOther(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// nextPath is where to go after sign-in: a page of ours, whatever was asked for.
func nextPath(s string) string {
	if !strings.HasPrefix(s, home) || strings.ContainsAny(s, "\\\r\n") || strings.Contains(s, "..") || strings.HasPrefix(s, SignInPath) || len(s) > 2000 {
		return home
	}
	return s
}

func (c *Console) askForKey(w http.ResponseWriter, r *http.Request) {
	next := nextPath(r.URL.Query().Get("next"))
	if c.sessionOf(r) != nil {
		seeOther(w, r, next)
		return
	}
	c.render(w, r, nil, http.StatusOK, "signin", "Sign in", signInPage{Next: next})
}

type signInPage struct{ Next, Problem string }

// signIn is the one place that sees a key.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxSignIn)
	if err := r.ParseForm(); err != nil {
		c.fail(w, r, nil, &Error{Status: http.StatusBadRequest, Sentence: "the form can't be read"})
		return
	}
	next := nextPath(r.PostForm.Get("next"))
	who, err := c.api.SignIn(r, strings.TrimSpace(r.PostForm.Get("key")))
	if err != nil {
		status := http.StatusInternalServerError
		if told, ok := errors.AsType[*Error](err); ok {
			status = told.Status
		}
		c.render(w, r, nil, status, "signin", "Sign in", signInPage{Next: next, Problem: err.Error()})
		return
	}
	if old := c.sessionOf(r); old != nil {
		c.sessions.End(old)
	}
	_, secret := c.sessions.Begin(who)
	setCookie(w, isSecure(r), secret)
	seeOther(w, r, next)
}

func (v *visit) signOut(w http.ResponseWriter) error {
	v.c.sessions.End(v.s)
	v.c.api.SignedOut(v.r, v.who)
	setCookie(w, isSecure(v.r), "")
	w.Header().Set("Clear-Site-Data", `"cache"`)
	seeOther(w, v.r, SignInPath)
	return nil
}

// fail shows an error as a page.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, s *session.Session, err error) {
	told, ok := errors.AsType[*Error](err)
	if !ok {
		told = &Error{Status: http.StatusInternalServerError, Sentence: "something went wrong on our side; the log has the cause under this request's id"}
	}
	c.render(w, r, s, told.Status, "problem", http.StatusText(told.Status), told)
}

// render writes a page whole, or none of it.
func (c *Console) render(w http.ResponseWriter, r *http.Request, s *session.Session, status int, name, title string, data any) {
	p := page{Title: title, Data: data, Path: r.URL.Path, Assets: assetPath}
	if s != nil {
		p.Who, p.Token = &s.Who, s.Form
	}
	p.RequestID = w.Header().Get("X-Request-Id")
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "page", &p); err != nil {
		http.Error(w, "the page can't be shown", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // a client that went away is no error of ours
	}
}

func (v *visit) render(w http.ResponseWriter, name, title string, data any) error {
	v.c.render(w, v.r, v.s, cmp.Or(v.status, http.StatusOK), name, title, data)
	return nil
}

// fragment writes a part of a page, for the script to put in.
func (c *Console) fragment(w http.ResponseWriter, name, part string, data any) error {
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, part, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(b.Bytes()) // a client that went away is no error of ours
	return nil
}
