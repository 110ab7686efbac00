package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"secretsync/examples/devstack"
	"secretsync/httpapi/client"
)

// demo is what the steps of the story share.
type demo struct {
	stack      *devstack.Stack
	screen     screen // for the progress of builds
	began      time.Time
	server     *devstack.Process
	binary     string // the server's program
	dir        string // configuration, data and the clone lie here; goes with the stack
	url        string // of the server
	key        string // an API key of the role admin
	repository string // the tenant's, bare
	passwords  []string
	forge      *team // nil: there is none
}

// A step is a chapter of the story. It returns an error if what it saw isn't what it should have seen.
type step struct {
	title string
	play  func(context.Context) error
}

// alone is the story of a server whose vault and clusters are not there.
func (d *demo) alone() []step {
	return []step{
		{"A server with tenant acme, before its vault and its clusters are there", d.startServer},
		{"Create a definition: one value, three targets in two clusters", d.create},
		{"Read it: the status says why nothing is synced yet", d.readWithoutCluster},
		{"Change its targets, if nobody else did meanwhile", d.patch},
		{"Change a definition with git", d.pushFirst},
	}
}

// together is the rest of it.
func (d *demo) together() []step {
	return []step{
		{"The vault comes up, with the values", d.openVault},
		{"Two clusters come up: the first Secrets", d.openClusters},
		{"Read it: the status says what is live, and from which commit and vault version", d.read},
		{"List, and delete one: syncing stops, its Secret stays", d.listAndDelete},
		{"Push another change", d.pushAgain},
		{"Rotate the value", d.rotate},
		{"Somebody edits a copy by hand", d.drift},
		{"What is in the clusters now", d.showSecrets},
		{"Who did what: git log", d.showLog},
		{"Secret values are in Vault and in the Secrets, and nowhere else", d.searchValues},
	}
}

const (
	tenant       = "acme"
	definition   = "db-password"
	pollInterval = 2 * time.Second
)

func (d *demo) create(ctx context.Context) error {
	answer, err := d.call(ctx, "POST", "/secrets", `{"name":"db-password","secretPath":"production/db-password","sync":[`+
		`{"cluster":"production","namespace":"default"},`+
		`{"cluster":"production","namespace":"backend","secretName":"database-credentials"},`+
		`{"cluster":"staging","namespace":"default"}]}`)
	if err != nil {
		return err
	}
	location := "/api/v1/tenants/" + tenant + "/secrets/" + definition
	switch {
	case answer.status != http.StatusCreated:
		return fmt.Errorf("status %d; want 201", answer.status)
	case answer.header.Get("Location") != location:
		return fmt.Errorf("the Location is %q; want %q", answer.header.Get("Location"), location)
	case answer.header.Get("ETag") != `"`+answer.secret.ResourceVersion+`"`:
		return fmt.Errorf("the ETag is %s; want the resourceVersion %s", answer.header.Get("ETag"), answer.secret.ResourceVersion)
	}
	return nil
}

