package main

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	corev1 "k8s.io/api/core/v1"

	"secretsync/httpapi/console/consoletest"
)

// The story of the README's first screen, told in the console and on real parts: a
// definition is made, it is broken, it is understood and mended; the page follows by
// itself what happens in the cluster, and the value is on none of the pages.
func TestADefinitionOfOnesOwnInTheConsole(t *testing.T) {
	w := startWorld(t)
	value := "canary-" + strings.ToLower(rand.Text())
	if err := w.put("acme/production/smtp", map[string]any{"password": value}); err != nil {
		t.Fatal(err)
	}
	namespace := "console-" + strings.ToLower(rand.Text()[:8])
	b := consoletest.New(t, w.url)
	b.SignIn(w.keys["admin"])
	seen := func() {
		t.Helper()
		if page := consoletest.Eval[string](b, `document.documentElement.outerHTML`); strings.Contains(page, value) || strings.Contains(page, w.keys["admin"]) {
			t.Error("a value or a key stands in the page")
		}
	}
	write := func(text string) {
		b.Do(chromedp.Evaluate(`document.querySelector('#text').value = ''`, nil), chromedp.SendKeys("#text", text, chromedp.ByQuery))
		b.Until(`document.querySelector('#checked').textContent.includes('valid definition')`)
	}
	state := func(want string) {
		t.Helper()
		b.Until(`document.querySelector('.state h2') && document.querySelector('.state h2').textContent.trim() === '` + want + `'`)
		seen()
	}

	// Made, before its namespace is there: the page says what to do about it.
	b.Do(chromedp.Click(`a[href="/console/new"]`), chromedp.WaitVisible("#text"))
	write("name: mail-console\nsecretPath: production/smtp\nsync:\n  - cluster: production\n    namespace: " + namespace + "\n")
	b.Do(chromedp.Click(`button[value="preview"]`), chromedp.WaitVisible("#preview"))
	if plan := b.Text("#preview"); !strings.Contains(plan, "production") || !strings.Contains(plan, "NamespaceNotFound") {
		t.Errorf("the preview says\n%s", plan)
	}
	seen()
	b.Do(chromedp.Click(`button[value="save"]`), chromedp.WaitVisible("#history"))
	state("Pending") // as it is also before anything was tried
	b.Until(`document.querySelector('main').textContent.includes('NamespaceNotFound: what to do about it')`)
	if page := b.Text("main"); !strings.Contains(page, "Create the namespace") {
		t.Errorf("it is not told what to do:\n%s", page)
	}
	// It is done, and the page says so by itself.
	if err := w.stack.Cluster("production").CreateNamespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	state("Active")
	if past := b.Text(".moments"); !strings.Contains(past, "NamespaceNotFound") {
		t.Errorf("what was wrong is not told any more:\n%s", past)
	}
	if err := w.awaitSecret("production", namespace, "mail-console", func(s *corev1.Secret) bool { return string(s.Data["password"]) == value }); err != nil {
		t.Error(err)
	}

	// Broken by an edit, and mended by undoing it.
	b.Do(chromedp.Click(`a[href$="/edit"]`), chromedp.WaitVisible("#text"))
	write("name: mail-console\nsecretPath: production/smtp\nsync:\n  - cluster: production\n    namespace: " + namespace + "\n  - cluster: elsewhere\n    namespace: default\n")
	b.Do(chromedp.Click(`button[value="save"]`), chromedp.WaitVisible("#history"))
	state("Degraded")
	if page := b.Text("main"); !strings.Contains(page, "ClusterNotFound: what to do about it") || !strings.Contains(page, "through the API") {
		t.Errorf("it is not told what is wrong and who did it:\n%s", page)
	}
	b.Do(chromedp.Click(`.history li:first-child a`), chromedp.WaitVisible(`form[action$="/revert"]`), chromedp.Click(`form[action$="/revert"] button.primary`), chromedp.WaitVisible("#history"))
	state("Active")
	for _, path := range []string{"/console/", "/console/map", "/console/tenant", "/console/keys", "/console/orphans"} {
		b.Visit(path)
		seen()
	}
	b.Do(chromedp.Click(".who button"), chromedp.WaitVisible("#key"))
	b.Clean()
}
