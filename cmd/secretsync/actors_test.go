package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// actors are the commands of the scripts.
//
//	serve, terminate, kill9, hangup        the server (stop is testscript's own: it ends the
//	                                       script, and hides an actor of that name)
//	admin|reader|neighbour|nobody METHOD PATH [-if-match TAG] [BODY]
//	                                       one call; stdout is status line, headers, body
//	patient ACTOR METHOD PATH [BODY]       the same call, made again while the answer is 503
//	orphans [PATTERN...] [! PATTERN...]    waits until the CLI lists orphans that match the
//	                                       patterns, and none that match those after the !
//	etag NAME VARIABLE                     keeps a definition's ETag
//	put TENANT/PATH KEY=VALUE...           a new version of a value in the vault
//	namespace CLUSTER NAMESPACE...         makes namespaces
//	copied CLUSTER NAMESPACE SECRET KEY=VALUE...  waits until the Secret holds exactly that
//	absent CLUSTER NAMESPACE SECRET        there is no such Secret now
//	foreign|edit|annotate|delete CLUSTER NAMESPACE SECRET [KEY=VALUE...]  what a cluster user does
//	await-log TEXT                         waits until the server logs it
//	counted PATTERN                        waits until its metrics match; stdout is all of them
//	define NAMESPACE NAME...               values and definitions of these names, awaited until Active
//	record, tell                           a server that lies, see liar
//	revision NAME VARIABLE                 keeps the commit of a definition
//	key ACTOR FILE                         writes the actor's key into a file
//	forget TENANT/PATH                     deletes the newest version of a value in the vault
//	label|retype CLUSTER NAMESPACE SECRET  what else a cluster user does: another owner's name, another type
//	remote; down, ! down                   acme's repository is on a server; which is down, and up
//	merge NUMBER                           a pull request that was proposed is merged at the forge
//	repository FILE                        acme's repository as the configuration is to say it
//	gitea, gitea-down, forge-call, …       a real forge, see startGitea and those below it
//	exits CODE COMMAND [ARG...]            runs a command that must exit with the code
//	status NAME PHASE [REASON...]          waits until the definition has that phase and
//	                                       its targets those reasons, in order
var actors = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"serve":     func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).serve()) },
	"terminate": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).stop(syscall.SIGTERM)) },
	"kill9":     func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(worldOf(ts).stop(syscall.SIGKILL)) },
	"hangup": func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Check(worldOf(ts).server.Process.Signal(syscall.SIGHUP))
	},

	"admin":     callAs("admin"),
	"reader":    callAs("reader"),
	"neighbour": callAs("neighbour"),
	"nobody":    callAs("nobody"),
	"patient":   callPatiently,
	"orphans":   awaitOrphans,
	"etag":      keepETag,
	"status":    awaitStatus,

	"define":   defineSynced,
	"record":   recordAnswers,
	"tell":     tellLie,
	"revision": keepRevision,
	"head":     keepHead,
	"forge":    startForge,
	"remote":   startRemote,
	"down":     turnRemote,
	"pull":     openPull,
	"comment":  awaitComment,
	"merge":    mergePull,
	"told":     awaitTold,
	"once":     checkOnce,
	"note":     awaitNote,

	"gitea":         startGitea,
	"gitea-down":    turnGitea,
	"forge-call":    callForge,
	"forge-status":  awaitCheck,
	"forge-comment": awaitRemark,
	"forge-merge":   mergeAtForge,
	"since-merge":   tellTime,
	"receipt":       awaitReceipt,
	"repository":    configureRepository,

	"key":    keepKey,
	"forget": forgetValue,
	"label":  labelSecret,
	"retype": retypeSecret,
	"exits":  checkExit,

	"put":       putValue,
	"namespace": makeNamespaces,
	"copied":    awaitCopy,
	"absent":    checkAbsent,
	"foreign":   makeForeign,
	"edit":      editSecret,
	"annotate":  annotateSecret,
	"delete":    deleteSecret,
	"await-log": awaitLog,
	"counted":   awaitCounted,
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func callAs(actor string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		if len(args) < 2 {
			ts.Fatalf("usage: %s METHOD PATH [-if-match TAG] [BODY]", actor)
		}
		method, path, rest := args[0], args[1], args[2:]
		var ifMatch, body string
		if len(rest) >= 2 && rest[0] == "-if-match" {
			ifMatch, rest = rest[1], rest[2:]
		}
		if len(rest) == 1 {
			body = rest[0]
		}
		answer, err := worldOf(ts).call(actor, method, path, body, ifMatch)
		ts.Check(err)
		printAnswer(ts, answer)
	}
}

