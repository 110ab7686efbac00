package migrate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"secretsync/gitstore/definition"
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
	c.readSelectors(r, w)
	slices.Sort(w.namespaces)
	w.namespaces = slices.Compact(w.namespaces)
	if len(w.namespaces)+len(w.selectors) == 0 && !c.refused(r) {
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

// readSelectors reads by which labels namespaces are chosen. Those that match now
// are needed for the handover, and only what is live tells them.
func (c *converter) readSelectors(r *Resource, w *wish) {
	found := r.status.texts("provisionedNamespaces")
	chooses := func(n *yaml.Node, line int, field string) {
		selector, err := selectorOf(n)
		switch {
		case err == nil && len(found) == 0:
			w.selectors = append(w.selectors, selector)
			c.add(r.finding(Left, line, field, "which namespaces match now is not known here, so their Secrets are not handed over", "import what is live (kubectl get clusterexternalsecret -o yaml), whose status lists them"))
		case err == nil:
			w.selectors = append(w.selectors, selector)
		case len(found) == 0:
			c.add(r.finding(Refused, line, field, "is none that a definition can have, and which namespaces match is not known here",
				"import what is live (kubectl get clusterexternalsecret -o yaml), whose status lists them, or write spec.namespaces"))
		default:
			w.every = true
			c.add(r.finding(Left, line, field, "is none that a definition can have: the namespaces that match now become targets, and ones that match later do not", "add a target for each by hand"))
		}
	}
	w.listed = slices.Clone(w.namespaces)
	if n := r.spec.field("namespaceSelector"); n != nil && r.spec.has("namespaceSelector") {
		chooses(n, r.spec.line("namespaceSelector"), "spec.namespaceSelector")
	}
	for i, n := range r.spec.items("namespaceSelectors") {
		chooses(n, n.Line, fmt.Sprintf("spec.namespaceSelectors[%d]", i))
	}
	if len(w.selectors) > 0 || w.every {
		w.namespaces = append(w.namespaces, found...)
	}
	if w.every {
		w.listed = w.namespaces
	}
}

func selectorOf(n *yaml.Node) (definition.Selector, error) {
	var selects any
	if err := n.Decode(&selects); err != nil {
		return definition.Selector{}, err
	}
	text, err := json.Marshal(selects)
	if err != nil {
		return definition.Selector{}, err
	}
	return definition.ParseSelector(text)
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
				c.add(r.finding(Note, key.Line, o.at(plain(key.Value)), "was copied onto the Secret; it stays on one that is handed over, and new copies don't get it", "add it to the labels or annotations of the definition if something needs it"))
			}
		}
	}
}

func (c *converter) readExternalSpec(r *Resource, spec *object, w *wish) {
	c.readTarget(r, spec.object("target"), w)
	switch policy := spec.text("refreshPolicy"); policy {
	case "", "Periodic":
		c.interval(r, spec, "refreshInterval", w)
	default:
		spec.ignore("refreshInterval")
		c.add(r.finding(Refused, spec.line("refreshPolicy"), spec.at("refreshPolicy"), "is "+plain(policy)+": the Secret was to stay as it is when the value changes", remedyStays))
	}
	if spec.has("syncWindows") {
		c.add(r.finding(Left, spec.line("syncWindows"), spec.at("syncWindows"), "values are copied at any time of the day", "change them in Vault when they may arrive"))
	}
	template := spec.object("target").object("template")
	from := spec.objects("dataFrom")
	switch {
	case spec.has("data") && len(from) == 0:
		c.readPicks(r, spec, w)
	case len(from) == 1 && !spec.has("data"):
		c.readSource(r, spec, from[0], w)
	default:
		reason := "takes no value"
		if len(from) > 0 {
			reason = "merges several sources into one Secret, all keys of at least one, and a definition names each key or takes all of one value"
		}
		if !c.refused(r) {
			c.add(r.finding(Refused, spec.line("dataFrom"), spec.at("dataFrom"), reason, "name each key under data"))
		}
		for _, o := range from {
			o.ignore("extract", "find", "rewrite", "select", "sourceRef")
		}
		c.useStore(r, spec, nil, w, spec, "")
	}
	c.readTemplates(r, template, w)
	if w.shape.Mode == definition.ModeMerge && len(w.picks) == 0 && !c.refused(r) {
		target := spec.object("target")
		c.add(r.finding(Refused, target.line("creationPolicy"), target.at("creationPolicy"), "is "+plain(target.text("creationPolicy"))+": the Secret holds keys of others, and which ones are ours is not said", "name each key under data, in place of dataFrom"))
	}
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
		c.useStore(r, spec, source, w, from, "")
		return
	}
	c.refuseVersion(r, extract)
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
	c.useStore(r, spec, source, w, spec, key)
}

