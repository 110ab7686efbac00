package config

import (
	"maps"
	"reflect"
	"slices"

	"secretsync/reconcile"
)

// Changes lists what differs and is in force by now, each as its path in the
// file.
func (running *Config) Changes(next *Config) []string {
	var changes []string
	differs := func(field string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			changes = append(changes, field)
		}
	}
	differs("pollInterval", running.PollInterval, next.PollInterval)
	differs("minRefreshInterval", running.MinRefresh, next.MinRefresh)
	differs("selectedNamespaces", running.Selected, next.Selected)
	differs("workers", running.Workers, next.Workers)
	differs("limits", running.Limits, next.Limits)
	differs("trustedProxies", running.TrustedProxies, next.TrustedProxies)
	clusters := func(c *Config) map[string]reconcile.Cluster {
		m := make(map[string]reconcile.Cluster)
		for _, cluster := range c.Clusters {
			m[cluster.Name] = cluster
		}
		return m
	}
	tenants := func(c *Config) map[string]Tenant {
		m := make(map[string]Tenant)
		for _, t := range c.Tenants {
			m[t.Name.String()] = t
		}
		return m
	}
	changes = append(changes, entriesOf("clusters.", clusters(running), clusters(next), func(field string, a, b reconcile.Cluster) {
		differs(field, a, b)
	})...)
	return append(changes, entriesOf("tenants.", tenants(running), tenants(next), func(field string, a, b Tenant) {
		differs(field+".displayName", a.DisplayName, b.DisplayName)
		differs(field+".pollInterval", a.PollInterval, b.PollInterval)
		differs(field+".suspend", a.Suspend, b.Suspend)
		differs(field+".minRefreshInterval", a.MinRefresh, b.MinRefresh)
		differs(field+".selectedNamespaces", a.Selected, b.Selected)
		differs(field+".brake", a.Brake, b.Brake)
		differs(field+".onReplica", a.OnReplica, b.OnReplica)
		differs(field+".repository", a.Repository.Remote, b.Repository.Remote)
		differs(field+".repository.receipts", a.Receipts, b.Receipts)
		differs(field+".repository.write", a.ProposeOnly, b.ProposeOnly)
		differs(field+".repository.forge", a.Forge, b.Forge)
		differs(field+".repository.webhook", a.Webhook, b.Webhook)
		differs(field+".signatures", a.Repository.Signatures, b.Repository.Signatures)
		differs(field+".vault", a.Vault, b.Vault)
		differs(field+".clusters", a.Grants, b.Grants)
		differs(field+".keys", a.Keys, b.Keys)
	})...)
}

// entriesOf lists the entries of a mapping that came and went, and has those
// compared that stay.
func entriesOf[T any](field string, running, next map[string]T, compare func(string, T, T)) (changes []string) {
	for _, name := range slices.Sorted(maps.Keys(running)) {
		if now, ok := next[name]; ok {
			compare(field+name, running[name], now)
		} else {
			changes = append(changes, field+name+" (removed)")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if _, ok := running[name]; !ok {
			changes = append(changes, field+name+" (added)")
		}
	}
	return changes
}

// NeedRestart lists the settings that differ and can't change in a running
// server.
func (running *Config) NeedRestart(next *Config) []string {
	var fields []string
	for _, f := range []struct {
		name    string
		changed bool
	}{
		{"listen", running.Listen != next.Listen},
		{"drain", running.Drain != next.Drain},
		{"publicURL", running.PublicURL != next.PublicURL},
		{"console", running.Console != next.Console},
		{"metricsListen", running.MetricsListen != next.MetricsListen},
		{"tls", running.TLSCert != next.TLSCert || running.TLSKey != next.TLSKey},
		{"dataDir", running.DataDir != next.DataDir},
		{"hashKeyFile", running.HashKeyFile != next.HashKeyFile},
		{"home", !running.Home.same(next.Home)},
		{"keys", running.Keys != next.Keys},
		{"replicas", !running.Replicas.same(next.Replicas)},
		{"committer", running.Committer != next.Committer || running.SigningKey != next.SigningKey},
		{"log", running.LogLevel != next.LogLevel || running.LogJSON != next.LogJSON},
		{"audit", running.Audit != next.Audit},
		{"telemetry", running.Telemetry != next.Telemetry},
		{"pprof", running.Pprof != next.Pprof},
		{"git", running.Git != next.Git},
		{"limits.definitions", running.Definitions != next.Definitions},
		{"limits.mirrorMiB", running.Mirror != next.Mirror},
	} {
		if f.changed {
			fields = append(fields, f.name)
		}
	}
	return fields
}
