// Package consoletest drives the console as a person does: with a real Chromium, and
// axe-core to judge what it shows. It is for tests.
package consoletest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	devpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is one window of a real Chromium, with a profile of its own. Whatever a page
// writes to its console as an error, a breach of its Content-Security-Policy among it,
// fails the test.
type Browser struct {
	testing.TB
	ctx  context.Context
	base string

	mu       sync.Mutex
	mistakes []string
}

// findBrowser returns the path of a Chromium; a test that needs one is skipped where
// there is none, unless CI is set: it skips nothing.
func findBrowser(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const needed = "no browser was found: Debian's package chromium brings one"
	if os.Getenv("CI") != "" {
		t.Fatal(needed)
	}
	t.Skip(needed)
	return ""
}

// patience is how long a page may take on a busy machine.
const patience = 2 * time.Minute

// profile is a folder for what a browser keeps, and is removed when the test ends. Its processes
// outlive the one that is waited for by a moment in which they still write there, so that it may
// take more than one attempt.
func profile(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "profile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); ; <-tick.C {
			err := os.RemoveAll(folder)
			if err == nil {
				return
			}
			if time.Since(began) > patience {
				t.Error(err)
				return
			}
		}
	})
	return folder
}

// New opens a window; base is the address of the server.
func New(t testing.TB, base string) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findBrowser(t)),
		chromedp.UserDataDir(profile(t)),
		chromedp.NoSandbox, // as root there is none
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(patience),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	b := &Browser{TB: t, ctx: ctx, base: base}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				var words []string
				for _, arg := range e.Args {
					words = append(words, string(arg.Value), arg.Description)
				}
				b.mistakes = append(b.mistakes, strings.Join(words, " "))
			}
		case *runtime.EventExceptionThrown:
			b.mistakes = append(b.mistakes, e.ExceptionDetails.Error())
		}
	})
	t.Cleanup(func() {
		closeTab()
		cancel()
	})
	if err := chromedp.Run(ctx); err != nil { // the browser lives as long as this context
		t.Fatal(err)
	}
	b.Do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := devpage.AddScriptToEvaluateOnNewDocument(`addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective, e.blockedURI))`).Do(ctx)
		return err
	}))
	return b
}

// Do runs actions, within the patience there is.
func (b *Browser) Do(actions ...chromedp.Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var at, text string
		_ = chromedp.Run(b.ctx, chromedp.Location(&at), chromedp.Evaluate(`document.body.innerText.slice(0, 1500)`, &text))
		b.Fatalf("%v, at %s:\n%s", err, at, text)
	}
}

// Visit goes to a page and waits until it is there.
func (b *Browser) Visit(path string) {
	b.Helper()
	b.Do(chromedp.Navigate(b.base+path), chromedp.WaitReady("main"))
}

// SignIn goes to the console, and in with a key.
func (b *Browser) SignIn(key string) {
	b.Helper()
	b.Visit("/")
	b.Do(chromedp.WaitVisible("#key"), chromedp.SendKeys("#key", key), chromedp.Click("button.primary"), chromedp.WaitVisible(".bar"))
}

// Text is what a person reads of an element.
func (b *Browser) Text(selector string) (s string) {
	b.Helper()
	b.Do(chromedp.Text(selector, &s, chromedp.ByQuery))
	return s
}

// Until waits until an expression is true in the page.
func (b *Browser) Until(expression string) {
	b.Helper()
	b.Do(chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(patience)))
}

// Eval is an expression's value in the page.
func Eval[T any](b *Browser, expression string) (v T) {
	b.Helper()
	b.Do(chromedp.Evaluate(expression, &v, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return v
}

// Size makes the window so wide, and dark or light.
func (b *Browser) Size(width, height int64, scheme string) {
	b.Helper()
	b.Do(chromedp.EmulateViewport(width, height), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// Clean fails the test for what pages complained of.
func (b *Browser) Clean() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.mistakes {
		b.Errorf("a page complained: %s", m)
	}
	b.mistakes = nil
}

// Shoot keeps a picture where SCREENSHOTS names a folder for it.
func (b *Browser) Shoot(name string) {
	b.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	b.Do(chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(fmt.Sprintf("%s/%s.png", dir, name), png, 0o600); err != nil {
		b.Fatal(err)
	}
}

// axe is the accessibility checker axe-core 4.14.1, as its npm package has it, under the
// Mozilla Public License 2.0 that stands in it.
//
//go:embed axe-4.14.1.min.js
var axe string

// Accessible fails the test for what axe finds on the page that is shown.
func (b *Browser) Accessible(what string) {
	b.Helper()
	b.Do(chromedp.Evaluate(axe, nil))
	found := Eval[string](b, `axe.run(document).then(r => JSON.stringify(r.passes.length < 10 ? [['axe', 'found next to nothing to look at']] : r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html + ' — ' + n.failureSummary)])))`)
	var violations [][]any
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.Fatal(err)
	}
	for _, v := range violations {
		b.Errorf("%s: %v", what, v)
	}
}