// readWithoutCluster shows the targets when each was tried.
func (d *demo) readWithoutCluster(ctx context.Context) error {
	err := await(ctx, func(ctx context.Context) (bool, error) {
		stands, err := d.client().GetSecret(ctx, definition, client.WaitOptions{})
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(stands.Status.SyncStatuses, func(s client.SyncStatus) bool { return s.Reason != "ClusterUnreachable" }), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the reason ClusterUnreachable at each target: %w", err)
	}
	_, err = d.call(ctx, "GET", "/secrets/"+definition, "")
	return err
}

// openVault waits for Vault, writes the values and shows what the targets lack now.
func (d *demo) openVault(ctx context.Context) error {
	if err := d.stack.Vault.Await(ctx); err != nil {
		return err
	}
	if err := d.admitServer(ctx); err != nil {
		return err
	}
	d.passwords = []string{"tulip-cobalt-9413", "granite-willow-2750", "meadow-lantern-6602"}
	for path, data := range map[string]map[string]any{
		"production/db-password": {"username": "orders", "password": d.passwords[0]},
		"production/smtp":        {"username": "mailer", "password": d.passwords[2]},
	} {
		version, err := d.stack.Vault.PutSecret(ctx, "secret", tenant+"/"+path, data)
		if err != nil {
			return err
		}
		fmt.Printf("vault: secret/%s/%s, keys password and username, version %d\n", tenant, path, version)
	}
	return nil
}

// openClusters waits for the clusters and for the copies in them.
func (d *demo) openClusters(ctx context.Context) error {
	for _, cluster := range d.stack.Clusters() {
		if err := cluster.Await(ctx); err != nil {
			return err
		}
		if err := cluster.CreateNamespace(ctx, "backend"); err != nil {
			return err
		}
		fmt.Printf("%s: namespaces default, backend\n", cluster.Name)
	}
	if err := d.awaitCopies(ctx, d.passwords[0], copyAt{"production", "default", "db-password"}); err != nil {
		return err
	}
	fmt.Printf("the first Secret, %s after the beginning\n", time.Since(d.began).Round(100*time.Millisecond))
	return d.awaitCopies(ctx, d.passwords[0],
		copyAt{"production", "backend", "database-credentials"},
		copyAt{"staging", "default", "orders-database"})
}

func (d *demo) read(ctx context.Context) error {
	if err := d.awaitActive(ctx); err != nil {
		return err
	}
	answer, err := d.call(ctx, "GET", "/secrets/"+definition, "")
	if err != nil {
		return err
	}
	for _, target := range answer.secret.Status.SyncStatuses {
		if target.State != "Synced" || target.Commit != answer.secret.ResourceVersion || target.VaultVersion != 1 {
			return fmt.Errorf("target %+v; want it Synced from vault version 1 and commit %s", target, answer.secret.ResourceVersion)
		}
	}
	return nil
}

func (d *demo) patch(ctx context.Context) error {
	before, err := d.client().GetSecret(ctx, definition, client.WaitOptions{})
	if err != nil {
		return err
	}
	tag := `"` + before.ResourceVersion + `"`
	const body = `{"sync":[{"cluster":"production","namespace":"default"},` +
		`{"cluster":"production","namespace":"backend","secretName":"database-credentials"}]}`
	answer, err := d.call(ctx, "PATCH", "/secrets/"+definition, body, "If-Match", tag)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK || len(answer.secret.Sync) != 2 || answer.header.Get("ETag") == tag {
		return fmt.Errorf("status %d, %d targets, ETag %s; want 200, 2 and a new ETag", answer.status, len(answer.secret.Sync), answer.header.Get("ETag"))
	}
	fmt.Println("\nThe same again: the ETag is an old one now.")
	answer, err = d.call(ctx, "PATCH", "/secrets/"+definition, body, "If-Match", tag)
	if err != nil {
		return err
	}
	if answer.status != http.StatusPreconditionFailed {
		return fmt.Errorf("status %d; want 412", answer.status)
	}
	return nil
}

func (d *demo) listAndDelete(ctx context.Context) error {
	const body = `{"name":"smtp","secretPath":"production/smtp","sync":[{"cluster":"staging","namespace":"backend"}]}`
	if answer, err := d.call(ctx, "POST", "/secrets", body); err != nil {
		return err
	} else if answer.status != http.StatusCreated {
		return fmt.Errorf("status %d; want 201", answer.status)
	}
	smtp := copyAt{"staging", "backend", "smtp"}
	if err := d.awaitCopies(ctx, d.passwords[2], smtp); err != nil {
		return err
	}
	answer, err := d.call(ctx, "GET", "/secrets", "")
	if err != nil {
		return err
	}
	if len(answer.list.Items) != 2 || answer.list.Items[0].Name != definition || answer.list.Items[1].Name != "smtp" {
		return fmt.Errorf("%d items; want db-password and smtp", len(answer.list.Items))
	}
	if answer, err = d.call(ctx, "DELETE", "/secrets/smtp", ""); err != nil {
		return err
	}
	if answer.status != http.StatusNoContent {
		return fmt.Errorf("status %d; want 204", answer.status)
	}
	if answer, err = d.call(ctx, "GET", "/secrets/smtp", ""); err != nil {
		return err
	}
	if answer.status != http.StatusNotFound {
		return fmt.Errorf("status %d; want 404", answer.status)
	}
	return d.awaitCopies(ctx, d.passwords[2], smtp) // still there
}

// pushFirst clones the repository and edits the definition as a person would.
func (d *demo) pushFirst(ctx context.Context) error {
	if err := d.git(ctx, d.dir, "clone", "--quiet", d.repository, filepath.Base(d.clone())); err != nil {
		return err
	}
	_, err := d.push(ctx, "Let staging have the database password", func(content string) string {
		return "# Owned by payments. Rotated quarterly.\n" + content +
			"  - cluster: staging\n    namespace: default\n    secretName: orders-database\n"
	})
	return err
}

// pushAgain does it once more, now that there are clusters.
func (d *demo) pushAgain(ctx context.Context) error {
	if err := d.git(ctx, d.clone(), "pull", "--quiet", "--rebase"); err != nil {
		return err
	}
	pushed, err := d.push(ctx, "Let the backend of staging have it, too", func(content string) string {
		return content + "  - cluster: staging\n    namespace: backend\n    secretName: orders-database\n"
	})
	if err != nil {
		return err
	}
	if err := d.awaitCopies(ctx, d.passwords[0], copyAt{"staging", "backend", "orders-database"}); err != nil {
		return err
	}
	fmt.Printf("there %s after the push returned\n", time.Since(pushed).Round(time.Millisecond))
	return nil
}

func (d *demo) clone() string { return filepath.Join(d.dir, "acme-secrets") }

// push edits the definition in the clone, commits and pushes it, and sees to it that the API goes on from there. It returns
// when the push had returned.
func (d *demo) push(ctx context.Context, message string, edit func(content string) string) (pushed time.Time, err error) {
	file := filepath.Join(d.clone(), "secrets", definition+".yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return pushed, err
	}
	if err := os.WriteFile(file, []byte(edit(string(content))), 0o600); err != nil {
		return pushed, err
	}
	if err := d.show(ctx, d.clone(), d.binary, "validate", "."); err != nil {
		return pushed, err
	}
	for _, args := range [][]string{
		{"diff"},
		{"commit", "--quiet", "--all", "--message", message},
		{"push", "--quiet", "origin", "HEAD:main"},
	} {
		if err := d.git(ctx, d.clone(), args...); err != nil {
			return pushed, err
		}
	}
	pushed = time.Now()
	head, err := exec.CommandContext(ctx, "git", "-C", d.clone(), "rev-parse", "HEAD").Output()
	if err != nil {
		return pushed, err
	}
	// The server sees a moment later that the branch has moved.
	want, says := strings.TrimSpace(string(head)), ""
	err = await(ctx, func(ctx context.Context) (bool, error) {
		stands, err := d.client().GetSecret(ctx, definition, client.WaitOptions{})
		if err != nil {
			return false, err
		}
		says = stands.ResourceVersion
		return says == want, nil
	})
	if err != nil {
		return pushed, fmt.Errorf("the API says revision %s; want what was pushed, %s: %w", says, want, err)
	}
	return pushed, nil
}

func (d *demo) rotate(ctx context.Context) error {
	version, err := d.stack.Vault.PutSecret(ctx, "secret", tenant+"/production/db-password",
		map[string]any{"username": "orders", "password": d.passwords[1]})
	if err != nil {
		return err
	}
	fmt.Printf("vault: secret/%s/production/db-password is at version %d; it is asked every %s\n", tenant, version, pollInterval)
	rotated := time.Now()
	err = d.awaitCopies(ctx, d.passwords[1],
		copyAt{"production", "default", "db-password"},
		copyAt{"production", "backend", "database-credentials"},
		copyAt{"staging", "default", "orders-database"})
	if err != nil {
		return err
	}
	fmt.Printf("every copy has it after %s\n", time.Since(rotated).Round(time.Millisecond))
	return nil
}

func (d *demo) drift(ctx context.Context) error {
	at := copyAt{"production", "default", "db-password"}
	if err := d.spoil(ctx, at); err != nil {
		return err
	}
	spoilt := time.Now()
	fmt.Printf("%s: the password is overwritten\n", at)
	if err := d.awaitCopies(ctx, d.passwords[1], at); err != nil {
		return err
	}
	fmt.Printf("put right after %s\n", time.Since(spoilt).Round(time.Millisecond))
	return nil
}

func (d *demo) showLog(ctx context.Context) error {
	if err := d.git(ctx, d.dir, "-C", d.repository, "log", "--format=%h  %an: %s", "main"); err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, "git", "-C", d.repository, "log", "--format=%an", "main").Output()
	if err != nil {
		return err
	}
	// create, patch, push, create, delete, push
	if lines := strings.Fields(strings.ReplaceAll(string(output), " ", "_")); len(lines) != 6 || lines[0] != "Dana" {
		return fmt.Errorf("%d commits, the newest by %s; want 6, one a change, the newest by Dana", len(lines), lines[0])
	}
	return d.git(ctx, d.dir, "-C", d.repository, "fsck", "--full", "--strict")
}

