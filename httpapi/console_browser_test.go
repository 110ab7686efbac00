package httpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"secretsync/gitstore"
	"secretsync/gitstore/catalog"
	"secretsync/httpapi/console/consoletest"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/status"
	"secretsync/reconcile/sweep"
)

// someDefinitions pushes a few, one of which can't be synced and one of which is none.
func someDefinitions(w *world) {
	files := map[string]*string{}
	for i, name := range []string{"db-password", "smtp-relay", "stripe-api", "session-signing", "s3-backups"} {
		text := fmt.Sprintf("# Owned by payments.\nname: %s\nsecretPath: production/%s\nsync:\n  - cluster: production\n    namespace: default\n", name, name)
		if i == 0 {
			text += "  - cluster: production\n    namespace: backend\n    secretName: database-credentials-of-the-backend\n  - cluster: nowhere\n    namespace: default\n"
		}
		files["secrets/"+name+".yaml"] = &text
	}
	w.repository.MustPush(files)
	w.must(200, "PATCH", "/secrets/smtp-relay", `{"sync":[{"cluster":"production","namespace":"mail"},{"cluster":"staging","namespace":"mail"}]}`)
	w.push("secrets/Wrong_Name.yaml", "name: x\n")
	w.reconciler.clusters = []status.Cluster{
		{Name: mustCluster(w, "production"), Reachable: true, KubernetesVersion: "v1.37.2"},
		{Name: mustCluster(w, "staging")},
	}
	w.reconciler.orphans = []sweep.Orphan{
		{Cluster: mustCluster(w, "production"), Namespace: "default", Secret: "left", Definition: "left", VaultPath: "production/left", Commit: strings.Repeat("a", 40)},
		{Cluster: mustCluster(w, "production"), Namespace: "default", Secret: "odd", Definition: "odd", VaultPath: "production/odd", Commit: strings.Repeat("b", 40), Doubt: "its hash is another server's"},
	}
}

func TestInABrowserEveryPageIsAccessibleAndFits(t *testing.T) {
	w := consoleWorld(t)
	someDefinitions(w)
	b := consoletest.New(t, w.url)
	b.Visit("/")
	b.Accessible("sign-in")
	b.Shoot("signin")
	b.SignIn(w.admin)
	pages := map[string]string{
		"overview": "/console/", "nothing-found": "/console/?q=zzz", "definition": "/console/d/db-password", "edit": "/console/d/smtp-relay/edit", "new": "/console/new",
		"delete": "/console/d/db-password/delete", "map": "/console/map", "tenant": "/console/tenant", "keys": "/console/keys", "orphans": "/console/orphans", "problem": "/console/d/none",
		"revert": "/console/d/smtp-relay/revert?commit=" + w.must(200, "GET", "/secrets/smtp-relay", "").ResourceVersion,
	}
	for _, scheme := range []string{"light", "dark"} {
		for name, path := range pages {
			for _, width := range []int64{360, 1280, 3840} {
				b.Size(width, 900, scheme)
				b.Visit(path)
				b.Shoot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
				if over := consoletest.Eval[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
					t.Errorf("%s is %d px too wide for %d", path, over, width)
				}
				if width != 3840 {
					b.Accessible(fmt.Sprintf("%s, %d wide, %s", path, width, scheme))
				}
			}
		}
	}
	b.Clean()
}

