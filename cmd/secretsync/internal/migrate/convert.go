package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
)

// Options say for which tenant and cluster resources are converted.
type Options struct {
	Tenant  string // as the annotation names it by which a Secret is handed over
	Cluster definition.ClusterName
	// Mount and Prefix are the tenant's place in Vault, without slashes at their
	// ends. What lies elsewhere is refused.
	Mount, Prefix string
	// Namespace is that of resources which name none, as kubectl -n. Such
	// resources are refused where it is zero.
	Namespace definition.Namespace
	// VaultNamespace is the namespace of Vault Enterprise the tenant's mount is in.
	VaultNamespace string
	// VaultAddress is the tenant's vault. Where it is empty all resources must be
	// of one vault.
	VaultAddress string
	// Existing are the definitions the repository holds already. One of the same
	// path gets more targets, and no other one is given their names or targets.
	Existing []definition.Definition
}

// Plan is what becomes of resources.
type Plan struct {
	Definitions []Carried // by name
	Findings    []Finding // by file and line
	// Passed counts resources that are none of the two controllers', by kind.
	Passed map[string]int
	moves  []moving
	option Options
}

// Carried is a definition and the resources it comes from.
type Carried struct {
	Definition definition.Definition
	From       []string // such as "eso.yaml:12: ExternalSecret shop/db", in order
}

// Complete reports whether everything was carried over.
func (p *Plan) Complete() bool {
	return !slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.Weight != Note })
}

// wish is what a resource makes of values, and the Secrets that hold it.
type wish struct {
	from       *Resource
	move       move
	object     string   // the name of the resource that owns the Secrets
	namespaces []string // that are known to hold one
	listed     []string // those of namespaces that the resource names itself, where it has selectors
	selectors  []definition.Selector
	every      bool // namespaces stand for a selector that a definition can't have
	secret     string
	values     []value // each once; the first is that of the secretPath
	picks      []pick  // nil: every key of the value
	shape      definition.Shape
	restart    definition.Restart
	secretPath definition.SecretPath // below the tenant's prefix, once it is checked
	likeness   string                // the same of wishes for the same content
	targets    []definition.Place
}

// value is a place in Vault.
type value struct {
	mount, path    string
	address        string // empty where it is not known
	vaultNamespace string
	line           int // to blame for it
	field          string
}

type converter struct {
	options     Options
	stores      map[storeName]*store
	auths       map[objectName]auth
	connections map[objectName]string
	fanned      map[string]bool // the ClusterExternalSecrets
	findings    []Finding
	bad         map[*Resource]bool // refused
	passed      map[string]int
	wishes      []*wish
}