func (c *converter) readTarget(r *Resource, target *object, w *wish) {
	if name := target.text("name"); name != "" {
		w.secret = name
	}
	switch policy := target.text("creationPolicy"); policy {
	case "", "Owner":
	case "Orphan":
		c.add(r.finding(Note, target.line("creationPolicy"), target.at("creationPolicy"), "keys that others wrote into the Secret leave it when it is handed over; that it stays is so for every copy", ""))
	case "Merge":
		c.add(r.finding(Note, target.line("creationPolicy"), target.at("creationPolicy"), "a Secret that is missing is made, and is not waited for", ""))
		w.shape.Mode = definition.ModeMerge
	case "CreateOrMerge":
		w.shape.Mode = definition.ModeMerge
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
	template := target.object("template")
	c.readType(r, template, "type", w)
	metadata := template.object("metadata")
	w.shape.Labels, w.shape.Annotations = c.readMarks(r, metadata, "labels", true), c.readMarks(r, metadata, "annotations", true)
	if metadata.has("finalizers") {
		c.add(r.finding(Left, metadata.line("finalizers"), metadata.at("finalizers"), "stay on a Secret that is handed over, and new copies don't get them", "set them by hand; a copy keeps what others write on it"))
	}
}

// useStore finds where the store reads, and returns which of the wish's values that
// is; -1 where it is refused. from is the source's own reference, or nil; blame is
// where the key stands.
func (c *converter) useStore(r *Resource, spec, from *object, w *wish, blame *object, key string) int {
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
		if key == "" && blame != spec && blame.path != "" && strings.HasSuffix(blame.path, "remoteRef") {
			c.add(r.finding(Refused, blame.lineOfNode(), blame.path, "names no key", ""))
		}
		if name == "" && !c.refused(r) {
			c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "names no store", ""))
		}
		return -1
	}
	var s *store
	namespaces := w.namespaces
	if kind == kindClusterSecretStore {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		found, ok := c.stores[storeName{kind, namespace, name}]
		switch {
		case !ok:
			c.add(r.finding(Refused, reference.lineOfNode(), reference.path, plain(kind)+" "+plain(join(namespace, name))+" is not among what was given, so what it reads is not known", "give it, too"))
			return -1
		case s != nil && !s.sameAs(found):
			c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the stores of its namespaces read different places", "import each namespace by itself"))
			return -1
		}
		s = found
	}
	if s == nil {
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the stores of its namespaces are not known, so what they read is not, either", "use a ClusterSecretStore"))
		return -1
	}
	switch {
	case s.provider == "kubernetes":
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the store copies another Secret on, and a definition copies a value from Vault", "add its namespaces as targets to the definition of the value that this Secret holds"))
		return -1
	case s.provider != "vault":
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the store's provider is "+plain(s.provider)+", and values come from Vault", "bring the value into Vault first, or "+remedyStays))
		return -1
	case s.kv != "v2":
		c.add(r.finding(Refused, reference.lineOfNode(), reference.path, "the store reads a KV mount of version "+plain(s.kv)+", and values come from one of version 2", "upgrade the mount (vault kv enable-versioning)"))
		return -1
	}
	v := value{address: s.address, vaultNamespace: s.vaultNamespace, line: reference.lineOfNode(), field: spec.at("dataFrom")}
	if blame != spec {
		v.line, v.field = blame.lineOfNode(), blame.at("key")
	}
	v.mount, v.path = s.locate(key, c.options.Mount)
	if v.mount == "" {
		c.add(r.finding(Refused, max(spec.line("dataFrom"), v.line), v.field, "the key does not begin with the mount "+plain(c.options.Mount), "import it for the tenant whose mount it is"))
	}
	same := func(o value) bool {
		return o.mount == v.mount && o.path == v.path && o.address == v.address && o.vaultNamespace == v.vaultNamespace
	}
	if i := slices.IndexFunc(w.values, same); i >= 0 {
		return i
	}
	w.values = append(w.values, v)
	return len(w.values) - 1
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