func TestInABrowserADefinitionIsMadeBrokenUnderstoodAndMended(t *testing.T) {
	w := consoleWorld(t)
	someDefinitions(w)
	b := consoletest.New(t, w.url)
	b.SignIn(w.admin)
	write := func(text string) {
		b.Do(chromedp.Evaluate(`document.querySelector('#text').value = ''`, nil), chromedp.SendKeys("#text", text, chromedp.ByQuery))
	}
	// Made, with a mistake that is told while it is written.
	b.Do(chromedp.Click(`a[href="/console/new"]`), chromedp.WaitVisible("#text"))
	write("name: web-tls\nsecretPath: production/web\nsync:\n  - cluster: elsewhere\n    namepsace: default\n")
	b.Until(`document.querySelector('#checked').textContent.includes('Line 5')`)
	write("name: web-tls\nsecretPath: production/web\nsync:\n  - cluster: elsewhere\n    namespace: default\n")
	b.Until(`document.querySelector('#checked').textContent.includes('valid definition')`)
	b.Do(chromedp.Click(`button[value="save"]`), chromedp.WaitVisible("#history"))
	// Broken, and understood.
	page := b.Text("main")
	for _, want := range []string{"Made: it is a commit", "Failed", "ClusterNotFound", "what to do about it", "cluster elsewhere is not registered", "through the API", "admin of acme"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not told:\n%s", want, page)
		}
	}
	// Mended.
	b.Do(chromedp.Click(`a[href="/console/d/web-tls/edit"]`), chromedp.WaitVisible("#text"))
	write("name: web-tls\nsecretPath: production/web\nsync:\n  - cluster: production\n    namespace: default\n")
	b.Until(`document.querySelector('#checked').textContent.includes('valid definition')`)
	b.Do(chromedp.Click(`button[value="save"]`), chromedp.WaitVisible("#history"))
	if page := b.Text("main"); !strings.Contains(page, "Active") || !strings.Contains(page, "Synced") || strings.Contains(page, "what to do about it") {
		t.Errorf("not mended:\n%s", page)
	}
	// Undone, and deleted.
	b.Do(chromedp.Click(`.history li:first-child a`), chromedp.WaitVisible(".diff"), chromedp.Click(`form[action$="/revert"] button.primary`), chromedp.WaitVisible("#history"))
	if page := b.Text("main"); !strings.Contains(page, "Undone") || !strings.Contains(page, "elsewhere") {
		t.Errorf("not undone:\n%s", page)
	}
	b.Do(chromedp.Click(`a[href="/console/d/web-tls/delete"]`), chromedp.WaitVisible(`form[action$="/delete"]`), chromedp.Click(`form[action$="/delete"] button.danger`), chromedp.WaitVisible("#q"))
	if names := b.Text("main"); strings.Contains(names, "web-tls") {
		t.Errorf("not deleted:\n%s", names)
	}
	b.Clean()
}

func TestInABrowserTheKeyboardAloneSuffices(t *testing.T) {
	w := consoleWorld(t)
	someDefinitions(w)
	b := consoletest.New(t, w.url)
	b.Visit("/")
	press := func(keys string) { b.Do(chromedp.KeyEvent(keys)) }
	// focus goes on with Tab until what is focused fits, as somebody does who sees it.
	focus := func(selector string) {
		t.Helper()
		for range 120 {
			press(kb.Tab)
			if consoletest.Eval[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
				return
			}
		}
		t.Fatalf("%s is not reached: %s", selector, b.Text("main"))
	}
	b.Until(`document.activeElement.id === 'key'`)
	press(w.admin)
	press(kb.Enter)
	b.Do(chromedp.WaitVisible(".bar"))
	press(kb.Tab)
	if !consoletest.Eval[bool](b, `document.activeElement.matches('.skip')`) {
		t.Error("the first thing is not the way past the navigation")
	}
	press(kb.Enter)
	focus("#q")
	press("smtp")
	b.Until(`document.querySelectorAll('tbody tr').length === 1`)
	focus(`a[href="/console/d/smtp-relay"]`)
	press(kb.Enter)
	b.Do(chromedp.WaitVisible("#history"))
	focus(`a[href="/console/d/smtp-relay/edit"]`)
	press(kb.Enter)
	b.Do(chromedp.WaitVisible("#text"))
	b.Until(`document.activeElement.id === 'text'`)
	b.Do(chromedp.Evaluate(`document.activeElement.setSelectionRange(1e6, 1e6)`, nil))
	press("  - cluster: production\n    namespace: typed\n")
	focus(`button[value="save"]`)
	press(kb.Enter)
	b.Do(chromedp.WaitVisible("#history"))
	if page := b.Text("main"); !strings.Contains(page, "typed") {
		t.Errorf("%s", page)
	}
	// The map, as links in its order and as a table.
	b.Visit("/console/map")
	focus(`svg a[href="/console/d/db-password"]`)
	if label := consoletest.Eval[string](b, `document.activeElement.getAttribute('aria-label')`); label != "db-password, Failed: from production/db-password to production/default, production/backend, nowhere/default" {
		t.Errorf("the map says %q", label)
	}
	focus("summary")
	press(" ")
	b.Do(chromedp.WaitVisible(".astable table"))
	b.Clean()
}