// searchValues looks for the passwords in all that the server wrote.
func (d *demo) searchValues(ctx context.Context) error {
	answer, err := d.send(ctx, "GET", "/secrets", "")
	if err != nil {
		return err
	}
	places := map[string][]byte{"the API": answer.body}
	if places["the log"], err = os.ReadFile(d.server.Log()); err != nil {
		return err
	}
	if places["the metrics"], err = fetch(ctx, d.url+"/metrics"); err != nil {
		return err
	}
	objects := exec.CommandContext(ctx, "git", "-C", d.repository, "cat-file", "--batch-all-objects", "--batch")
	if places["the repository"], err = objects.Output(); err != nil {
		return err
	}
	err = filepath.WalkDir(filepath.Join(d.dir, "data"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return err
	}
	for place, content := range places {
		for _, password := range d.passwords {
			if strings.Contains(string(content), password) {
				return fmt.Errorf("a password stands in %s", place)
			}
		}
	}
	fmt.Printf("searched %d places: none of %d passwords\n", len(places), len(d.passwords))
	return nil
}

// secret is what the demonstration reads of the contract's Secret.
type secret struct {
	Name            string
	ResourceVersion string
	Sync            []json.RawMessage
	Status          struct {
		Phase        string
		SyncStatuses []syncStatus
	}
}

type syncStatus struct {
	Cluster, Namespace, SecretName, State, Reason, Message, Commit string
	VaultVersion                                                   int
}
