package migrate

import (
	"slices"
	"strings"
)

// What the resources of Vault Secrets Operator mean, of version v1beta1.

const (
	kindStaticSecret = "VaultStaticSecret"
	kindVaultAuth    = "VaultAuth"
	kindConnection   = "VaultConnection"
)

type objectName struct{ namespace, name string }

// auth is what a VaultAuth says of where to read.
type auth struct {
	connection     objectName
	hasConnection  bool
	vaultNamespace string
}

func (c *converter) readConnection(r *Resource) {
	c.connections[objectName{c.namespaceOf(r), r.name}] = strings.TrimRight(r.spec.text("address"), "/")
	c.add(r.finding(Note, r.spec.lineOfNode(), "spec", "how to reach the vault is not taken over", "the operator says it in the server's configuration, under the tenant's vault"))
}

func (c *converter) readAuth(r *Resource) {
	a := auth{vaultNamespace: vaultNamespace(r.spec.text("namespace"))}
	if reference := r.spec.text("vaultConnectionRef"); reference != "" {
		a.connection, a.hasConnection = refer(c.namespaceOf(r), reference), true
	}
	c.auths[objectName{c.namespaceOf(r), r.name}] = a
	c.add(r.finding(Note, r.spec.lineOfNode(), "spec", "how to log in is not taken over", "the operator says it in the server's configuration, under the tenant's vault"))
}

// refer reads "name" or "namespace/name".
func refer(own, reference string) objectName {
	if namespace, name, ok := strings.Cut(reference, "/"); ok {
		return objectName{namespace, name}
	}
	return objectName{own, reference}
}

func (c *converter) readStatic(r *Resource) {
	if c.noNamespace(r) {
		return
	}
	spec := r.spec
	w := &wish{from: r, move: moveStatic, object: r.name, namespaces: []string{c.namespaceOf(r)}}
	v := value{mount: strings.Trim(spec.text("mount"), "/"), path: strings.Trim(spec.text("path"), "/"), line: spec.line("path"), field: "spec.path"}
	for field, value := range map[string]string{"mount": v.mount, "path": v.path} {
		if value == "" {
			c.add(r.finding(Refused, spec.line(field), spec.at(field), "is missing", ""))
		}
	}
	if kind := spec.text("type"); kind != "kv-v2" {
		c.add(r.finding(Refused, spec.line("type"), "spec.type", "is "+plain(kind)+", and values come from a KV mount of version 2", "upgrade the mount (vault kv enable-versioning)"))
	}
	if spec.number("version") != 0 {
		c.add(r.finding(Refused, spec.line("version"), "spec.version", "asks for a certain version, and a definition copies the newest", remedyStays))
	}
	c.interval(r, spec, "refreshAfter", w)
	if spec.has("hmacSecretData") && !spec.flag("hmacSecretData") {
		c.add(r.finding(Note, spec.line("hmacSecretData"), "spec.hmacSecretData", "a copy that somebody edits is put right at once, always", ""))
	}
	c.readRestarts(r, spec, w)
	if instant := spec.object("syncConfig"); instant.flag("instantUpdates") {
		c.add(r.finding(Left, instant.line("instantUpdates"), "spec.syncConfig.instantUpdates", "whether Vault's events are followed is not the definition's to say", "the operator can have them followed, under the tenant's vault"))
	}
	c.readDestination(r, spec.object("destination"), w)
	c.useAuth(r, spec, &v)
	w.values = []value{v}
	c.unknown(r, spec, Left)
	c.want(w)
}

func (c *converter) readDestination(r *Resource, destination *object, w *wish) {
	w.secret = destination.text("name")
	if w.secret == "" {
		c.add(r.finding(Refused, destination.lineOfNode(), "spec.destination.name", "is missing", ""))
	}
	if !destination.flag("create") {
		c.add(r.finding(Note, destination.lineOfNode(), "spec.destination.create", "the Secret was made by somebody else; a copy is made by us", "take the Secret out of what applies it, or it is reset each time"))
	}
	destination.ignore("overwrite")
	w.shape.Labels, w.shape.Annotations = c.readMarks(r, destination, "labels", false), c.readMarks(r, destination, "annotations", false)
	c.readType(r, destination, "type", w)
	transformation := destination.object("transformation")
	for _, field := range []string{"templates", "transformationRefs", "includes", "excludes"} {
		if transformation.has(field) {
			c.add(r.finding(Refused, transformation.line(field), transformation.at(field), "makes other keys than the value has, in a language of its own", "name the keys under data in a definition, or "+remedyStays))
			transformation.ignore(field)
		}
	}
	transformation.ignore("resync")
	if !transformation.flag("excludeRaw") {
		c.add(r.finding(Left, transformation.lineOfNode(), "spec.destination.transformation.excludeRaw", "the controller adds a key _raw to the Secret; it leaves the Secret when that is handed over",
			"see that no workload reads _raw, and set excludeRaw: true to say so"))
	}
}

// useAuth finds which vault, and which namespace of it, is read.
func (c *converter) useAuth(r *Resource, spec *object, v *value) {
	v.vaultNamespace = vaultNamespace(spec.text("namespace"))
	reference := spec.text("vaultAuthRef")
	a, ok := c.auths[refer(c.namespaceOf(r), reference)]
	if reference == "" || !ok {
		c.add(r.finding(Note, spec.line("vaultAuthRef"), "spec.vaultAuthRef", "the VaultAuth is not among what was given, so that it leads to the tenant's vault is not checked", ""))
		return
	}
	if v.vaultNamespace == "" {
		v.vaultNamespace = a.vaultNamespace
	}
	if a.hasConnection {
		v.address = c.connections[a.connection]
	}
}

// withoutImport are the kinds that hold nothing of their own to carry over.
var withoutImport = []string{"SecretTransformation", "VaultAuthGlobal", "HCPAuth"}

// readOther tells of the kinds that are no copy of a value in a KV mount.
func (c *converter) readOther(r *Resource) {
	reason, remedy := "is of a kind that is not imported", remedyStays
	switch {
	case slices.Contains(withoutImport, r.kind):
		c.add(r.finding(Note, r.line, "", "nothing of it is taken over", ""))
		return
	case r.group == groupGenerators:
		reason = "makes a value anew, and a definition copies one from Vault"
	case r.kind == "PushSecret", r.kind == "ClusterPushSecret":
		reason = "writes into a vault, which we never do"
	case r.kind == "VaultDynamicSecret", r.kind == "VaultPKISecret", r.kind == "VaultTokenSecret":
		reason = "is of a secret that Vault makes for each who asks, and a definition copies a value of a KV mount"
	case r.kind == "HCPVaultSecretsApp":
		reason = "reads another service than Vault"
	case r.kind == "CSISecrets":
		reason = "mounts a value into a pod and makes no Secret"
	}
	c.add(r.finding(Refused, r.line, "", reason, remedy))
}