func TestInABrowserAPageFollowsWhatHappens(t *testing.T) {
	w := consoleWorld(t)
	someDefinitions(w)
	var made keyBody
	decodeJSON(t, w.do("POST", "/api/v1/tenants/acme/apikeys", w.admin, `{"displayName":"Dana","role":"readonly"}`).body, &made)
	b := consoletest.New(t, w.url)
	b.SignIn(made.Key)
	b.Until(`document.documentElement.dataset.live === 'yes'`)
	b.Do(chromedp.Evaluate(`document.querySelector('a[href="/console/d/stripe-api"]').focus(); window.same = true`, nil))
	w.reconciler.set(func(e *catalog.Entry) status.Status {
		return status.Status{Phase: status.Pending, Ready: status.Condition{Reason: fault.ReasonValueNotFound, Message: "no value", LastTransition: someTime}}
	})
	w.reconciler.announce()
	b.Until(`document.querySelector('#d-stripe-api').textContent.includes('ValueNotFound')`)
	if !consoletest.Eval[bool](b, `window.same && document.activeElement.matches('a[href="/console/d/stripe-api"]')`) {
		t.Error("the page was loaded anew, or the focus was lost")
	}
	if news := consoletest.Eval[string](b, `document.querySelector('#news').textContent`); !strings.Contains(news, "Pending") {
		t.Errorf("who can't see it is told %q", news)
	}
	w.do("DELETE", "/api/v1/tenants/acme/apikeys/"+made.ID, w.admin, "")
	b.Do(chromedp.Evaluate(`load(location.href, true)`, nil), chromedp.WaitVisible("#key"))
	b.Clean()
}

func TestInABrowserTheOneWhoWasSlowerLosesNothing(t *testing.T) {
	w := consoleWorld(t)
	someDefinitions(w)
	b := consoletest.New(t, w.url)
	b.SignIn(w.admin)
	b.Visit("/console/d/stripe-api/edit")
	b.Do(chromedp.SendKeys("#text", kb.End, chromedp.ByQuery), chromedp.Evaluate(`(t => t.setSelectionRange(t.value.length, t.value.length))(document.querySelector('#text'))`, nil), chromedp.SendKeys("#text", "  - cluster: production\n    namespace: mine\n", chromedp.ByQuery))
	w.must(200, "PATCH", "/secrets/stripe-api", `{"sync":[{"cluster":"production","namespace":"default"},{"cluster":"production","namespace":"theirs"}]}`)
	b.Do(chromedp.Click(`button[value="save"]`), chromedp.WaitVisible(".race"))
	if page := b.Text("main"); !strings.Contains(page, "Somebody else was faster") || !strings.Contains(page, "the text below has both") || !strings.Contains(page, "namespace: theirs") {
		t.Errorf("%s", page)
	}
	b.Accessible("the page of a lost race")
	b.Shoot("race")
	b.Do(chromedp.Click(`button[value="save"]`), chromedp.WaitVisible("#history"))
	var namespaces []string
	for _, target := range w.must(200, "GET", "/secrets/stripe-api", "").Sync {
		namespaces = append(namespaces, target.Namespace)
	}
	if fmt.Sprint(namespaces) != "[default theirs mine]" {
		t.Errorf("%v", namespaces)
	}
	b.Clean()
}

func TestInABrowserAnotherSiteCanDoNothing(t *testing.T) {
	w := consoleWorld(t)
	someDefinitions(w)
	evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(rw, `<main></main><iframe id="frame" src="%[1]s/console/"></iframe>
<form id="forged" method="post" action="%[1]s/console/d/stripe-api/delete"><input name="token" value="guessed"></form>`, w.url)
	}))
	t.Cleanup(evil.Close)
	b := consoletest.New(t, w.url)
	b.SignIn(w.admin)
	head := w.repository.Snapshot().Head()
	// Another host is another site: browsers see 127.0.0.1 and localhost as two.
	elsewhere := strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)
	b.Do(chromedp.Navigate(elsewhere), chromedp.WaitReady("main"))
	if got := consoletest.Eval[string](b, fmt.Sprintf(`fetch('%s/console/', {credentials: 'include', mode: 'no-cors'}).then(r => r.type + ' ' + r.status, e => e.name)`, w.url)); got != "opaque 0" && got != "TypeError" {
		t.Errorf("another site reads %s", got)
	}
	if got := consoletest.Eval[string](b, fmt.Sprintf(`fetch('%s/console/d/stripe-api/delete', {method: 'POST', credentials: 'include', mode: 'no-cors', body: new URLSearchParams({token: 'x'})}).then(r => r.type, e => e.name)`, w.url)); got != "opaque" && got != "TypeError" {
		t.Errorf("another site posts: %s", got)
	}
	b.Do(chromedp.Evaluate(`document.getElementById('forged').submit()`, nil), chromedp.WaitVisible(".alert"))
	if page := b.Text("main"); !strings.Contains(page, "sent by another page") {
		t.Errorf("%s", page)
	}
	if w.repository.Snapshot().Head() != head {
		t.Error("another site deleted something")
	}
	if cookie := consoletest.Eval[string](b, `document.cookie`); cookie != "" {
		t.Errorf("script reads the cookie: %s", cookie)
	}
	b.Visit("/console/d/stripe-api")
	if cookie := consoletest.Eval[string](b, `document.cookie`); cookie != "" {
		t.Errorf("script reads the cookie: %s", cookie)
	}
}

