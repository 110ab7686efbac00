package reconcile

import (
	"path"
	"slices"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// systemNamespaces are granted only by their name.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"}

// allows reports whether the patterns of a grant reach a namespace.
func allows(patterns []string, namespace string) bool {
	if slices.Contains(systemNamespaces, namespace) {
		return slices.Contains(patterns, namespace)
	}
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, namespace); err == nil && ok {
			return true
		}
	}
	return false
}

// refusal says why the configuration alone forbids a target; nil: it does not.
func refusal(tenant gitstore.TenantName, spec definition.Target, registered bool, patterns []string) *fault.Fault {
	switch {
	case !registered:
		return notRegistered(tenant, spec.Cluster)
	case !spec.Selector.IsZero():
		return nil // it stands for those that are granted
	case !allows(patterns, spec.Namespace.String()):
		return fault.New(Error, ReasonNamespaceNotAllowed, "namespace %s of cluster %s is not granted to tenant %s; choose another, or have the operator grant it", spec.Namespace, spec.Cluster, tenant)
	}
	return nil
}

func notRegistered(tenant gitstore.TenantName, cluster definition.ClusterName) *fault.Fault {
	return fault.New(Error, ReasonClusterNotFound, "cluster %s is not registered for tenant %s; mend its name, or have the operator register it", cluster, tenant)
}

// Reach is what the configuration lets the tenant reach, as its targets are
// judged by it when they are synced. It looks at no cluster and no vault.
func (t Tenant) Reach() plan.Reach { return configured{t} }

type configured struct{ tenant Tenant }

func (c configured) Registered(name definition.ClusterName) bool {
	_, ok := c.tenant.Clusters[name]
	return ok
}

func (c configured) Cluster(name definition.ClusterName) string {
	return c.tenant.Clusters[name].Cluster
}

func (c configured) Admit(t definition.Target) *fault.Fault {
	g, ok := c.tenant.Clusters[t.Cluster]
	return refusal(c.tenant.Name, t, ok, g.Namespaces)
}

func (c configured) Least() time.Duration { return c.tenant.MinRefreshInterval }

func (c configured) Vault() (mount, prefix string) {
	return strings.Trim(c.tenant.Vault.Mount, "/"), strings.Trim(c.tenant.Vault.Prefix, "/")
}
