package config

import (
	"cmp"
	"net"
	"os"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/reconcile/shard"
)

// Replicas is how several servers with one configuration share the tenants.
type Replicas struct {
	Shards  int
	Lease   time.Duration
	Name    string // this one's
	Listen  string // for the others
	Address string // what the others dial
	// The certificate that this one presents to the others, its key, and who signs those of
	// all of them.
	CertFile, KeyFile, CAFile string
	// Pins names the replica at which a tenant is whose repository lies in its dataDir.
	Pins map[gitstore.TenantName]string
}

type replicasFile struct {
	Shards   int           `yaml:"shards"`
	ID       string        `yaml:"id"`
	Listen   string        `yaml:"listen"`
	Address  string        `yaml:"address"`
	CertFile string        `yaml:"certFile"`
	KeyFile  string        `yaml:"keyFile"`
	CAFile   string        `yaml:"caFile"`
	Lease    time.Duration `yaml:"lease"`
}

const defaultPeerListen = ":8444"

// parseReplicas returns nil if the server is the only one.
func (d *document) parseReplicas(c *Config) *Replicas {
	if _, given := d.lines["replicas"]; !given {
		for _, t := range c.Tenants {
			if t.OnReplica != "" {
				d.wrong("tenants."+t.Name.String()+".onReplica", "says something only with replicas; add that, or take this out")
			}
		}
		return nil
	}
	in := d.Replicas
	r := &Replicas{
		Shards: cmp.Or(in.Shards, shard.DefaultShards), Lease: cmp.Or(in.Lease, shard.DefaultLease),
		Listen: cmp.Or(in.Listen, defaultPeerListen), Address: in.Address,
		CertFile: d.file(in.CertFile), KeyFile: d.file(in.KeyFile), CAFile: d.file(in.CAFile),
		Pins: make(map[gitstore.TenantName]string),
	}
	if _, given := d.lines["replicas.shards"]; given && (in.Shards < 1 || in.Shards > shard.MostShards) {
		d.wrong("replicas.shards", "is %d; use a number from 1 to %d", in.Shards, shard.MostShards)
	}
	if _, given := d.lines["replicas.lease"]; given && (in.Lease < shard.LeastLease || in.Lease > shard.MostLease || in.Lease%time.Second != 0) {
		d.wrong("replicas.lease", "is %v; use whole seconds, from %v to %v", in.Lease, shard.LeastLease, shard.MostLease)
	}
	d.parseReplicaName(r, in)
	d.parsePeerAddress(r, in)
	const remedy = "take the default, :8444"
	d.checkApart("replicas.listen", r.Listen, "listen", c.Listen, remedy)
	d.checkApart("replicas.listen", r.Listen, "metricsListen", c.MetricsListen, remedy)
	for _, f := range []struct{ field, path, what string }{
		{"certFile", r.CertFile, "the certificate that this replica presents to the others"},
		{"keyFile", r.KeyFile, "the key of certFile"},
		{"caFile", r.CAFile, "the certificate of who signs those of all replicas, and nothing else"},
	} {
		d.needed("replicas."+f.field, f.path, "the file with "+f.what)
		d.lookAt("replicas."+f.field, f.path)
	}
	if c.Home == nil {
		d.wrong("replicas", "needs home: the cluster and the namespace of the Leases by which replicas share the work")
	}
	if c.Keys != KeysInKubernetes {
		d.wrong("replicas", "needs keys: {store: kubernetes}: in a data folder each replica would have keys of its own; to move those that there are: secretsync keys migrate")
	}
	for _, t := range c.Tenants {
		field := "tenants." + t.Name.String()
		switch {
		case t.OnReplica != "":
			if err := shard.CheckName(t.OnReplica); err != nil {
				d.wrong(field+".onReplica", "%v", err)
			}
			r.Pins[t.Name] = t.OnReplica
		case t.Repository.Remote.IsZero():
			d.wrong(field, "has its repository in dataDir, which the other replicas don't have: give it repository.url, or name the replica that has the volume with onReplica, such as the pod %q of a StatefulSet", "secretsync-0")
		}
	}
	return r
}

// parseReplicaName finds the name of this replica: in a pod, that of the pod.
func (d *document) parseReplicaName(r *Replicas, in replicasFile) {
	r.Name = cmp.Or(in.ID, os.Getenv("POD_NAME"))
	if r.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			d.wrong("replicas.id", "is missing, and this host has no name: %v", err)
			return
		}
		r.Name = strings.ToLower(host)
	}
	if err := shard.CheckName(r.Name); err != nil {
		d.wrong("replicas.id", "%v", err)
	}
}

// parsePeerAddress finds what the others dial. What only a pod can tell is a warning here: the
// configuration may be checked elsewhere.
func (d *document) parsePeerAddress(r *Replicas, in replicasFile) {
	d.checkAddress("replicas.listen", r.Listen)
	host, port, err := net.SplitHostPort(r.Listen)
	if err != nil {
		return
	}
	if r.Address == "" {
		host = cmp.Or(os.Getenv("POD_IP"), host)
		if everywhere(host) {
			d.warn("replicas.address", "is missing, and POD_IP is not set; the server will not start here: write the host:port that other replicas reach this one at")
			return
		}
		r.Address = net.JoinHostPort(host, port)
	}
	d.checkAddress("replicas.address", r.Address)
	if host, port, err := net.SplitHostPort(r.Address); err == nil && (everywhere(host) || port == "0") {
		d.wrong("replicas.address", "%q leads whoever dials it to himself, or nowhere; write the host:port that other replicas reach this one at", r.Address)
	}
}

// Only returns the configuration narrowed to the tenants that has says; the others are named in
// Elsewhere.
func (c *Config) Only(has func(gitstore.TenantName) bool) *Config {
	narrowed := *c
	narrowed.Tenants, narrowed.Elsewhere = nil, nil
	for _, t := range c.Tenants {
		if has(t.Name) {
			narrowed.Tenants = append(narrowed.Tenants, t)
		} else {
			narrowed.Elsewhere = append(narrowed.Elsewhere, t)
		}
	}
	return &narrowed
}

// same reports whether two are the same but for where tenants are, which can change.
func (r *Replicas) same(other *Replicas) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.Shards == other.Shards && r.Lease == other.Lease && r.Name == other.Name && r.Listen == other.Listen &&
		r.Address == other.Address && r.CertFile == other.CertFile && r.KeyFile == other.KeyFile && r.CAFile == other.CAFile
}