func TestInABrowserMarkupInAnyFieldRunsNothing(t *testing.T) {
	const evil = `"><script>document.title='owned'</script><img src=x onerror="document.title='owned'">`
	w := consoleWorld(t)
	w.push("secrets/db.yaml", "# "+evil+"\n"+dbFile)
	w.reconciler.set(func(e *catalog.Entry) status.Status {
		return status.Status{Phase: status.Failed, Ready: status.Condition{Reason: fault.Reason(evil), Message: evil, LastTransition: someTime},
			Targets: []status.Target{{Target: e.Definition.Sync[0], State: fault.Error, Reason: fault.Reason(evil), Message: evil}}}
	})
	b := consoletest.New(t, w.url)
	b.SignIn(w.admin)
	for _, path := range []string{"/console/", "/console/d/db", "/console/d/db/edit", "/console/map", "/console/tenant", "/console/keys", "/console/d/db/delete"} {
		b.Visit(path)
		b.Do(chromedp.Evaluate(`typeof load === 'function' && load(location.href, true)`, nil))
		if consoletest.Eval[bool](b, `document.title === 'owned' || document.querySelectorAll('main img, main script').length > 0`) {
			t.Errorf("%s runs what stands in a field", path)
		}
	}
	b.Visit("/console/d/db/edit")
	b.Do(chromedp.SendKeys("#text", evil, chromedp.ByQuery))
	b.Until(`document.querySelector('#checked .problems')`)
	if consoletest.Eval[bool](b, `document.title === 'owned' || document.querySelectorAll('main img').length > 0`) {
		t.Error("a check runs what is typed")
	}
	b.Clean()
}

func TestInABrowserFiveThousandDefinitionsAreFluent(t *testing.T) {
	w := newWorldOver(t, gitstore.Config{MaxDefinitions: 5000}, func(c *Config) { c.Console, c.Limits.Definitions = ConsoleHere, 5000 })
	files := map[string]*string{}
	for i := range 5000 {
		name := fmt.Sprintf("secret-%04d", i)
		cluster := "production"
		if i%500 == 7 {
			cluster = "nowhere"
		}
		files["secrets/"+name+".yaml"] = ptr(fmt.Sprintf("name: %s\nsecretPath: team-%d/%s\nsync:\n  - cluster: %s\n    namespace: default\n", name, i%7, name, cluster))
	}
	w.repository.MustPush(files)
	b := consoletest.New(t, w.url)
	b.SignIn(w.reader)
	timing := func(what string) {
		t.Logf("%s: %s", what, consoletest.Eval[string](b, `(n => 'answer ' + Math.round(n.responseEnd - n.requestStart) + ' ms, interactive ' + Math.round(n.domInteractive - n.startTime) + ' ms, ' + n.decodedBodySize + ' bytes, ' + document.querySelectorAll('*').length + ' elements')(performance.getEntriesByType('navigation')[0])`))
	}
	timing("first")
	b.Visit("/console/")
	timing("again")
	if rows := consoletest.Eval[int](b, `document.querySelectorAll('tbody tr').length`); rows != 100 {
		t.Errorf("%d rows", rows)
	}
	if n := consoletest.Eval[int](b, `document.querySelectorAll('*').length`); n > 3000 {
		t.Errorf("%d elements: more than what is laid out at once", n)
	}
	if first := b.Text("tbody tr th a"); first != "secret-0007" {
		t.Errorf("first comes %s", first)
	}
	t.Logf("search: %d ms from key to rows", consoletest.Eval[int](b, `new Promise(done => {
		const began = performance.now(), q = document.querySelector('#q');
		new MutationObserver((_, o) => { if (document.querySelectorAll('tbody tr').length === 1) { o.disconnect(); done(Math.round(performance.now() - began)); } }).observe(document.querySelector('main'), {childList: true, subtree: true});
		q.value = 'secret-4321'; q.dispatchEvent(new Event('input', {bubbles: true}));
	})`))
	if found := b.Text("tbody tr th a"); found != "secret-4321" {
		t.Errorf("found %s", found)
	}
	b.Visit("/console/map")
	timing("map")
	b.Clean()
}
