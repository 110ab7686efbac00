// Package reach owns what a tenant may reach: which namespaces of which clusters are
// granted to it, and why a target of its is forbidden by the configuration alone. It
// looks at no cluster and no vault.
//
// It guarantees that nothing is granted that no pattern matches, and that the
// namespaces of the system, and those that the operator names besides, are granted only
// by patterns that are just their names. One rule serves all who ask: a target that is
// to be synced, what stays of a copy, a plan, and a check of commits before they are
// taken in.
package reach

import (
	"fmt"
	"path"
	"slices"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// Grant lets a tenant reach namespaces of one cluster.
type Grant struct {
	Cluster string // the operator's name for it
	// Namespaces are glob patterns (* and ?, as in path.Match). None grants
	// nothing. kube-system, kube-public and kube-node-lease are granted only
	// where a pattern names them literally.
	Namespaces []string
	// ByName are further namespaces that are granted only where a pattern names them
	// literally: that in which the server keeps its own keys and Leases. It counts in
	// every cluster, as the configuration alone doesn't tell which is the server's own.
	ByName []string
}

// systemNamespaces are granted only by their name.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// Allows reports whether a grant reaches a namespace.
func (g Grant) Allows(namespace string) bool {
	if slices.Contains(systemNamespaces, namespace) || slices.Contains(g.ByName, namespace) {
		return slices.Contains(g.Namespaces, namespace)
	}
	for _, pattern := range g.Namespaces {
		if ok, err := path.Match(pattern, namespace); err == nil && ok {
			return true
		}
	}
	return false
}

// Check finds a pattern that is none.
func (g Grant) Check() error {
	for _, pattern := range g.Namespaces {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("namespace pattern %q is malformed", pattern)
		}
	}
	return nil
}

// Forbidden says why the configuration alone forbids a target of a tenant; nil: it does
// not. g is what the tenant is granted in the target's cluster, if that is registered
// for it.
func Forbidden(tenant gitstore.TenantName, spec definition.Target, registered bool, g Grant) *fault.Fault {
	switch {
	case !registered:
		return NotRegistered(tenant, spec.Cluster)
	case !spec.Selector.IsZero():
		return nil // it stands for those that are granted
	case !g.Allows(spec.Namespace.String()):
		return fault.New(fault.Error, fault.ReasonNamespaceNotAllowed, "namespace %s of cluster %s is not granted to tenant %s; choose another, or have the operator grant it", spec.Namespace, spec.Cluster, tenant)
	}
	return nil
}

// NotRegistered says that a tenant has no cluster of that name.
func NotRegistered(tenant gitstore.TenantName, cluster definition.ClusterName) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonClusterNotFound, "cluster %s is not registered for tenant %s; mend its name, or have the operator register it", cluster, tenant)
}

// Reach is all that a tenant may reach, as a plan is judged by it; it is a plan.Reach.
type Reach struct {
	Tenant gitstore.TenantName
	Grants map[definition.ClusterName]Grant
	// Physical is the cluster that a registered name leads to, as well as that is known:
	// names of which it says the same lead to the same one. Nil: it is known by the grants.
	Physical      func(definition.ClusterName) string
	Mount, Prefix string        // of the vault
	Shortest      time.Duration // interval that a definition can have
}

// Registered reports whether the tenant has a cluster of that name.
func (r Reach) Registered(name definition.ClusterName) bool {
	_, ok := r.Grants[name]
	return ok
}

// Cluster is the physical one that a name leads to.
func (r Reach) Cluster(name definition.ClusterName) string {
	if r.Physical == nil {
		return r.Grants[name].Cluster
	}
	return r.Physical(name)
}

// Admit says why a target is forbidden; nil: it is not.
func (r Reach) Admit(t definition.Target) *fault.Fault {
	g, ok := r.Grants[t.Cluster]
	return Forbidden(r.Tenant, t, ok, g)
}

// Vault is where the tenant's values lie.
func (r Reach) Vault() (mount, prefix string) { return r.Mount, r.Prefix }

// Least is the shortest interval that a definition can have.
func (r Reach) Least() time.Duration { return r.Shortest }
