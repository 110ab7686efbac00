package migrate

import (
	"fmt"
	"strings"
)

// move is how a controller lets go of the Secrets of a resource.
type move int

const (
	moveExternal move = iota
	moveClusterExternal
	moveStatic
)

// moving is a resource whose Secrets are handed over to a definition.
type moving struct {
	*wish
	definition string
	place      string
}

// The names of the kinds that kubectl understands whatever else is installed.
const (
	resourceExternal        = "externalsecrets.external-secrets.io"
	resourceClusterExternal = "clusterexternalsecrets.external-secrets.io"
	resourceStatic          = "vaultstaticsecrets.secrets.hashicorp.com"
)

const handoverHead = `#!/bin/sh
# Hands Secrets over to tenant %[1]s without a gap: each stays where it is, with
# its value, while its owner changes. For the cluster that definitions call
# %[2]s; kubectl must be set to it.
#
# First commit and push the definitions, and see that each target's status is
# NotOwned: then secretsync reads the value and waits for nothing but this.
# What GitOps applies has to leave Git first, or it is applied again.
#
#   state        owner of the Secret      who writes it
#   before       the old controller       the old controller
#   let_go       nobody                   the old controller
#   deleted      nobody                   nobody; the Secret stays
#   annotated    nobody                   secretsync
set -eu

# let_go NAMESPACE SECRET: nothing is deleted with its owner any more.
let_go() {
  kubectl -n "$1" patch secret "$2" --type merge -p '{"metadata":{"ownerReferences":null}}'
  owners=$(kubectl -n "$1" get secret "$2" -o 'jsonpath={.metadata.ownerReferences}')
  [ -z "$owners" ] || { echo "Secret $1/$2 has an owner again; run this once more" >&2; exit 1; }
}

# adopt NAMESPACE SECRET DEFINITION: allows this definition, and no other, to take it.
adopt() {
  kubectl -n "$1" annotate --overwrite secret "$2" "secretsync.dev/adopt=%[1]s/$3"
}
`

const handoverTail = `
# Secretsync finds the annotation within the polling interval, or at once where
# it is told to look: SECRETSYNC is its address, KEY an admin key of the tenant.
if [ -n "${SECRETSYNC:-}" ] && [ -n "${KEY:-}" ]; then
  for name in%[2]s; do
    curl -sSf -X POST -H "Authorization: Bearer $KEY" "$SECRETSYNC/api/v1/tenants/%[1]s/secrets/$name/sync" >/dev/null
  done
fi
`

// Handover returns the shell script that hands the live Secrets over. It is
// empty where there are none.
func (p *Plan) Handover() string {
	if len(p.moves) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, handoverHead, p.option.Tenant, p.option.Cluster)
	for _, m := range p.moves {
		fmt.Fprintf(&b, "\n# %s\n", m.place)
		switch m.move {
		case moveExternal:
			b.WriteString(m.external())
		case moveClusterExternal:
			b.WriteString(m.clusterExternal())
		case moveStatic:
			b.WriteString(m.static())
		}
	}
	var names strings.Builder
	for _, d := range p.Definitions {
		names.WriteString(" " + d.Definition.Name.String())
	}
	fmt.Fprintf(&b, handoverTail, p.option.Tenant, names.String())
	return b.String()
}

// Deletion does not wait: what deletes the resource may take its time, and its
// controller does nothing more with one that is being deleted.
const orphaning = "--cascade=orphan --wait=false"

func (m moving) external() string {
	namespace := m.namespaces[0]
	return fmt.Sprintf("kubectl -n %s patch %s %s --type merge -p '{\"spec\":{\"target\":{\"creationPolicy\":\"Orphan\",\"deletionPolicy\":\"Retain\"}}}'\n", namespace, resourceExternal, m.object) +
		fmt.Sprintf("let_go %s %s\n", namespace, m.secret) +
		fmt.Sprintf("kubectl -n %s delete %s %s %s\n", namespace, resourceExternal, m.object, orphaning) +
		fmt.Sprintf("adopt %s %s %s\n", namespace, m.secret, m.definition)
}

func (m moving) clusterExternal() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kubectl patch %s %s --type merge -p '{\"spec\":{\"externalSecretSpec\":{\"target\":{\"creationPolicy\":\"Orphan\",\"deletionPolicy\":\"Retain\"}}}}'\n", resourceClusterExternal, m.from.name)
	for _, namespace := range m.namespaces {
		fmt.Fprintf(&b, "kubectl -n %s wait %s %s --for='jsonpath={.spec.target.creationPolicy}=Orphan' --timeout=2m\n", namespace, resourceExternal, m.object)
		fmt.Fprintf(&b, "let_go %s %s\n", namespace, m.secret)
	}
	fmt.Fprintf(&b, "kubectl delete %s %s %s\n", resourceClusterExternal, m.from.name, orphaning)
	for _, namespace := range m.namespaces {
		fmt.Fprintf(&b, "kubectl -n %s delete %s %s --ignore-not-found %s\n", namespace, resourceExternal, m.object, orphaning)
		fmt.Fprintf(&b, "adopt %s %s %s\n", namespace, m.secret, m.definition)
	}
	return b.String()
}

func (m moving) static() string {
	namespace := m.namespaces[0]
	return fmt.Sprintf("kubectl -n %s patch %s %s --type merge -p '{\"spec\":{\"destination\":{\"create\":false}}}'\n", namespace, resourceStatic, m.object) +
		fmt.Sprintf("let_go %s %s\n", namespace, m.secret) +
		fmt.Sprintf("kubectl -n %s delete %s %s %s\n", namespace, resourceStatic, m.object, orphaning) +
		fmt.Sprintf("adopt %s %s %s\n", namespace, m.secret, m.definition)
}

// Policy returns the Vault policy that the tenant's login needs, and no more
// than it: what lies below its prefix, or, without a prefix, what is copied.
func (p *Plan) Policy() string {
	var b strings.Builder
	allow := func(path string) {
		for _, part := range []string{"data", "metadata"} {
			fmt.Fprintf(&b, "path \"%s/%s/%s\" {\n  capabilities = [\"read\"]\n}\n", p.option.Mount, part, path)
		}
	}
	switch {
	case len(p.Definitions) == 0:
	case p.option.Prefix != "":
		allow(p.option.Prefix + "/*")
	default:
		seen := make(map[string]bool)
		for _, d := range p.Definitions {
			if path := d.Definition.SecretPath.String(); !seen[path] {
				seen[path] = true
				allow(path)
			}
		}
	}
	return b.String()
}
