package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"secretsync/gitstore/catalog"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

// consoleWorld is a world with a console.
func consoleWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	return newWorld(t, append(change, func(c *Config) { c.Console = ConsoleHere })...)
}

// person is somebody with a browser without script.
type person struct {
	*world
	client *http.Client
	token  string // of the forms of the last page
	header http.Header
}

func newPerson(w *world) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &person{world: w, header: http.Header{}, client: &http.Client{Jar: jar}}
}

// signedIn is a person who signed in with a key.
func signedIn(w *world, key string) *person {
	w.Helper()
	p := newPerson(w)
	if status, body := p.send("/console/sign-in", url.Values{"key": {key}}); status != 200 || !strings.Contains(body, "Sign out") {
		w.Fatalf("sign-in: %d %s", status, body)
	}
	return p
}

var tokenInForm = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (p *person) ask(r *http.Request) (int, string) {
	p.Helper()
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for name, values := range p.header {
		r.Header[name] = values
	}
	answer, err := p.client.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.Fatal(err)
	}
	if found := tokenInForm.FindSubmatch(body); found != nil {
		p.token = string(found[1])
	}
	return answer.StatusCode, string(body)
}

func (p *person) see(path string) (int, string) {
	p.Helper()
	r, err := http.NewRequest(http.MethodGet, p.url+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	return p.ask(r)
}

// mustSee is a page that is there.
func (p *person) mustSee(path string) string {
	p.Helper()
	status, body := p.see(path)
	if status != http.StatusOK {
		p.Fatalf("%s: %d %s", path, status, body)
	}
	return body
}

// send sends a form, with the token of the last page unless it has one.
func (p *person) send(path string, form url.Values) (int, string) {
	p.Helper()
	if !form.Has("token") {
		form.Set("token", p.token)
	}
	r, err := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.ask(r)
}

const dbFile = "# Ours.\nname: db\nsecretPath: production/db\nsync:\n  - cluster: production\n    namespace: default\n"

func TestTheRootIsAPageForPeopleAndNoPathForPrograms(t *testing.T) {
	w := consoleWorld(t)
	for _, accept := range []string{"application/json", "*/*", ""} {
		r := w.do("GET", "/", "", "", "Accept: "+accept)
		if r.status != http.StatusNotFound || !strings.Contains(w.errorOf(r), "no such path") {
			t.Errorf("Accept %q: %d %s", accept, r.status, r.body)
		}
	}
	if r := w.do("GET", "/", "", "", "Accept: text/html"); r.status != http.StatusSeeOther || r.header.Get("Location") != "/console/" {
		t.Errorf("%d %v", r.status, r.header)
	}
	p := newPerson(w)
	if body := p.mustSee("/"); !strings.Contains(body, `name="key"`) {
		t.Errorf("a person is not asked for a key: %s", body)
	}
	off := newWorld(t)
	for _, path := range []string{"/", "/console/", "/console/sign-in"} {
		if r := off.do("GET", path, "", "", "Accept: text/html"); r.status != http.StatusNotFound {
			t.Errorf("switched off, %s is %d", path, r.status)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAStreamTellsThatSomethingChanged(t *testing.T) {
	w := consoleWorld(t)
	p := signedIn(w, w.reader)
	stream, err := p.client.Get(w.url + "/console/live")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v", stream.Header)
	}
	lines := bufio.NewScanner(stream.Body)
	for lines.Scan() && lines.Text() != "event: change" {
		w.reconciler.announce() // as often as it takes for the stream to be there
	}
	if lines.Err() != nil {
		t.Error(lines.Err())
	}
	for range 6 {
		answer, err := p.client.Get(w.url + "/console/live")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("a session has any number of streams")
}

func TestAReadonlyKeySeesNoFormThatItCantUse(t *testing.T) {
	w := consoleWorld(t)
	w.push("secrets/db.yaml", dbFile)
	p := signedIn(w, w.reader)
	for _, path := range []string{"/console/", "/console/d/db", "/console/tenant", "/console/map"} {
		body := p.mustSee(path)
		forms := regexp.MustCompile(`<form method="post" action="([^"]*)"`).FindAllStringSubmatch(body, -1)
		if len(forms) != 1 || forms[0][1] != "/console/sign-out" || strings.Contains(body, "/edit") || strings.Contains(body, "/console/new") {
			t.Errorf("%s has %v", path, forms)
		}
	}
	for _, path := range []string{"/console/keys", "/console/orphans"} {
		if status, body := p.see(path); status != http.StatusForbidden || !strings.Contains(body, "admin access required") {
			t.Errorf("%s: %d", path, status)
		}
	}
	head := w.repository.Snapshot().Head()
	for path, form := range map[string]url.Values{
		"/console/d/db/edit": {"text": {dbFile + "  - cluster: staging\n    namespace: default\n"}, "match": {head.String()}}, "/console/d/db/delete": {}, "/console/d/db/sync": {},
		"/console/new": {"text": {strings.ReplaceAll(dbFile, "db", "xy")}}, "/console/keys": {"displayName": {"x"}, "role": {"admin"}},
	} {
		if status, body := p.send(path, form); status != http.StatusForbidden || !strings.Contains(body, "admin access required") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if w.repository.Snapshot().Head() != head {
		t.Error("something was written")
	}
}

func TestMarkupInAnyFieldIsText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'` + "`"
	w := consoleWorld(t)
	w.push("secrets/db.yaml", "# "+evil+"\n"+dbFile)
	w.push("secrets/"+"<b>evil<b>"+".yaml", evil)
	w.repository.MustPush(map[string]*string{"secrets/db.yaml": ptr("# " + evil + " again\n" + dbFile)})
	w.reconciler.set(func(e *catalog.Entry) status.Status {
		s := status.Status{Phase: status.Failed, Ready: status.Condition{Reason: fault.Reason(evil), Message: evil, LastTransition: someTime}}
		for _, target := range e.Definition.Sync {
			s.Targets = append(s.Targets, status.Target{Target: target, Secret: target.Secret(e.Name), State: fault.State(evil), Reason: fault.Reason(evil), Message: evil})
		}
		return s
	})
	w.reconciler.orphans = []sweep.Orphan{{Cluster: mustCluster(t, "production"), Namespace: evil, Secret: evil, Definition: evil, VaultPath: evil, Commit: evil, Doubt: evil}, {Cluster: mustCluster(t, "production"), Namespace: evil, Secret: evil, Definition: evil, VaultPath: evil, Commit: evil}}
	w.reconciler.clusters = []status.Cluster{{Name: mustCluster(t, "production"), Reachable: true, KubernetesVersion: evil}}
	p := signedIn(w, w.admin)
	q := url.QueryEscape(evil)
	for _, path := range []string{
		"/console/", "/console/?q=" + q + "&phase=" + q + "&page=" + q, "/console/?done=" + q, "/console/d/db", "/console/d/db?done=" + q + "&cursor=", "/console/d/db/edit", "/console/d/db/delete",
		"/console/map", "/console/map?q=" + q, "/console/tenant", "/console/keys", "/console/orphans", "/console/new", "/console/sign-in?next=" + q, "/console/d/" + "nowhere", "/console/nowhere?" + q,
	} {
		_, body := p.see(path)
		if strings.Contains(body, "<script>") || strings.Contains(body, "<img") || strings.Contains(body, "onerror=alert(1)>") || strings.Contains(body, "<b>evil") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s lets markup through: %s", path, body)
		}
	}
	for path, form := range map[string]url.Values{
		"/console/d/db/edit":      {"text": {evil}, "match": {evil}},
		"/console/new":            {"text": {"name: " + evil}},
		"/console/check":          {"text": {"name: db\n" + evil}, "name": {"db"}},
		"/console/keys":           {"displayName": {evil}, "role": {evil}, "until": {evil}},
		"/console/keys/revoke":    {"id": {evil}},
		"/console/sign-in":        {"key": {evil}, "next": {evil}},
		"/console/d/db/revert":    {"commit": {evil}},
		"/console/orphans/delete": {"cluster": {evil}, "namespace": {evil}, "secretName": {evil}},
	} {
		_, body := p.send(path, form)
		if strings.Contains(body, "<script>") || strings.Contains(body, "<img") {
			t.Errorf("%s lets markup through: %s", path, body)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestAnEditIsOneCommitOfTheKeyThatSignedIn(t *testing.T) {
	w := consoleWorld(t)
	w.push("secrets/db.yaml", dbFile)
	p := signedIn(w, w.admin)
	body := p.mustSee("/console/d/db/edit")
	match := regexp.MustCompile(`name="match" value="([0-9a-f]{40})"`).FindStringSubmatch(body)
	if match == nil || !strings.Contains(body, "# Ours.") {
		t.Fatalf("%s", body)
	}
	more := dbFile + "  - cluster: staging\n    namespace: default\n"
	edit := func(text string) (int, string) {
		return p.send("/console/d/db/edit", url.Values{"text": {strings.ReplaceAll(text, "\n", "\r\n")}, "match": {match[1]}})
	}
	if status, body := edit(dbFile + "  - cluster: staging\n"); status != 422 || !strings.Contains(body, "Line 7:") {
		t.Errorf("a mistake is not told with its line: %d %s", status, body)
	}
	if status, body := edit(strings.Replace(dbFile, "production/db", "production/other", 1)); status != 422 || !strings.Contains(body, "secretPath can&#39;t be changed") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := edit("# Theirs.\n" + dbFile); status != 422 || !strings.Contains(body, "Only comments") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := edit(more); status != 200 || !strings.Contains(body, "Saved: it is a commit") || !strings.Contains(body, "through the API") || !strings.Contains(body, "admin of acme") {
		t.Errorf("%d %s", status, body)
	}
	file, err := w.repository.File(t.Context(), w.repository.Snapshot().Entries()[0].Name, "HEAD")
	if err != nil || string(file.Text) != more {
		t.Errorf("%q %v", file.Text, err)
	}
	logged := w.logs.String()
	if !strings.Contains(logged, "route=/api/v1/tenants/:tenant/secrets/:name") || !strings.Contains(logged, "method=PATCH") {
		t.Errorf("the write is no line of the log:\n%s", logged)
	}

	// Somebody was faster: nothing is lost, both stand in the text.
	w.push("secrets/db.yaml", more+"  - cluster: production\n    namespace: theirs\n")
	match[1] = regexp.MustCompile(`[0-9a-f]{40}`).FindString(string(w.do("GET", "/api/v1/tenants/acme/secrets/db/history?limit=1&cursor="+w.repository.Snapshot().Head().String(), w.admin, "").body))
	status, body := edit(more + "  - cluster: production\n    namespace: ours\n")
	if status != 412 || !strings.Contains(body, "Somebody else was faster") || !strings.Contains(body, "the text below has both") {
		t.Fatalf("%d %s", status, body)
	}
	text := regexp.MustCompile(`(?s)<textarea[^>]*>\n(.*)</textarea>`).FindStringSubmatch(body)
	match = regexp.MustCompile(`name="match" value="([0-9a-f]{40})"`).FindStringSubmatch(body)
	if text == nil || !strings.Contains(text[1], "namespace: theirs") || !strings.Contains(text[1], "namespace: ours") {
		t.Fatalf("%v", text)
	}
	if status, body := edit(text[1]); status != 200 || !strings.Contains(body, "Saved: it is a commit") {
		t.Errorf("%d %s", status, body)
	}
}

func TestAKeyIsShownOnceAndAPageIsOneLineOfTheLog(t *testing.T) {
	w := consoleWorld(t)
	w.push("secrets/db.yaml", dbFile)
	p := signedIn(w, w.admin)
	p.mustSee("/console/keys")
	_, body := p.send("/console/keys", url.Values{"displayName": {"Dana"}, "role": {"readonly"}, "until": {"2099-12-31"}})
	made := regexp.MustCompile(`kupe_[A-Za-z0-9_-]+`).FindString(body)
	if made == "" || !strings.Contains(body, "2100-01-01") {
		t.Fatalf("%s", body)
	}
	for _, path := range []string{"/console/keys", "/console/", "/console/d/db", "/console/tenant"} {
		if body := p.mustSee(path); strings.Contains(body, "kupe_a") || strings.Contains(body, made) || strings.Contains(body, w.admin) {
			t.Errorf("a key stands in %s", path)
		}
	}
	signedIn(w, made)
	p.header.Set("X-Request-Id", "one-page")
	p.mustSee("/console/d/db")
	p.header.Del("X-Request-Id")
	// The line of the page itself is the last one, and may come after its answer.
	var lines []string
	w.logs.Await(t.Context(), func(logs string) bool {
		lines = regexp.MustCompile(`level=INFO msg=request .*request_id=one-page.*`).FindAllString(logs, -1)
		return len(lines) > 0 && strings.Contains(lines[len(lines)-1], "route=/console/*page")
	})
	if len(lines) != 1 {
		t.Errorf("a page is %d lines in the log: %q", len(lines), lines)
	}
	if !strings.Contains(w.logs.String(), "route=/console/*page") || !regexp.MustCompile(`route=/console/\*page.*tenant=acme key=ak-`).MatchString(w.logs.String()) {
		t.Errorf("%s", w.logs.String())
	}
	if strings.Contains(w.logs.String(), made) {
		t.Error("a key stands in the log")
	}
}

// The name of a key is for who makes it to choose; what it is is not.
func TestAKeyMadeByOneCalledConfigurationCanBeRevoked(t *testing.T) {
	w := consoleWorld(t)
	p := signedIn(w, w.admin)
	p.mustSee("/console/keys")
	key := regexp.MustCompile(`kupe_[A-Za-z0-9_-]+`)
	_, body := p.send("/console/keys", url.Values{"displayName": {"configuration"}, "role": {"admin"}})
	other := signedIn(w, key.FindString(body))
	other.mustSee("/console/keys")
	_, body = other.send("/console/keys", url.Values{"displayName": {"Dana"}, "role": {"readonly"}})
	id := regexp.MustCompile(`Dana</bdi><span class="path"><code>(ak-[a-z0-9]+)`).FindStringSubmatch(body)
	if id == nil || !strings.Contains(body, `name="id" value="`+id[1]+`"`) {
		t.Fatalf("no button revokes it: %s", body)
	}
	p.mustSee("/console/keys")
	if status, body := p.send("/console/keys/revoke", url.Values{"id": {id[1]}}); status != 200 || strings.Contains(body, id[1]) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := p.send("/console/keys/revoke", url.Values{"id": {id[1]}}); status != 404 || !strings.Contains(body, "API keys") {
		t.Errorf("once more: %d %s", status, body)
	}
}

func TestAnOverviewShowsProblemsFirstAndFindsWhatIsAskedFor(t *testing.T) {
	w := consoleWorld(t)
	files := map[string]*string{}
	for i := range 250 {
		name := fmt.Sprintf("secret-%03d", i)
		cluster := "production"
		if i == 200 {
			cluster = "nowhere"
		}
		files["secrets/"+name+".yaml"] = ptr(fmt.Sprintf("name: %s\nsecretPath: team-%d/%s\nsync:\n  - cluster: %s\n    namespace: default\n", name, i%7, name, cluster))
	}
	w.repository.MustPush(files)
	p := signedIn(w, w.reader)
	rows := func(path string) (names []string) {
		for _, m := range regexp.MustCompile(`<tr id="d-([^"]+)"`).FindAllStringSubmatch(p.mustSee(path), -1) {
			names = append(names, m[1])
		}
		return names
	}
	if first := rows("/console/"); len(first) != 100 || first[0] != "secret-200" || first[1] != "secret-000" {
		t.Errorf("%d rows: %v", len(first), first)
	}
	if last := rows("/console/?page=2"); len(last) != 50 {
		t.Errorf("the last page has %d", len(last))
	}
	if far := rows("/console/?page=99999999999999999999"); len(far) != 50 {
		t.Errorf("beyond the end are %d rows", len(far))
	}
	if found := rows("/console/?q=nowhere"); len(found) != 1 || found[0] != "secret-200" {
		t.Errorf("%v", found)
	}
	if found := rows("/console/?q=TEAM-3+secret-01"); len(found) != 2 {
		t.Errorf("%v", found)
	}
	if found := rows("/console/?phase=Failed"); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

func TestAWriteBecomesAProposalWhereItIsAskedForOrMustBe(t *testing.T) {
	for _, only := range []bool{true, false} {
		w := consoleWorld(t)
		desk := w.proposing(only)
		p := signedIn(w, w.admin)
		p.mustSee("/console/new")
		form := url.Values{"text": {dbFile}}
		if !only {
			form.Set("propose", "true")
		}
		status, body := p.send("/console/new", form)
		if status != http.StatusOK || !strings.Contains(body, "Nothing is in force yet") || !strings.Contains(body, `href="https://forge.example.org/acme/secrets/pulls/1"`) {
			t.Errorf("%d %s", status, body)
		}
		if len(desk.list) != 1 || len(w.repository.Snapshot().Entries()) != 0 {
			t.Error("it is a commit")
		}
		if status, body := p.send("/console/sync", url.Values{}); status != http.StatusOK || !strings.Contains(body, "being read again") {
			t.Errorf("%d %s", status, body)
		}
		if body := p.mustSee("/console/tenant"); !strings.Contains(body, "Add db") || !strings.Contains(body, "admin of acme") {
			t.Errorf("%s", body)
		}
	}
}

func TestHeldDeletionsAreReleasedByWhoLookedAtThem(t *testing.T) {
	w := consoleWorld(t)
	w.reconciler.deletions = sweep.Deletions{
		ID: strings.Repeat("ab", 16), Why: "12 copies would go at once.", Since: someTime, Allowed: 10,
		Held: []sweep.Orphan{{Cluster: mustCluster(t, "production"), Namespace: "default", Secret: "left", Definition: "left", VaultPath: "production/left", Commit: strings.Repeat("a", 40)}},
	}
	if body := signedIn(w, w.reader).mustSee("/console/tenant"); strings.Contains(body, "held") {
		t.Error("a readonly key sees what it may not ask for")
	}
	p := signedIn(w, w.admin)
	body := p.mustSee("/console/tenant")
	id := regexp.MustCompile(`name="id" value="([0-9a-f]{32})"`).FindStringSubmatch(body)
	if id == nil || !strings.Contains(body, "12 copies would go at once.") || !strings.Contains(body, "production/left") {
		t.Fatalf("%s", body)
	}
	if status, body := p.send("/console/deletions/release", url.Values{"id": {strings.Repeat("cd", 16)}}); status != http.StatusConflict || !strings.Contains(body, "alert bad") || w.reconciler.deletions.ID == "" {
		t.Errorf("another list is released: %d %s", status, body)
	}
	if status, body := p.send("/console/deletions/release", url.Values{"id": {id[1]}}); status != http.StatusOK || !strings.Contains(body, "Released") || strings.Contains(body, `id="held"`) {
		t.Errorf("%d %s", status, body)
	}
}
