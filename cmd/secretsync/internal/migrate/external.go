package migrate

import (
	"slices"
	"strings"
)

// What the resources of External Secrets Operator mean. Of its versions v1 and
// v1beta1 are read, which have the same fields.

const (
	kindExternalSecret        = "ExternalSecret"
	kindClusterExternalSecret = "ClusterExternalSecret"
	kindSecretStore           = "SecretStore"
	kindClusterSecretStore    = "ClusterSecretStore"
)

// The remedies that more than one field has.
const (
	remedyKeys  = "put what the Secret shall hold at a path of its own in Vault and take all of it (dataFrom.extract, or no transformation), or go on with the old controller for this one"
	remedyStays = "go on with the old controller for this one"
)

// storeName is how an ExternalSecret names its store. The namespace of a
// ClusterSecretStore is empty.
type storeName struct{ kind, namespace, name string }

// store is where a SecretStore reads.
type store struct {
	provider       string // "vault", or the name of another one
	kv             string // "v1" or "v2"
	mount          string // empty where each key begins with it
	hasMount       bool
	address        string
	vaultNamespace string
}

func (c *converter) readStore(r *Resource) {
	key := storeName{r.kind, c.namespaceOf(r), r.name}
	if r.kind == kindClusterSecretStore {
		key.namespace = ""
	}
	s := &store{}
	provider := r.spec.object("provider")
	if provider.node != nil {
		for i := 0; i+1 < len(provider.node.Content); i += 2 {
			s.provider = provider.node.Content[i].Value
			provider.ignore(s.provider)
		}
	}
	c.stores[key] = s
	// What is left here is how to come to the vault, not what is read there.
	r.spec.ignore("controller", "retrySettings", "refreshInterval")
	if s.provider != "vault" {
		c.add(r.finding(Note, provider.lineOfNode(), provider.path, "the provider is "+plain(s.provider)+", not vault: what uses the store is not imported", ""))
		r.spec.ignore("conditions")
		return
	}
	vault := provider.object("vault")
	s.address, s.vaultNamespace, s.kv = strings.TrimRight(vault.text("server"), "/"), vaultNamespace(vault.text("namespace")), vault.text("version")
	if s.kv == "" {
		s.kv = "v2"
	}
	s.hasMount = vault.has("path")
	s.mount = strings.Trim(vault.text("path"), "/")
	vault.ignore("auth", "caBundle", "caProvider", "tls", "readYourWrites", "forwardInconsistent", "checkAndSet")
	c.add(r.finding(Note, vault.lineOfNode(), vault.path, "how to reach the vault and log in there is not taken over", "the operator says it in the server's configuration, under the tenant's vault"))
	if r.spec.has("conditions") {
		c.add(r.finding(Note, r.spec.line("conditions"), "spec.conditions", "which namespaces may use the store is not taken over", "the operator says it in the server's configuration, under the tenant's clusters"))
	}
	c.unknown(r, r.spec, Left)
}

// readExternal takes an ExternalSecret's wish.
func (c *converter) readExternal(r *Resource) {
	if parent, ok := r.madeBy(kindClusterExternalSecret); ok {
		if c.fanned[parent] {
			c.pass(r, "is made by ClusterExternalSecret "+parent+", which is imported")
			return
		}
		c.add(r.finding(Refused, r.line, "metadata.ownerReferences", "is made by ClusterExternalSecret "+plain(parent)+", which is not among what was given and would make it anew", "import that one, too"))
		return
	}
	w := &wish{from: r, move: moveExternal, object: r.name, namespaces: []string{c.namespaceOf(r)}, secret: r.name}
	if c.noNamespace(r) {
		return
	}
	c.metadata(r, r.labels, r.annotations, r.spec)
	c.readExternalSpec(r, r.spec, w)
	c.unknown(r, r.spec, Left)
	c.want(w)
}

