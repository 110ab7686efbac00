package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/reconcile/sweep"
)

// operators is what those do in the storm who run a server: reload its
// configuration, exchange its credentials, let admission policies come and go,
// and remove orphans.
type operators struct {
	all        map[definition.ClusterName]Grant // when nothing is withdrawn
	ways       []string                         // kubeconfigs that lead to production
	kubeconfig string                           // a copy of one of them, which is in use
	logins     []func(*Vault)
	secretID   string // the file
	tokenFile  string
	tokens     []string // given out, but for the one in use
	mutating   bool     // one is there, or may be in force still
	endPolicy  func()   // nil where there is none

	looks, reloads, rotations, policies, removed int
}

// begin prepares the world before it runs.
func (c *chaos) begin() {
	v := &c.config.Tenants[0].Vault
	c.all = maps.Clone(c.config.Tenants[0].Clusters)
	c.secretID = v.AppRole.SecretIDFile
	c.tokenFile = filepath.Join(c.t.TempDir(), "token")
	role := *v.AppRole
	c.logins = []func(*Vault){
		func(v *Vault) { v.TokenFile, v.AppRole = "", &role },
		func(v *Vault) { v.TokenFile, v.AppRole = c.tokenFile, nil },
	}
	c.rotateToken()
	c.copyFile(c.ways[0])
}

// operate makes one thing happen that operators do.
func (c *chaos) operate() {
	switch c.rand.IntN(7) {
	case 0, 1:
		c.reload()
	case 2:
		c.copyFile(c.ways[c.rand.IntN(len(c.ways))])
	case 3:
		c.rotateToken()
	case 4:
		c.rotateSecretID()
	case 5:
		c.admission()
	case 6:
		c.removeOrphans()
	}
}

// reload has another configuration come into force.
func (c *chaos) reload() {
	c.reloads++
	t := &c.config.Tenants[0]
	switch c.rand.IntN(6) {
	case 0:
		t.PollInterval = time.Duration(500+c.rand.IntN(1000)) * time.Millisecond
	case 1:
		c.config.Workers = 1 + c.rand.IntN(16)
	case 2:
		c.config.Clusters[c.rand.IntN(2)].Writes = 1 + c.rand.IntN(16)
	case 3:
		c.logins[c.rand.IntN(2)](&t.Vault)
	case 4:
		// A grant goes, and with it all that is synced there; or all are there again.
		t.Clusters = maps.Clone(c.all)
		if c.rand.IntN(2) == 0 {
			delete(t.Clusters, c.cluster([]string{"production", "staging"}[c.rand.IntN(2)]))
		}
	case 5:
		c.r.Reread()
		return
	}
	c.must(c.r.Reconfigure(c.config))
}

// granted gives every grant back.
func (c *chaos) granted() {
	c.config.Tenants[0].Clusters = c.all
	c.must(c.r.Reconfigure(c.config))
}

func (c *chaos) rotateToken() {
	c.rotations++
	token, err := c.stack.Vault.Token(c.ctx, time.Hour, c.name)
	c.must(err)
	c.replace(c.tokenFile, token)
	if len(c.tokens) > 0 && c.rand.IntN(2) == 0 {
		c.must(c.stack.Vault.Client.Auth().Token().RevokeTreeWithContext(c.ctx, c.tokens[0]))
		c.tokens = c.tokens[1:]
	}
	c.tokens = append(c.tokens, token)
	for len(c.tokens) > 2 {
		c.tokens = c.tokens[1:]
	}
}

func (c *chaos) rotateSecretID() {
	c.rotations++
	_, secret, err := c.stack.Vault.AppRole(c.ctx, c.name, 20*time.Second, c.name)
	c.must(err)
	c.replace(c.secretID, secret)
}

// copyFile leads the cluster production another way.
func (c *chaos) copyFile(from string) {
	c.rotations++
	b, err := os.ReadFile(from)
	c.must(err)
	c.replace(c.kubeconfig, string(b))
}

// replace writes a file as those do who know that it is read meanwhile.
func (c *chaos) replace(file, content string) {
	c.must(os.WriteFile(file+".new", []byte(content), 0o600))
	c.must(os.Rename(file+".new", file))
}

// admission has a policy come that changes what is written in production, or go.
func (c *chaos) admission() {
	switch {
	case c.endPolicy != nil:
		c.endPolicy()
		c.endPolicy = nil
	case c.mutating && !c.unchanged():
		// The last one is in force still.
	default:
		c.policies++
		c.mutating = true
		c.endPolicy = c.policy([]string{
			`[JSONPatch{op: "add", path: "/data/injected", value: "eA=="}]`,
			`[JSONPatch{op: "add", path: "/data/k0", value: "eHg="}]`,
			`[JSONPatch{op: "add", path: "/metadata/labels/app.kubernetes.io~1managed-by", value: "helm"}]`,
		}[c.rand.IntN(3)])
	}
}

// unchanged reports whether admission leaves what is written alone.
func (c *chaos) unchanged() bool {
	s := c.admitted()
	return s != nil && len(s.Data) == 1 && s.Labels["app.kubernetes.io/managed-by"] == "secretsync"
}

// admits ends a policy that is in force.
func (c *chaos) admits() {
	c.t.Helper()
	if c.endPolicy != nil {
		c.endPolicy()
		c.endPolicy = nil
	}
	for end := time.Now().Add(deadline); c.mutating; time.Sleep(50 * time.Millisecond) {
		if c.mutating = !c.unchanged(); time.Now().After(end) {
			c.t.Fatal("the admission policy stays in force")
		}
	}
}

// removeOrphans deletes whatever is listed as an orphan, as the command does.
// Commits are made by this goroutine only, so that none of it may be claimed.
func (c *chaos) removeOrphans() {
	orphans, err := c.r.Orphans(c.ctx, c.tenant())
	if err != nil {
		if !errors.Is(err, sweep.ErrNotYet) {
			c.t.Error(err)
		}
		return
	}
	for _, o := range orphans {
		place := fmt.Sprintf("%s/./%s", o.Cluster, o.Secret)
		for name, d := range c.definitions {
			for _, claimed := range d.places {
				if claimed == place {
					c.t.Errorf("after %d steps the live copy %s of %s is an orphan", c.steps, place, name)
				}
			}
		}
		if strings.HasPrefix(o.Secret, "foreign-") {
			c.t.Errorf("after %d steps %s is an orphan", c.steps, place)
		}
		if err := c.r.RemoveOrphan(c.ctx, c.tenant(), o); err == nil {
			c.removed++
		} else if errors.Is(err, gitstore.ErrNotFound) {
			c.t.Error(err)
		}
	}
}

// calm ends what is in the way of telling the truth.
func (c *chaos) calm() {
	for _, p := range c.proxies {
		p.Clear()
		p.Thaw()
	}
}
