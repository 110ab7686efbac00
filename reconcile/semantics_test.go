package reconcile

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/status"
)

// TestEveryRowOfTheTable goes through the table of what happens, row by row,
// with a real Vault and real API servers.
func TestEveryRowOfTheTable(t *testing.T) {
	rows := map[string]func(w *world){
		"value and copy agree: nothing is written": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			before := w.get("production/./db").ResourceVersion
			w.r.SyncNow(w.tenant(), w.parse("db"))
			w.put("other", map[string]any{"a": "1"})
			w.define("other", "production/.")
			w.synced("other")
			w.stop()
			w.start()
			w.synced("db", "other")
			if after := w.get("production/./db").ResourceVersion; after != before {
				w.t.Errorf("it was written again: %s, before %s", after, before)
			}
		},
		"new target, new value: written with what a copy carries": func(w *world) {
			w.put("app/db", map[string]any{"user": "u", "password": "p"})
			w.defineAt("db", "app/db", "production/.", "staging/./database")
			w.synced("db")
			for _, place := range []string{"production/./db", "staging/./database"} {
				s := w.holds(place, map[string]string{"user": "u", "password": "p"})
				if s.Type != corev1.SecretTypeOpaque {
					w.t.Errorf("type %s", s.Type)
				}
				wantLabels := map[string]string{copies.LabelManagedBy: "secretsync", copies.LabelTenant: w.name, copies.LabelName: "db"}
				if !maps.Equal(s.Labels, wantLabels) {
					w.t.Errorf("labels %v", s.Labels)
				}
				if s.Annotations[copies.AnnotationVaultPath] != "app/db" || s.Annotations[copies.AnnotationVaultVersion] != "1" || s.Annotations[copies.AnnotationCommit] != w.repo.Snapshot().Head().String() || len(s.Annotations[copies.AnnotationHash]) != 64 {
					w.t.Errorf("annotations %v", s.Annotations)
				}
			}
			st := w.statusWhere("db", "two targets", func(s status.Status) bool { return len(s.Targets) == 2 })
			if s := st.Targets[1]; s.VaultVersion != 1 || s.Commit != w.repo.Snapshot().Head() || s.LastSync.IsZero() || s.Secret.String() != "database" {
				w.t.Errorf("status %+v", s)
			}
			w.patch("db", "production/.", "staging/./database", "production/./second")
			w.holds("production/./second", map[string]string{"user": "u", "password": "p"})
		},
		"a changed value: updated, and keys that left the vault leave the Secret": func(w *world) {
			w.put("db", map[string]any{"a": "1", "b": "2"})
			w.define("db", "production/.", "staging/.")
			w.synced("db")
			w.edit("production/./db", func(s *corev1.Secret) {
				s.Labels["theirs"] = "stays"
				s.Annotations["theirs/too"] = "stays"
			})
			w.put("db", map[string]any{"a": "3"})
			s := w.holds("production/./db", map[string]string{"a": "3"})
			w.holds("staging/./db", map[string]string{"a": "3"})
			if s.Labels["theirs"] != "stays" || s.Annotations["theirs/too"] != "stays" {
				w.t.Errorf("what others wrote is gone: %v %v", s.Labels, s.Annotations)
			}
			if s.Annotations[copies.AnnotationVaultVersion] != "2" {
				w.t.Errorf("annotations %v", s.Annotations)
			}
		},
		"vault path has no value yet: looked at again": func(w *world) {
			w.define("late", "production/.")
			s := w.status("late", fault.ReasonValueNotFound)
			if s.State != fault.Pending || !strings.Contains(s.Message, "secret/"+w.name+"/late") {
				w.t.Errorf("%+v", s)
			}
			if w.get("production/./late") != nil {
				w.t.Error("something was written")
			}
			w.put("late", map[string]any{"a": "1"})
			w.holds("production/./late", map[string]string{"a": "1"})
			w.synced("late")
		},
		"metadata without any version: no value yet": func(w *world) {
			_, err := w.stack.Vault.Client.Logical().Write("secret/metadata/"+w.name+"/bare", map[string]any{"max_versions": 3})
			w.must(err)
			w.define("bare", "production/.")
			w.status("bare", fault.ReasonValueNotFound)
		},
		"newest version deleted: the last copy stays": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.must(w.stack.Vault.Client.KVv2("secret").Delete(w.ctx, w.name+"/db"))
			s := w.status("db", fault.ReasonValueDeleted)
			if s.State != fault.Error || s.LastSync.IsZero() {
				w.t.Errorf("%+v", s)
			}
			w.holds("production/./db", map[string]string{"a": "1"})
			// Nor does a start with the deleted version touch it.
			w.stop()
			w.start()
			w.status("db", fault.ReasonValueDeleted)
			w.r.SyncNow(w.tenant(), w.parse("db"))
			w.status("db", fault.ReasonValueDeleted)
			w.holds("production/./db", map[string]string{"a": "1"})
			w.must(w.stack.Vault.Client.KVv2("secret").Undelete(w.ctx, w.name+"/db", []int{1}))
			w.synced("db")
		},
		"newest version destroyed: the last copy stays": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.must(w.stack.Vault.Client.KVv2("secret").Destroy(w.ctx, w.name+"/db", []int{1}))
			if s := w.status("db", fault.ReasonValueDeleted); !strings.Contains(s.Message, "destroyed") {
				w.t.Errorf("%+v", s)
			}
			w.holds("production/./db", map[string]string{"a": "1"})
			w.put("db", map[string]any{"a": "2"})
			w.holds("production/./db", map[string]string{"a": "2"})
		},
		"a path removed with all its versions and begun again at 1 is a new value": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.must(w.stack.Vault.Client.KVv2("secret").DeleteMetadata(w.ctx, w.name+"/db"))
			if s := w.status("db", fault.ReasonValueNotFound); !strings.Contains(s.Message, "the copy of the last one stays") || w.get("production/./db") == nil {
				w.t.Errorf("%+v", s)
			}
			w.put("db", map[string]any{"a": "again"})
			w.holds("production/./db", map[string]string{"a": "again"})
		},
		"a version that will be deleted later is a value": func(w *world) {
			_, err := w.stack.Vault.Client.Logical().Write("secret/metadata/"+w.name+"/ttl", map[string]any{"delete_version_after": "1h"})
			w.must(err)
			w.put("ttl", map[string]any{"a": "1"})
			w.define("ttl", "production/.")
			w.synced("ttl")
			w.stop()
			w.start()
			w.synced("ttl")
		},
		"a value that is no string": func(w *world) {
			body := `{"data":{"n":-0.25,"big":9007199254740991,"t":true,"null":null,"o":{"b":[1,2.5,"<&>"],"a":9007199254740991},"s":"é\n"}}`
			_, err := w.stack.Vault.Client.Logical().WriteBytesWithContext(w.ctx, "secret/data/"+w.name+"/mixed", []byte(body))
			w.must(err)
			// Vault itself rounds what is no integer; see TestSecretBytes for ours.
			w.define("mixed", "production/.")
			w.holds("production/./mixed", map[string]string{
				"n": "-0.25", "big": "9007199254740991", "t": "true", "null": "",
				"o": `{"a":9007199254740991,"b":[1,2.5,"<&>"]}`, "s": "é\n",
			})
		},
		"a path with every character that is allowed": func(w *world) {
			const path = "a~b/c@d:e=f+g._-/H..9"
			w.put(path, map[string]any{"a": "1"})
			w.defineAt("odd", path, "production/.")
			w.holds("production/./odd", map[string]string{"a": "1"})
			w.put(path, map[string]any{"a": "2"})
			w.holds("production/./odd", map[string]string{"a": "2"})
		},
		"a value without any key": func(w *world) {
			w.put("empty", map[string]any{})
			w.define("empty", "production/.")
			w.holds("production/./empty", map[string]string{})
			w.synced("empty")
		},
		"a key that Kubernetes does not allow": func(w *world) {
			for name, key := range map[string]string{"slash": "a/b", "umlaut": "schlüssel", "dots": "..", "long": strings.Repeat("k", 254), "space": "a b"} {
				w.put(name, map[string]any{key: "1", "fine": "2"})
				w.define(name, "production/.")
				if s := w.status(name, fault.ReasonInvalidKey); s.State != fault.Error {
					w.t.Errorf("%+v", s)
				}
				if w.get("production/./"+name) != nil {
					w.t.Errorf("%s: something was written", name)
				}
			}
			w.put("slash", map[string]any{"a-b": "1"})
			w.holds("production/./slash", map[string]string{"a-b": "1"})
		},
		"data over 1 MiB": func(w *world) {
			// Vault's own limit on an entry is about 1 MiB as well, so it takes
			// escapes that grow: U+0000 is six bytes in JSON, and one in a Secret.
			// What is over the limit in a Secret but not in Vault does not exist;
			// the limit itself is tested in TestParseData.
			w.put("large", map[string]any{"a": strings.Repeat("x", 900_000)})
			w.define("large", "production/.")
			w.holds("production/./large", map[string]string{"a": strings.Repeat("x", 900_000)})
		},
		"a Secret of that name that is not ours is never touched": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			foreign := w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Data: map[string][]byte{"x": []byte("theirs")}})
			w.define("db", "production/.")
			s := w.status("db", fault.ReasonNotOwned)
			if s.State != fault.Error || !strings.Contains(s.Message, copies.AnnotationAdopt+"="+w.name+"/db") {
				w.t.Errorf("%+v", s)
			}
			if now := w.get("production/./db"); now.ResourceVersion != foreign.ResourceVersion {
				w.t.Error("it was touched")
			}
			// An annotation for somebody else allows nothing.
			w.edit("production/./db", func(s *corev1.Secret) {
				s.Annotations = map[string]string{copies.AnnotationAdopt: w.name + "/other"}
			})
			w.r.SyncNow(w.tenant(), w.parse("db"))
			w.status("db", fault.ReasonNotOwned)
			w.edit("production/./db", func(s *corev1.Secret) {
				s.Annotations = map[string]string{copies.AnnotationAdopt: w.name + "/db"}
			})
			w.holds("production/./db", map[string]string{"a": "1"})
			w.synced("db")
		},
		"a foreign Secret that goes away makes room": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.create("production", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "db"}})
			w.define("db", "production/.")
			w.status("db", fault.ReasonNotOwned)
			w.delete("production/./db")
			w.holds("production/./db", map[string]string{"a": "1"})
			w.synced("db")
		},
		"two definitions claim one target: the holder keeps it, the other waits": func(w *world) {
			w.put("zz", map[string]any{"a": "zz"})
			w.put("aa", map[string]any{"a": "aa"})
			w.define("zz", "production/./shared")
			w.synced("zz")
			yaml := "name: aa\nsecretPath: aa\nsync:\n  - cluster: production\n    namespace: " + w.namespace + "\n    secretName: shared\n"
			w.push(map[string]*string{"secrets/aa.yaml": &yaml})
			s := w.status("aa", fault.ReasonTargetConflict)
			if s.State != fault.Error || !strings.Contains(s.Message, "zz") {
				w.t.Errorf("%+v", s)
			}
			w.synced("zz")
			w.holds("production/./shared", map[string]string{"a": "zz"})
			w.stop()
			w.start()
			w.synced("zz")
			w.status("aa", fault.ReasonTargetConflict)
			w.remove("zz")
			w.holds("production/./shared", map[string]string{"a": "aa"})
			w.synced("aa")
		},
		"two definitions claim one target that nobody holds: the lesser name has it": func(w *world) {
			w.put("bb", map[string]any{"a": "bb"})
			w.put("aa", map[string]any{"a": "aa"})
			files := map[string]*string{}
			for _, name := range []string{"bb", "aa"} {
				yaml := "name: " + name + "\nsecretPath: " + name + "\nsync:\n  - cluster: production\n    namespace: " + w.namespace + "\n    secretName: shared\n"
				files["secrets/"+name+".yaml"] = &yaml
			}
			w.push(files)
			w.synced("aa")
			w.status("bb", fault.ReasonTargetConflict)
			w.holds("production/./shared", map[string]string{"a": "aa"})
		},
		"someone edits a copy": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.edit("production/./db", func(s *corev1.Secret) { s.Data["a"], s.Data["b"] = []byte("2"), []byte("3") })
			w.holds("production/./db", map[string]string{"a": "1"})
			w.synced("db")
		},
		"someone edits what a copy says of itself": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.edit("production/./db", func(s *corev1.Secret) { s.Annotations[copies.AnnotationVaultVersion] = "7" })
			w.until("production/./db", "version 1", func(s *corev1.Secret) bool { return s.Annotations[copies.AnnotationVaultVersion] == "1" })
		},
		"someone deletes a copy": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.delete("production/./db")
			w.holds("production/./db", map[string]string{"a": "1"})
			w.synced("db")
		},
		"someone takes the labels off a copy": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			w.edit("production/./db", func(s *corev1.Secret) { s.Labels = nil })
			w.until("production/./db", "its labels", func(s *corev1.Secret) bool { return s.Labels[copies.LabelTenant] == w.name })
			w.synced("db")
			// Of the labels alone, the tenant's: it is ours by its hash all the same.
			w.edit("production/./db", func(s *corev1.Secret) { s.Labels[copies.LabelTenant] = "somebody" })
			w.until("production/./db", "its labels", func(s *corev1.Secret) bool { return s.Labels[copies.LabelTenant] == w.name })
			// Labels and data: nothing proves that it is ours.
			w.edit("production/./db", func(s *corev1.Secret) { s.Labels, s.Data = nil, map[string][]byte{"x": nil} })
			w.status("db", fault.ReasonNotOwned)
		},
		"someone makes a copy immutable": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			yes := true
			w.edit("production/./db", func(s *corev1.Secret) { s.Immutable, s.Labels["theirs"] = &yes, "stays" })
			w.put("db", map[string]any{"a": "2"})
			if s := w.holds("production/./db", map[string]string{"a": "2"}); s.Labels["theirs"] != "stays" {
				w.t.Errorf("labels %v", s.Labels)
			}
			w.synced("db")
		},
		"a namespace that is missing, comes, ends and comes again": func(w *world) {
			late := w.namespace + "-late"
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/"+late)
			if s := w.status("db", fault.ReasonNamespaceNotFound); s.State != fault.Pending {
				w.t.Errorf("%+v", s)
			}
			c := w.stack.Cluster("production")
			w.must(c.CreateNamespace(w.ctx, late))
			w.holds("production/"+late+"/db", map[string]string{"a": "1"})
			w.synced("db")
			w.must(c.TerminateNamespace(w.ctx, late))
			w.status("db", fault.ReasonNamespaceTerminating)
			w.must(c.DeleteNamespace(w.ctx, late))
			w.status("db", fault.ReasonNamespaceNotFound)
			w.must(c.CreateNamespace(w.ctx, late))
			w.holds("production/"+late+"/db", map[string]string{"a": "1"})
			w.synced("db")
		},
		"cluster not registered": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "nowhere/.", "production/.")
			s := w.statusWhere("db", "Degraded", func(s status.Status) bool { return s.Phase == status.Degraded })
			if s.Targets[0].Reason != fault.ReasonClusterNotFound || s.Targets[0].State != fault.Error || s.Targets[1].Reason != fault.ReasonSynced {
				w.t.Errorf("%+v", s)
			}
		},
		"namespace not granted": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/default")
			w.status("db", fault.ReasonNamespaceNotAllowed)
			w.define("sys", "production/kube-system")
			w.status("sys", fault.ReasonNamespaceNotAllowed)
		},
		"target removed, definition removed: the Secret stays with its labels": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.", "staging/.")
			w.synced("db")
			w.patch("db", "production/.")
			w.put("db", map[string]any{"a": "2"})
			w.holds("production/./db", map[string]string{"a": "2"})
			if s := w.holds("staging/./db", map[string]string{"a": "1"}); s.Labels[copies.LabelTenant] != w.name {
				w.t.Errorf("labels %v", s.Labels)
			}
			w.remove("db")
			w.put("other", map[string]any{"a": "2"})
			w.define("other", "production/.")
			w.synced("other")
			w.holds("production/./db", map[string]string{"a": "2"})
		},
		"a definition that is renamed takes its Secret along": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("old", "production/./kept")
			w.put("old", map[string]any{"a": "1"})
			w.synced("old")
			yaml := "name: new\nsecretPath: db\nsync:\n  - {cluster: production, namespace: " + w.namespace + ", secretName: kept}\n"
			w.push(map[string]*string{"secrets/old.yaml": nil, "secrets/new.yaml": &yaml})
			w.synced("new")
			w.until("production/./kept", "new", func(s *corev1.Secret) bool { return s.Labels[copies.LabelName] == "new" })
		},
		"an invalid file: its last valid version goes on being synced": func(w *world) {
			w.put("db", map[string]any{"a": "1"})
			w.define("db", "production/.")
			w.synced("db")
			broken := "name: db\nsecretPath: db\nsync: [\n"
			w.push(map[string]*string{"secrets/db.yaml": &broken})
			s := w.statusWhere("db", "invalid", func(s status.Status) bool { return s.Ready.Reason == fault.ReasonInvalidDefinition })
			if s.Phase != status.Degraded || s.Ready.Status || !strings.Contains(s.Ready.Message, "secrets/db.yaml:") {
				w.t.Errorf("%+v", s)
			}
			w.put("db", map[string]any{"a": "2"})
			w.holds("production/./db", map[string]string{"a": "2"})
		},
		"no targets": func(w *world) {
			w.define("idle")
			s := w.statusWhere("idle", "Active", func(s status.Status) bool { return s.Phase == status.Active })
			if !s.Ready.Status || s.Ready.LastTransition.IsZero() {
				w.t.Errorf("%+v", s)
			}
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row(newWorld(t))
		})
	}
}