// readCluster takes a ClusterExternalSecret's wish, one for all its namespaces.
func (c *converter) readCluster(r *Resource) {
	w := &wish{from: r, move: moveClusterExternal, object: r.name}
	if name := r.spec.text("externalSecretName"); name != "" {
		w.object = name
	}
	w.secret = w.object
	w.namespaces = r.spec.texts("namespaces")
	for _, field := range []string{"namespaceSelector", "namespaceSelectors"} {
		if !r.spec.has(field) {
			continue
		}
		found := r.status.texts("provisionedNamespaces")
		if len(found) == 0 {
			c.add(r.finding(Refused, r.spec.line(field), "spec."+field, "a definition names its namespaces, and which ones match is not known here",
				"import what is live (kubectl get clusterexternalsecret -o yaml), whose status lists them, or write spec.namespaces"))
			continue
		}
		c.add(r.finding(Left, r.spec.line(field), "spec."+field, "the namespaces that match now become targets; ones that match later do not", "add a target for each by hand"))
		w.namespaces = append(w.namespaces, found...)
	}
	slices.Sort(w.namespaces)
	w.namespaces = slices.Compact(w.namespaces)
	if len(w.namespaces) == 0 && !c.refused(r) {
		c.add(r.finding(Refused, r.line, "spec", "names no namespace", "write spec.namespaces"))
	}
	r.spec.ignore("refreshTime")
	template := r.spec.object("externalSecretSpec")
	metadata := r.spec.object("externalSecretMetadata")
	c.metadata(r, metadata.object("labels"), metadata.object("annotations"), template)
	c.readExternalSpec(r, template, w)
	c.unknown(r, r.spec, Left)
	c.want(w)
}

// metadata tells of the labels and annotations that the controller copies from
// its resource onto the Secret where no template says otherwise.
func (c *converter) metadata(r *Resource, labels, annotations, spec *object) {
	if spec.object("target").has("template") {
		return
	}
	for _, o := range []*object{labels, annotations} {
		if o.node == nil {
			continue
		}
		for i := 0; i+1 < len(o.node.Content); i += 2 {
			if key := o.node.Content[i]; key.Value != "kubectl.kubernetes.io/last-applied-configuration" {
				c.add(r.finding(Note, key.Line, o.at(plain(key.Value)), "was copied onto the Secret; it stays on one that is handed over, and new copies don't get it", ""))
			}
		}
	}
}

func (c *converter) readExternalSpec(r *Resource, spec *object, w *wish) {
	c.readTarget(r, spec.object("target"), w)
	switch policy := spec.text("refreshPolicy"); policy {
	case "", "Periodic":
		c.interval(r, spec, "refreshInterval")
	default:
		spec.ignore("refreshInterval")
		c.add(r.finding(Refused, spec.line("refreshPolicy"), spec.at("refreshPolicy"), "is "+plain(policy)+": the Secret was to stay as it is when the value changes", remedyStays))
	}
	if spec.has("syncWindows") {
		c.add(r.finding(Left, spec.line("syncWindows"), spec.at("syncWindows"), "values are copied at any time of the day", "change them in Vault when they may arrive"))
	}
	if spec.has("data") {
		c.add(r.finding(Refused, spec.line("data"), spec.at("data"), "selects single keys, and a definition copies all keys of a value under their own names", remedyKeys))
		c.useStore(r, spec, nil, w, "")
		return
	}
	from := spec.objects("dataFrom")
	if len(from) != 1 {
		reason := "takes no value"
		if len(from) > 1 {
			reason = "merges several sources into one Secret, and a definition has one"
		}
		if !c.refused(r) {
			c.add(r.finding(Refused, spec.line("dataFrom"), spec.at("dataFrom"), reason, remedyKeys))
		}
		for _, o := range from {
			o.ignore("extract", "find", "rewrite", "select", "sourceRef")
		}
		c.useStore(r, spec, nil, w, "")
		return
	}
	c.readSource(r, spec, from[0], w)
}