func printAnswer(ts *testscript.TestScript, answer *answer) {
	fmt.Fprintln(ts.Stdout(), answer.status)
	for _, name := range slices.Sorted(maps.Keys(answer.header)) {
		fmt.Fprintf(ts.Stdout(), "%s: %s\n", name, strings.Join(answer.header[name], ", "))
	}
	fmt.Fprintf(ts.Stdout(), "\n%s\n", answer.body)
}

// callPatiently is for what the server may not know yet, such as which copies
// are orphans: it says 503 until it does.
func callPatiently(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: patient ACTOR METHOD PATH [BODY]")
	}
	body := strings.Join(args[3:], " ")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		answer, err := worldOf(ts).call(args[0], args[1], args[2], body, "")
		ts.Check(err)
		if answer.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			printAnswer(ts, answer)
			return
		}
	}
}

// awaitOrphans runs the CLI until it ends well and lists what it should: until
// all clusters are listed and the newest commit is taken in it fails with 503.
func awaitOrphans(ts *testscript.TestScript, _ bool, args []string) {
	wanted, unwanted := args, []string(nil)
	if i := slices.Index(args, "!"); i >= 0 {
		wanted, unwanted = args[:i], args[i+1:]
	}
	var said string
	matches := func(pattern string) bool {
		found, err := regexp.MatchString("(?m)"+pattern, said)
		ts.Check(err)
		return found
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		err = ts.Exec("secretsync", "orphans", "--url", ts.Getenv("SECRETSYNC"), "--tenant", "acme", "--key", ts.Getenv("KEY"))
		said = ts.ReadFile("stdout")
		missing := func(pattern string) bool { return !matches(pattern) }
		if err == nil && !slices.ContainsFunc(wanted, missing) && !slices.ContainsFunc(unwanted, matches) {
			return
		}
	}
	ts.Fatalf("the orphans are not %q without %q after %v: %v\n%s", wanted, unwanted, patience, err, said)
}

func keepETag(ts *testscript.TestScript, _ bool, args []string) {
	answer, err := worldOf(ts).call("admin", "GET", "/tenants/acme/secrets/"+args[0], "", "")
	ts.Check(err)
	if answer.header.Get("ETag") == "" {
		ts.Fatalf("no ETag in the answer: %d %s", answer.status, answer.body)
	}
	ts.Setenv(args[1], answer.header.Get("ETag"))
}

// keepHead keeps which commit the folder checkout is at.
func keepHead(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("git", "-C", "checkout", "rev-parse", "HEAD"))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func putValue(ts *testscript.TestScript, _ bool, args []string) {
	data := map[string]any{}
	for key, value := range pairs(ts, args[1:]) {
		data[key] = value
	}
	ts.Check(worldOf(ts).put(args[0], data))
}

func makeNamespaces(ts *testscript.TestScript, _ bool, args []string) {
	cluster := worldOf(ts).stack.Cluster(args[0])
	ts.Check(cluster.CreateNamespace(context.Background(), args[1:]...))
	ts.Defer(func() {
		// Their names are fixed; the script may be run again.
		for _, name := range args[1:] {
			ts.Check(cluster.DeleteNamespace(context.Background(), name))
		}
	})
}

func awaitCopy(ts *testscript.TestScript, _ bool, args []string) {
	want := pairs(ts, args[3:])
	ts.Check(worldOf(ts).awaitSecret(args[0], args[1], args[2], func(secret *corev1.Secret) bool {
		got := map[string]string{}
		for key, value := range secret.Data {
			got[key] = string(value)
		}
		return maps.Equal(got, want)
	}))
}

// awaitSecret watches a Secret until it is as wanted.
func (w *world) awaitSecret(cluster, namespace, name string, wanted func(*corev1.Secret) bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	secrets := w.client(cluster).CoreV1().Secrets(namespace)
	selector := fields.OneTermEqualSelector("metadata.name", name).String()
	for ctx.Err() == nil {
		list, err := secrets.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil {
			return err
		}
		if len(list.Items) == 1 && wanted(&list.Items[0]) {
			return nil
		}
		events, err := secrets.Watch(ctx, metav1.ListOptions{FieldSelector: selector, ResourceVersion: list.ResourceVersion})
		if err != nil {
			return err
		}
		for event := range events.ResultChan() {
			if secret, ok := event.Object.(*corev1.Secret); ok && wanted(secret) {
				events.Stop()
				return nil
			}
		}
	}
	log, _ := os.ReadFile(filepath.Join(w.dir, "server.log"))
	return fmt.Errorf("%s/%s/%s is not as wanted after %v; the server's log ends\n%s", cluster, namespace, name, patience, log[max(0, len(log)-8000):])
}