// Convert decides for all resources together what becomes of them.
func Convert(resources []*Resource, options Options) *Plan {
	resources = slices.Clone(resources)
	slices.SortStableFunc(resources, func(a, b *Resource) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	c := &converter{options: options, stores: map[storeName]*store{}, auths: map[objectName]auth{}, connections: map[objectName]string{},
		fanned: map[string]bool{}, bad: map[*Resource]bool{}, passed: map[string]int{}}
	readers := []map[string]func(*Resource){
		// What others refer to comes first.
		{kindSecretStore: c.readStore, kindClusterSecretStore: c.readStore, kindConnection: c.readConnection, kindVaultAuth: c.readAuth},
		{kindExternalSecret: c.readExternal, kindClusterExternalSecret: c.readCluster, kindStaticSecret: c.readStatic},
	}
	resources = c.once(resources)
	for _, r := range resources {
		if r.kind == kindClusterExternalSecret && r.group == groupExternal {
			c.fanned[r.name] = true
		}
	}
	for _, read := range readers {
		for _, r := range resources {
			if convert := read[r.kind]; convert != nil && c.readable(r) {
				convert(r)
			}
		}
	}
	for _, r := range resources {
		_, first := readers[0][r.kind]
		_, second := readers[1][r.kind]
		switch {
		case !r.ours():
			c.passed[plain(r.kind)]++
		case r.group == groupGenerators || !first && !second:
			c.readOther(r)
		case !c.readable(r):
			c.add(r.finding(Refused, r.line, "apiVersion", "is of version "+plain(r.version)+", which is not read", "import what is live: the API server gives it as v1 or v1beta1"))
		}
		for _, m := range *r.wrong {
			if r.ours() {
				c.add(r.finding(Refused, m.line, m.field, m.text, ""))
			}
		}
	}
	return c.plan()
}

// once refuses what is given a second time, as two files or two versions do.
func (c *converter) once(resources []*Resource) []*Resource {
	type identity struct{ group, kind, namespace, name string }
	first := make(map[identity]*Resource)
	return slices.DeleteFunc(resources, func(r *Resource) bool {
		id := identity{r.group, r.kind, c.namespaceOf(r), r.name}
		earlier, twice := first[id]
		if twice = twice && r.ours(); twice {
			c.add(r.finding(Refused, r.line, "", "is given a second time, first in "+earlier.place(), "give it once"))
		} else {
			first[id] = r
		}
		return twice
	})
}

func (c *converter) readable(r *Resource) bool {
	return r.group == groupExternal && (r.version == "v1" || r.version == "v1beta1") || r.group == groupVault && r.version == "v1beta1"
}

func (c *converter) add(f Finding) {
	c.findings = append(c.findings, f)
	if f.Weight == Refused {
		c.bad[f.of] = true
	}
}

// refused reports whether a resource is refused already.
func (c *converter) refused(r *Resource) bool { return c.bad[r] || len(*r.wrong) > 0 }

func (c *converter) pass(r *Resource, reason string) {
	c.add(r.finding(Note, r.line, "", reason, ""))
}

func (c *converter) namespaceOf(r *Resource) string {
	if r.namespace != "" {
		return r.namespace
	}
	return c.options.Namespace.String()
}

func (c *converter) noNamespace(r *Resource) bool {
	if c.namespaceOf(r) != "" {
		return false
	}
	c.add(r.finding(Refused, r.line, "metadata.namespace", "is missing", "write it, or say by --namespace where such resources are applied"))
	return true
}

func (r *Resource) madeBy(kind string) (name string, ok bool) {
	i := slices.IndexFunc(r.owners, func(o owner) bool { return o.kind == kind })
	if i < 0 {
		return "", false
	}
	return r.owners[i].name, true
}

func (r *Resource) place() string { return fmt.Sprintf("%s:%d", plain(r.file), r.line) }

func (r *Resource) String() string {
	return fmt.Sprintf("%s: %s %s", r.place(), plain(r.kind), join(plainOrEmpty(r.namespace), plainOrEmpty(r.name)))
}

// unknown tells of fields that nobody asked for. Where they say what is read,
// nobody can tell whether the Secret would be the same.
func (c *converter) unknown(r *Resource, o *object, w Weight) {
	o.unread(func(line int, field string) {
		weight, reason := w, "is not known here, and nothing is made of it"
		for _, deciding := range []string{"dataFrom[", "target.", "destination."} {
			if strings.Contains(field, deciding) {
				weight, reason = Refused, "is not known here, and could make another Secret of it"
			}
		}
		c.add(r.finding(weight, line, field, reason, ""))
	})
}

// interval reads how often the vault is asked.
func (c *converter) interval(r *Resource, spec *object, field string, w *wish) {
	text := spec.text(field)
	if text == "" {
		return
	}
	d, err := time.ParseDuration(text)
	if err == nil && d == 0 && field == "refreshInterval" {
		c.add(r.finding(Refused, spec.line(field), spec.at(field), "is zero: the Secret was to stay as it is when the value changes", remedyStays))
		return
	}
	interval, err := definition.ParseInterval(text)
	if err != nil {
		c.add(r.finding(Note, spec.line(field), spec.at(field), "is no interval that a definition can have; the tenant's is used", "the operator sets pollInterval"))
		return
	}
	w.shape.RefreshInterval = interval
}

// locate checks that a value lies at the tenant's place, and returns its path there.
func (c *converter) locate(r *Resource, v value) definition.SecretPath {
	refuse := func(reason, remedy string) {
		c.add(r.finding(Refused, max(v.line, r.line), v.field, reason, remedy))
	}
	below, inPrefix := strings.Trim(v.path, "/"), true
	if c.options.Prefix != "" {
		below, inPrefix = strings.CutPrefix(below, c.options.Prefix+"/")
	}
	path, err := definition.ParseSecretPath(below)
	switch {
	case v.vaultNamespace != c.options.VaultNamespace:
		refuse(fmt.Sprintf("is in the Vault namespace %q, and the tenant's is %q", v.vaultNamespace, c.options.VaultNamespace), "say by --vault-namespace which one the server's configuration gives the tenant")
	case c.options.VaultAddress != "" && v.address != "" && v.address != c.options.VaultAddress:
		refuse("is in the vault "+plain(v.address)+", and the tenant's is "+plain(c.options.VaultAddress), "import it for the tenant whose vault it is")
	case v.mount != c.options.Mount:
		refuse("is in the mount "+plain(v.mount)+", and the tenant's is "+plain(c.options.Mount), "import it for the tenant whose mount it is")
	case !inPrefix:
		refuse("is "+plain(v.path)+", which is not below the tenant's prefix "+plain(c.options.Prefix), "import it for the tenant whose prefix it is, or move the value")
	case err != nil:
		refuse(err.Error(), "move the value to a path that is allowed")
	}
	return path
}

// want checks a wish against the tenant's place and takes it in.
func (c *converter) want(w *wish) {
	if c.refused(w.from) || len(w.values) == 0 {
		return
	}
	refuse := func(field, reason string) { c.add(w.from.finding(Refused, w.from.line, field, reason, "")) }
	paths := make([]definition.SecretPath, len(w.values))
	for i, v := range w.values {
		paths[i] = c.locate(w.from, v)
	}
	w.secretPath = paths[0]
	for _, p := range w.picks {
		if p.Path = paths[p.value]; p.Path == w.secretPath {
			p.Path = definition.SecretPath{}
		}
		w.shape.Data = append(w.shape.Data, p.DataKey)
	}
	slices.SortFunc(w.shape.Data, func(a, b definition.DataKey) int { return cmp.Compare(a.Key, b.Key) })
	w.likeness = likeness(w.secretPath, &w.shape)
	secret, err := definition.ParseSecretName(w.secret)
	if err != nil {
		refuse("", err.Error())
	}
	if _, err := definition.ParseSecretName(w.object); err != nil {
		refuse("spec.externalSecretName", "is no name that Kubernetes allows")
	}
	matched := func(namespace string) bool { return len(w.selectors) > 0 && !slices.Contains(w.listed, namespace) }
	for _, name := range w.namespaces {
		namespace, err := definition.ParseNamespace(name)
		switch {
		case err != nil:
			refuse("", err.Error())
		case !matched(name):
			w.targets = append(w.targets, definition.Place{Cluster: c.options.Cluster, Namespace: namespace, Secret: secret})
		}
	}
	for _, selector := range w.selectors {
		w.targets = append(w.targets, definition.Place{Cluster: c.options.Cluster, Selector: selector, Secret: secret})
	}
	if !c.refused(w.from) {
		c.wishes = append(c.wishes, w)
	}
}

// likeness is the same text for definitions that copy the same content: of the same
// path, with the same keys, type and marks. How often the vault is asked, and what
// becomes of copies later, is no part of it.
func likeness(path definition.SecretPath, shape *definition.Shape) string {
	d := definition.Definition{SecretPath: path}
	if shape != nil {
		alike := *shape
		alike.RefreshInterval, alike.Suspend, alike.DeletionPolicy = definition.Interval{}, nil, ""
		if alike.Type.String() == "Opaque" {
			alike.Type = definition.SecretType{}
		}
		if alike.Mode == definition.ModeOwn {
			alike.Mode = ""
		}
		if !alike.Equal(&definition.Shape{}) {
			d.Shape = &alike
		}
	}
	return string(edit.Encode(d))
}