func (c *converter) readSource(r *Resource, spec, from *object, w *wish) {
	refuse := func(o *object, field, reason, remedy string) {
		if o.has(field) {
			c.add(r.finding(Refused, o.line(field), o.at(field), reason, remedy))
		}
	}
	refuse(from, "find", "takes all values that match, and a definition names one", "write one definition for each value")
	refuse(from, "rewrite", "renames keys, and a definition copies them under their own names", remedyKeys)
	refuse(from, "select", "takes some of the keys, and a definition copies all of them", remedyKeys)
	source := from.object("sourceRef")
	refuse(source, "generatorRef", "makes a value anew, and a definition copies one from Vault", remedyStays)
	source.ignore("generator")
	extract := from.object("extract")
	if extract.node == nil {
		if !c.refused(r) {
			c.add(r.finding(Refused, from.lineOfNode(), from.path, "extracts nothing", remedyKeys))
		}
		c.useStore(r, spec, source, w, "")
		return
	}
	refuse(extract, "version", "asks for a certain version, and a definition copies the newest", remedyStays)
	refuse(extract, "property", "takes a part of the value, and a definition copies the whole", remedyKeys)
	for field, usual := range map[string]string{"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"} {
		if value := extract.text(field); value != "" && value != usual {
			c.add(r.finding(Refused, extract.line(field), extract.at(field), "is "+plain(value)+", and a definition copies keys and values as they are", remedyKeys))
		}
	}
	if value := extract.text("emptyResultPolicy"); value != "" && value != "Fail" {
		c.add(r.finding(Left, extract.line("emptyResultPolicy"), extract.at("emptyResultPolicy"), "a value that is missing is told in the status, as ValueNotFound", ""))
	}
	// No Secret can tell: a value that Vault gives is JSON, and bytes of zero in it stay.
	extract.ignore("nullBytePolicy")
	key := extract.text("key")
	if key == "" {
		c.add(r.finding(Refused, extract.lineOfNode(), extract.path, "names no key", ""))
	}
	c.useStore(r, spec, source, w, key)
}

func (c *converter) readTarget(r *Resource, target *object, w *wish) {
	if name := target.text("name"); name != "" {
		w.secret = name
	}
	switch policy := target.text("creationPolicy"); policy {
	case "", "Owner":
	case "Orphan":
		c.add(r.finding(Note, target.line("creationPolicy"), target.at("creationPolicy"), "keys that others wrote into the Secret leave it when it is handed over; that it stays is so for every copy", ""))
	case "Merge", "CreateOrMerge":
		c.add(r.finding(Refused, target.line("creationPolicy"), target.at("creationPolicy"), "is "+policy+": the Secret holds keys of others, and a copy is the value and nothing else", "give the value a Secret of its own and mount that, too"))
	default:
		c.add(r.finding(Refused, target.line("creationPolicy"), target.at("creationPolicy"), "is "+plain(policy)+": there is no Secret to copy to", ""))
	}
	switch policy := target.text("deletionPolicy"); policy {
	case "", "Retain":
	default:
		c.add(r.finding(Left, target.line("deletionPolicy"), target.at("deletionPolicy"), "is "+plain(policy)+", and a copy stays as it is when its value is deleted in Vault, told in the status as ValueDeleted", "delete the Secret by hand then"))
	}
	if target.flag("immutable") {
		c.add(r.finding(Left, target.line("immutable"), target.at("immutable"), "a copy follows its value, so it is made anew without it", ""))
	}
	if target.has("manifest") {
		c.add(r.finding(Refused, target.line("manifest"), target.at("manifest"), "makes another thing than a Secret", remedyStays))
	}
	c.readTemplate(r, target.object("template"))
}