func (w *world) client(cluster string) kubernetes.Interface { return w.stack.Cluster(cluster).Admin }

func checkAbsent(ts *testscript.TestScript, _ bool, args []string) {
	_, err := worldOf(ts).client(args[0]).CoreV1().Secrets(args[1]).Get(context.Background(), args[2], metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		ts.Fatalf("%s is there, or can't be asked for: %v", strings.Join(args[:3], "/"), err)
	}
}

func makeForeign(ts *testscript.TestScript, _ bool, args []string) {
	_, err := worldOf(ts).client(args[0]).CoreV1().Secrets(args[1]).Create(context.Background(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: args[2]},
		StringData: pairs(ts, args[3:]),
	}, metav1.CreateOptions{})
	ts.Check(err)
}

func editSecret(ts *testscript.TestScript, _ bool, args []string) {
	var patch []string
	for key, value := range pairs(ts, args[3:]) {
		patch = append(patch, fmt.Sprintf("%q:%q", key, base64.StdEncoding.EncodeToString([]byte(value))))
	}
	_, err := worldOf(ts).client(args[0]).CoreV1().Secrets(args[1]).Patch(context.Background(), args[2],
		types.MergePatchType, []byte(`{"data":{`+strings.Join(patch, ",")+`}}`), metav1.PatchOptions{})
	ts.Check(err)
}

func annotateSecret(ts *testscript.TestScript, _ bool, args []string) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": pairs(ts, args[3:])}})
	ts.Check(err)
	_, err = worldOf(ts).client(args[0]).CoreV1().Secrets(args[1]).Patch(context.Background(), args[2],
		types.MergePatchType, patch, metav1.PatchOptions{})
	ts.Check(err)
}

func deleteSecret(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(worldOf(ts).client(args[0]).CoreV1().Secrets(args[1]).Delete(context.Background(), args[2], metav1.DeleteOptions{}))
}

func awaitLog(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(worldOf(ts).dir, "server.log")
	if _, ok := awaitText(ts, func() ([]byte, error) { return os.ReadFile(path) }, regexp.MustCompile(regexp.QuoteMeta(args[0]))); !ok {
		ts.Fatalf("%q is not in the log after %v", args[0], patience)
	}
}

// awaitCounted is for what is counted a moment after it was done.
func awaitCounted(ts *testscript.TestScript, _ bool, args []string) {
	told, ok := awaitText(ts, func() ([]byte, error) { return metricsAt(worldOf(ts).url) }, regexp.MustCompile("(?m)"+args[0]))
	if !ok {
		ts.Fatalf("the metrics are not %s after %v, but\n%s", args[0], patience, told)
	}
	fmt.Fprintf(ts.Stdout(), "%s", told)
}

// awaitText reads a text till it matches, and returns it as it was last.
func awaitText(ts *testscript.TestScript, read func() ([]byte, error), pattern *regexp.Regexp) (text []byte, ok bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		var err error
		text, err = read()
		ts.Check(err)
		if pattern.Match(text) {
			return text, true
		}
	}
	return text, false
}

func pairs(ts *testscript.TestScript, args []string) map[string]string {
	values := make(map[string]string, len(args))
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("%q is not KEY=VALUE", arg)
		}
		values[key] = os.Expand(value, ts.Getenv)
	}
	return values
}

// awaitStatus asks until the answer is as wanted: nothing tells a client of a
// reason, so there is no event to wait for.
func awaitStatus(ts *testscript.TestScript, _ bool, args []string) {
	name, phase, reasons := args[0], args[1], args[2:]
	var last string
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		answer, err := worldOf(ts).call("admin", "GET", "/tenants/acme/secrets/"+name, "", "")
		ts.Check(err)
		var got struct {
			Status struct {
				Phase        string
				SyncStatuses []struct{ Reason string }
			}
		}
		last = answer.body
		ts.Check(json.Unmarshal([]byte(answer.body), &got))
		var gotReasons []string
		for _, s := range got.Status.SyncStatuses {
			gotReasons = append(gotReasons, s.Reason)
		}
		if got.Status.Phase == phase && (len(reasons) == 0 || slices.Equal(gotReasons, reasons)) {
			fmt.Fprintln(ts.Stdout(), answer.body)
			return
		}
	}
	ts.Fatalf("%s is not %s %v after %v: %s", name, phase, reasons, patience, last)
}
