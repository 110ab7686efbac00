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
# %[2]s; kubectl must be set to it. It can be stopped and run again.
#
# First commit and push the definitions, and see that each target's status is
# NotOwned: then secretsync reads the value and waits for nothing but this.
# What GitOps applies has to leave Git first, or it is applied again.
#
#   after      the Secret's owner      who writes it
#   nothing    the old controller      the old controller
#   let_go     nobody                  the old controller
#   drop       nobody                  nobody; the Secret stays
#   adopt      nobody                  secretsync
set -eu

# there [-n NAMESPACE] KIND NAME: it exists.
there() { [ -n "$(kubectl get --ignore-not-found -o name "$@")" ]; }

# change PATCH [-n NAMESPACE] KIND NAME: patches a resource that is still there.
change() {
  patch=$1 && shift
  if there "$@"; then kubectl patch --type merge -p "$patch" "$@"; fi
}

# let_go NAMESPACE SECRET: nothing is deleted with its owner any more.
let_go() {
  change '{"metadata":{"ownerReferences":null}}' -n "$1" secret "$2"
  owners=$(kubectl -n "$1" get secret "$2" --ignore-not-found -o 'jsonpath={.metadata.ownerReferences}')
  [ -z "$owners" ] || { echo "Secret $1/$2 has an owner again; run this once more" >&2; exit 1; }
}

# drop [-n NAMESPACE] KIND NAME: deletes a resource and nothing that it owns. It
# need not be gone when this returns: its controller does nothing more with it.
drop() { kubectl delete --ignore-not-found --cascade=orphan --wait=false "$@"; }

# adopt NAMESPACE SECRET DEFINITION: allows this definition, and no other, to take
# the Secret. One that isn't there is simply made.
adopt() {
  if there -n "$1" secret "$2"; then
    kubectl -n "$1" annotate --overwrite secret "$2" "secretsync.dev/adopt=%[1]s/$3"
  fi
}

# share NAMESPACE SECRET DEFINITION: allows this definition to take its keys of the
# Secret, beside those that may already.
share() {
  if there -n "$1" secret "$2"; then
    allowed=$(kubectl -n "$1" get secret "$2" --ignore-not-found -o 'jsonpath={.metadata.annotations.secretsync\.dev/adopt}')
    case ",$allowed," in *",%[1]s/$3,"*) return ;; esac
    kubectl -n "$1" annotate --overwrite secret "$2" "secretsync.dev/adopt=${allowed:+$allowed,}%[1]s/$3"
  fi
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

const (
	orphaned       = `{"target":{"creationPolicy":"Orphan","deletionPolicy":"Retain"}}`
	patchExternal  = `'{"spec":` + orphaned + `}'`
	patchClustered = `'{"spec":{"externalSecretSpec":` + orphaned + `}}'`
	patchStatic    = `'{"spec":{"destination":{"create":false}}}'`
)

func (m moving) external() string {
	return m.one(patchExternal, resourceExternal)
}

func (m moving) static() string { return m.one(patchStatic, resourceStatic) }

// one hands over the only Secret of a resource.
func (m moving) one(patch, kind string) string {
	namespace := m.namespaces[0]
	return fmt.Sprintf("change %s -n %s %s %s\n", patch, namespace, kind, m.object) +
		fmt.Sprintf("let_go %s %s\n", namespace, m.secret) +
		fmt.Sprintf("drop -n %s %s %s\n", namespace, kind, m.object) +
		m.adopt(namespace)
}

// adopt lets the definition take the Secret, or its keys of it.
func (m moving) adopt(namespace string) string {
	verb := "adopt"
	if m.shape.Merges() {
		verb = "share"
	}
	return fmt.Sprintf("%s %s %s %s\n", verb, namespace, m.secret, m.definition)
}

// clusterExternal hands over a Secret in each namespace. The controller passes the
// change of the one resource on to those that it made, which is waited for.
func (m moving) clusterExternal() string {
	var b strings.Builder
	fmt.Fprintf(&b, "change %s %s %s\n", patchClustered, resourceClusterExternal, m.from.name)
	for _, namespace := range m.namespaces {
		one := fmt.Sprintf("-n %s %s %s", namespace, resourceExternal, m.object)
		fmt.Fprintf(&b, "if there %s; then kubectl wait --for='jsonpath={.spec.target.creationPolicy}=Orphan' --timeout=2m %s; fi\n", one, one)
		fmt.Fprintf(&b, "let_go %s %s\n", namespace, m.secret)
	}
	fmt.Fprintf(&b, "drop %s %s\n", resourceClusterExternal, m.from.name)
	for _, namespace := range m.namespaces {
		fmt.Fprintf(&b, "drop -n %s %s %s\n", namespace, resourceExternal, m.object)
		b.WriteString(m.adopt(namespace))
	}
	return b.String()
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
			for _, path := range d.Definition.Paths() {
				if !seen[path.String()] {
					seen[path.String()] = true
					allow(path.String())
				}
			}
		}
	}
	return b.String()
}