func (c *converter) readTemplate(r *Resource, template *object) {
	for _, field := range []string{"data", "templateFrom"} {
		if template.has(field) {
			c.add(r.finding(Refused, template.line(field), template.at(field), "makes the Secret's keys from a template, and a definition copies them as they are", remedyKeys))
		}
	}
	c.secretType(r, template, "type")
	metadata := template.object("metadata")
	for _, field := range []string{"labels", "annotations", "finalizers"} {
		if metadata.has(field) {
			c.add(r.finding(Left, metadata.line(field), metadata.at(field), "stay on a Secret that is handed over, and new copies don't get them", "set them by hand; a copy keeps what others write on it"))
		}
	}
	template.ignore("engineVersion", "mergePolicy")
}

// useStore finds where the store reads. from is the source's own reference, or nil.
func (c *converter) useStore(r *Resource, spec, from *object, w *wish, key string) {
	reference := spec.object("secretStoreRef")
	reference.ignore("name", "kind")
	if from != nil && from.has("storeRef") {
		reference = from.object("storeRef")
	}
	kind, name := reference.text("kind"), reference.text("name")
	if kind == "" {
		kind = kindSecretStore
	}
	if name == "" || key == "" || c.refused(r) {
		if name == "" && !c.refused(r) {
			c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "names no store", ""))
		}
		return
	}
	var s *store
	for _, namespace := range w.namespaces {
		if kind == kindClusterSecretStore {
			namespace = ""
		}
		found, ok := c.stores[storeName{kind, namespace, name}]
		switch {
		case !ok:
			c.add(r.finding(Refused, reference.lineOfNode(), reference.path, plain(kind)+" "+plain(join(namespace, name))+" is not among what was given, so what it reads is not known", "give it, too"))
			return
		case s != nil && !s.sameAs(found):
			c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the stores of its namespaces read different places", "import each namespace by itself"))
			return
		}
		s = found
	}
	if s == nil {
		return
	}
	switch {
	case s.provider == "kubernetes":
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the store copies another Secret on, and a definition copies a value from Vault", "add its namespaces as targets to the definition of the value that this Secret holds"))
		return
	case s.provider != "vault":
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the store's provider is "+plain(s.provider)+", and values come from Vault", "bring the value into Vault first, or "+remedyStays))
		return
	case s.kv != "v2":
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the store reads a KV mount of version "+plain(s.kv)+", and values come from one of version 2", "upgrade the mount (vault kv enable-versioning)"))
		return
	}
	w.address, w.vaultNamespace = s.address, s.vaultNamespace
	w.mount, w.path = s.locate(key, c.options.Mount)
	w.line, w.field = reference.lineOfNode(), spec.at("dataFrom")
	if w.mount == "" {
		c.add(r.finding(Refused, spec.line("dataFrom"), spec.at("dataFrom"), "the key does not begin with the mount "+plain(c.options.Mount), "import it for the tenant whose mount it is"))
	}
}

func (s *store) sameAs(o *store) bool {
	return s.provider == o.provider && s.kv == o.kv && s.mount == o.mount && s.hasMount == o.hasMount && s.address == o.address && s.vaultNamespace == o.vaultNamespace
}

// locate splits a key into mount and path as the controller does: the mount, and
// the "data" of the API, may stand in the key or not. The mount is empty where
// there is none to be found.
func (s *store) locate(key, tenants string) (mount, path string) {
	key = strings.TrimLeft(key, "/")
	if s.hasMount {
		if rest, ok := strings.CutPrefix(key, s.mount+"/"); ok {
			key = strings.TrimPrefix(rest, "data/")
		}
		return s.mount, key
	}
	rest, ok := strings.CutPrefix(key, tenants+"/")
	if !ok {
		return "", ""
	}
	if inner, ok := strings.CutPrefix(rest, "data/"); ok {
		return tenants, inner
	}
	if strings.Contains(tenants, "/") {
		return "", "" // it puts "data" behind the first segment, which is not the mount
	}
	return tenants, rest
}

// vaultNamespace writes the name of a namespace in Vault as one text: slashes at
// its ends mean nothing, and root is where one is without a name.
func vaultNamespace(s string) string {
	if s = strings.Trim(s, "/"); s == "root" {
		return ""
	}
	return s
}
