package reconcile

import (
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
	"secretsync/reconcile/vault"
)

var (
	testNow   = time.Unix(1_000_000, 0)
	testOwner = kube.Owner{Tenant: "acme", Name: "db"}
	testStamp = kube.Stamp{Path: "production/db", Version: 3, Created: "2026-01-03T00:00:00Z"}
	oldStamp  = kube.Stamp{Path: "production/db", Version: 2, Created: "2026-01-02T00:00:00Z"}
	newStamp  = kube.Stamp{Path: "production/db", Version: 4, Created: "2026-01-04T00:00:00Z"}
)

// deciding is what the tables of decisions begin with: no copy, in a namespace
// that is there, and a vault that was not asked yet.
func deciding() *input {
	return &input{
		now: testNow, at: kube.Key{Namespace: "payments", Name: "db"}, owner: testOwner, alias: "production",
		interval: time.Minute, path: testStamp.Path, seen: kube.Seen{Namespace: kube.NamespaceThere},
	}
}

func rightCopy() *kube.Copy {
	return &kube.Copy{Owner: testOwner, Stamp: testStamp, Intact: true, Watched: true, Labelled: true, UID: "u", ResourceVersion: "7", Type: kube.TypeOpaque}
}

// in changes the input; of changes the copy that stands, which is right.
type given func(in *input)

func of(change func(in *input, c *kube.Copy)) given {
	return func(in *input) {
		c := rightCopy()
		change(in, c)
		in.seen.Copy = c
	}
}

func known(in *input, s kube.Stamp) {
	in.source = vault.State{Known: true, Version: vault.Version{Number: s.Version, Created: s.Created}}
}

var unfitting = fault.New(Error, ReasonTemplateFailed, "the template fails")

// shares has a copy that is made of a further path, in one version, where the vault
// has another.
func shares(in *input, c *kube.Copy, has, bears int) {
	state := func(n int) []part {
		return []part{{"shared/ca", vault.State{Known: true, Version: vault.Version{Number: n, Created: time.Unix(int64(n), 0).UTC().Format(time.RFC3339)}}}}
	}
	in.recipe, c.Recipe = "r", "r"
	in.parts = state(has)
	in.others, c.Others = versionsOf(in.parts), versionsOf(state(bears))
}

func TestDecide(t *testing.T) {
	failed := fault.Transient(Error, ReasonClusterUnreachable, "it failed")
	type row struct {
		given  given
		action action
		reason Reason // empty: Synced
	}
	rows := map[string]row{
		// What keeps us from acting at all.
		"a cluster that is down": {func(in *input) {
			in.cluster = &fault.Outage{Fault: *failed, Since: testNow}
		}, stay, ReasonClusterUnreachable},
		"a namespace that is missing":       {func(in *input) { in.seen.Namespace = kube.NamespaceMissing }, stay, ReasonNamespaceNotFound},
		"a namespace that ends":             {func(in *input) { in.seen.Namespace = kube.NamespaceTerminating }, stay, ReasonNamespaceTerminating},
		"a namespace that can't be listed":  {func(in *input) { in.seen.Fault = fault.New(Error, ReasonForbidden, "no") }, stay, ReasonForbidden},
		"namespaces can't be seen":          {func(in *input) { in.seen.Namespace = kube.NamespaceUnknown }, fetch, ReasonQueued},
		"a cluster down and a vault down":   {func(in *input) { in.cluster, in.vault = &fault.Outage{Fault: *failed, Since: testNow}, vaultDown }, stay, ReasonClusterUnreachable},
		"a namespace missing, a vault down": {func(in *input) { in.seen.Namespace, in.vault = kube.NamespaceMissing, vaultDown }, stay, ReasonNamespaceNotFound},

		// What a definition asks for besides.
		"another recipe":                     {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.recipe, in.held = "r", true }), update, ReasonQueued},
		"another recipe, before the vault":   {of(func(in *input, c *kube.Copy) { in.recipe = "r" }), fetch, ReasonQueued},
		"the same recipe, before the vault":  {of(func(in *input, c *kube.Copy) { in.recipe, c.Recipe = "r", "r" }), know, ReasonQueued},
		"a recipe that was taken back":       {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Recipe, in.held = "r", true }), update, ReasonQueued},
		"a label that somebody changed":      {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.worn, c.Worn, in.held = 1, 2, true }), update, ReasonQueued},
		"another version of a further path":  {of(func(in *input, c *kube.Copy) { known(in, testStamp); shares(in, c, 2, 1); in.held = true }), update, ReasonQueued},
		"the same version of a further path": {of(func(in *input, c *kube.Copy) { known(in, testStamp); shares(in, c, 2, 2) }), stay, ""},
		"an older version of a further path": {of(func(in *input, c *kube.Copy) { known(in, testStamp); shares(in, c, 1, 2) }), confirm, ReasonQueued},
		"one that is confirmed to be older": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			shares(in, c, 1, 2)
			in.parts[0].state.Confirmed = true
		}), fetch, ReasonQueued},
		"a value that no copy can be made of": {of(func(in *input, c *kube.Copy) { known(in, newStamp); in.record.unfit = &unfit{newStamp, unfitting} }), stay, ReasonTemplateFailed},
		"one of which that was so before":     {of(func(in *input, c *kube.Copy) { known(in, newStamp); in.record.unfit = &unfit{oldStamp, unfitting} }), fetch, ReasonQueued},
		"a share of a new Secret":             {func(in *input) { known(in, testStamp); in.may, in.held = &kube.Claim{Keys: []string{"a"}}, true }, create, ReasonQueued},
		"a share of a definition's copy": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.may, c.Name = &kube.Claim{Keys: []string{"a"}}, "other"
		}), stay, ReasonTargetConflict},
		"a share of another tenant's Secret": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.may, c.Tenant = &kube.Claim{Keys: []string{"a"}}, "other"
		}), stay, ReasonNotOwned},
		"a share of a Secret nobody watches": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.may, c.Watched, c.Owner = &kube.Claim{Keys: []string{"a"}}, false, kube.Owner{}
		}), read, ReasonQueued},
		"a share that can't have a key": {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.may, c.Name = &kube.Claim{}, "" }), stay, ReasonKeyConflict},
		"another type":                  {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.kind, in.held = "kubernetes.io/tls", true }), replace, ReasonQueued},

		// Whose Secret stands there.
		"a copy that the watch lost sight of":       {func(in *input) { in.seen.Left = true }, read, ReasonQueued},
		"a foreign Secret that nobody looked at":    {of(func(in *input, c *kube.Copy) { *c = foreign() }), read, ReasonNotOwned},
		"a foreign Secret that was looked at":       {of(func(in *input, c *kube.Copy) { *c = foreign(); lookedAt(in, c, time.Second) }), stay, ReasonNotOwned},
		"one that was looked at an interval ago":    {of(func(in *input, c *kube.Copy) { *c = foreign(); lookedAt(in, c, time.Minute) }), read, ReasonNotOwned},
		"another tenant's copy, looked at long ago": {of(func(in *input, c *kube.Copy) { c.Tenant = "other"; lookedAt(in, c, time.Hour) }), stay, ReasonNotOwned},
		"another tenant's copy that changed since": {of(func(in *input, c *kube.Copy) {
			c.Tenant = "other"
			lookedAt(in, c, 0)
			c.ResourceVersion = "8"
		}), read, ReasonNotOwned},
		"a foreign Secret that may be taken over": {of(func(in *input, c *kube.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt = "acme/db"
			known(in, testStamp)
			in.held = true
		}), update, ReasonQueued},
		"one that another definition may take over": {of(func(in *input, c *kube.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt = "acme/other"
			lookedAt(in, c, 0)
		}), stay, ReasonNotOwned},
		"one to be taken over that is of another type": {of(func(in *input, c *kube.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt, c.Type = "acme/db", "kubernetes.io/tls"
		}), stay, ReasonTypeMismatch},
		"one to be taken over that has an owner": {of(func(in *input, c *kube.Copy) { *c = foreign(); lookedAt(in, c, 0); c.Adopt, c.Owned = "acme/db", true }), stay, ReasonTypeMismatch},
		"one to be taken over that is immutable": {of(func(in *input, c *kube.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt, c.Immutable = "acme/db", true
		}), stay, ReasonTypeMismatch},
		"a foreign Secret and no value":           {of(func(in *input, c *kube.Copy) { *c = foreign(); in.source.Fault = noValue; lookedAt(in, c, 0) }), stay, ReasonNotOwned},
		"a copy of a newer format":                {of(func(in *input, c *kube.Copy) { c.Format = 2; known(in, newStamp); in.held = true }), stay, ReasonNewerFormat},
		"one of a newer format that is right":     {of(func(in *input, c *kube.Copy) { c.Format = 2; known(in, testStamp) }), stay, ReasonNewerFormat},
		"one of the newest format that is known":  {of(func(in *input, c *kube.Copy) { c.Format = kube.KnownFormat; known(in, testStamp) }), stay, ""},
		"another tenant's copy of a newer format": {of(func(in *input, c *kube.Copy) { c.Tenant, c.Format = "other", 2 }), stay, ReasonNewerFormat},
		"an unwatched Secret of a newer format":   {of(func(in *input, c *kube.Copy) { *c = foreign(); c.Format = 2 }), read, ReasonNewerFormat},
		"one that was looked at just now":         {of(func(in *input, c *kube.Copy) { *c = foreign(); c.Format = 2; lookedAt(in, c, time.Second) }), stay, ReasonNewerFormat},
		"one that may be taken over": {of(func(in *input, c *kube.Copy) {
			*c = foreign()
			c.Format, c.Adopt = 2, "acme/db"
			lookedAt(in, c, 0)
			known(in, testStamp)
		}), stay, ReasonNewerFormat},
		"ours by its hash, without its labels": {of(func(in *input, c *kube.Copy) {
			c.Labelled, c.Watched = false, false
			known(in, testStamp)
			in.held = true
		}), update, ReasonQueued},
		"another definition's copy of the same tenant": {of(func(in *input, c *kube.Copy) { c.Name = "old"; known(in, testStamp); in.held = true }), update, ReasonQueued},

		// Whether there is a value.
		"no value": {func(in *input) { in.source.Fault = noValue }, stay, ReasonValueNotFound},
		"a version that can't be copied": {of(func(in *input, c *kube.Copy) {
			known(in, newStamp)
			in.source.Fault = fault.New(Error, ReasonInvalidKey, "a key")
		}), stay, ReasonInvalidKey},
		"nothing known, no copy: the value":        {func(in *input) {}, fetch, ReasonQueued},
		"nothing known, a whole copy: the version": {of(func(in *input, c *kube.Copy) {}), know, ReasonQueued},
		"nothing known, an edited copy":            {of(func(in *input, c *kube.Copy) { c.Intact = false }), fetch, ReasonQueued},
		"nothing known, another path's copy":       {of(func(in *input, c *kube.Copy) { c.Path = "else" }), fetch, ReasonQueued},
		"nothing known and the vault is down":      {of(func(in *input, c *kube.Copy) { in.vault = vaultDown }), know, ReasonVaultUnavailable},
		"an older version than was copied":         {of(func(in *input, c *kube.Copy) { known(in, oldStamp); in.held = true }), confirm, ReasonQueued},
		"an older version that is confirmed":       {of(func(in *input, c *kube.Copy) { known(in, oldStamp); in.source.Confirmed, in.held = true, true }), update, ReasonQueued},
		"an older version, of an edited copy":      {of(func(in *input, c *kube.Copy) { known(in, oldStamp); c.Intact, in.held = false, true }), update, ReasonQueued},
		"an older version of another path":         {of(func(in *input, c *kube.Copy) { known(in, oldStamp); c.Path, in.held = "else", true }), update, ReasonQueued},

		// Whether the copy is right.
		"value and copy agree":         {of(func(in *input, c *kube.Copy) { known(in, testStamp) }), stay, ""},
		"a right immutable copy":       {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Immutable = true }), stay, ""},
		"right, and the vault is down": {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.vault = vaultDown }), stay, ReasonVaultUnavailable},
		"right, and it is read again":  {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.source.Asked = true }), stay, ReasonQueued},
		"right as far as was answered": {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Unconfirmed = true }), stay, ReasonQueued},
		"right, after a fight": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.record.fight = fought(10, testNow.Add(-time.Second))
		}), stay, ReasonContended},
		"right, long after a fight": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.record.fight = fought(10, testNow.Add(-time.Hour))
		}), stay, ""},
		"right, after a few edits": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.record.fight = fought(2, testNow.Add(-time.Second))
		}), stay, ""},
		"the same number begun anew": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.source.Version.Created, in.held = "2026-02-02T00:00:00Z", true
		}), update, ReasonQueued},
		"another version that is on its way": {of(func(in *input, c *kube.Copy) { known(in, newStamp) }), fetch, ReasonQueued},
		"another version that is here":       {of(func(in *input, c *kube.Copy) { known(in, newStamp); in.held = true }), update, ReasonQueued},
		"another version, vault down":        {of(func(in *input, c *kube.Copy) { known(in, newStamp); in.held, in.vault = true, vaultDown }), update, ReasonVaultUnavailable},

		// How it is made right, and what keeps it from that.
		"a value, no copy":                     {func(in *input) { known(in, testStamp); in.held = true }, create, ReasonQueued},
		"an edited copy":                       {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Intact, in.held = false, true }), update, ReasonQueued},
		"a copy without one of its labels":     {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Labelled, in.held = false, true }), update, ReasonQueued},
		"an immutable copy of another version": {of(func(in *input, c *kube.Copy) { known(in, newStamp); c.Immutable, in.held = true, true }), replace, ReasonQueued},
		"an immutable one with our labels, not as we wrote it": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Immutable, c.Intact, in.held = true, false, true
		}), stay, ReasonTypeMismatch},
		"our copy of another type": {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Type, in.held = "Old", true }), replace, ReasonQueued},
		"one with our labels, not as we wrote it, of another type": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Type, c.Intact, in.held = "kubernetes.io/tls", false, true
		}), stay, ReasonTypeMismatch},
		"a copy that is being deleted": {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Deleting, in.held = true, true }), stay, ReasonSecretTerminating},
		"the cluster asks us to wait":  {func(in *input) { known(in, testStamp); in.held, in.throttled = true, testNow.Add(time.Second) }, wait, ReasonQueued},
		"it asked us, and we waited":   {func(in *input) { known(in, testStamp); in.held, in.throttled = true, testNow }, create, ReasonQueued},
		"the last attempt failed": {func(in *input) {
			known(in, testStamp)
			in.held, in.record.attempt = true, &attempt{there: kube.NamespaceThere, owner: testOwner, want: testStamp, fault: failed, until: testNow.Add(time.Second)}
		}, wait, ReasonClusterUnreachable},
		"it is tried again: the cause is still told": {func(in *input) {
			known(in, testStamp)
			in.held, in.record.attempt = true, &attempt{there: kube.NamespaceThere, owner: testOwner, want: testStamp, fault: failed, until: testNow}
		}, create, ReasonClusterUnreachable},
		"an attempt at another version failed": {func(in *input) {
			known(in, newStamp)
			in.held, in.record.attempt = true, &attempt{there: kube.NamespaceThere, owner: testOwner, want: testStamp, fault: failed, until: testNow.Add(time.Second)}
		}, create, ReasonQueued},
		"an attempt at another Secret failed": {of(func(in *input, c *kube.Copy) {
			known(in, newStamp)
			in.held, in.record.attempt = true, &attempt{there: kube.NamespaceThere, owner: testOwner, want: newStamp, version: "6", fault: failed, until: testNow.Add(time.Second)}
		}), update, ReasonQueued},
		"an attempt failed before the namespace was there": {func(in *input) {
			known(in, testStamp)
			in.held, in.record.attempt = true, &attempt{there: kube.NamespaceUnknown, owner: testOwner, want: testStamp, fault: failed, until: testNow.Add(time.Second)}
		}, create, ReasonQueued},
		"a pass panicked": {func(in *input) {
			in.record.attempt = &attempt{panicked: true, fault: internalError(), until: testNow.Add(time.Second)}
		}, wait, ReasonInternalError},
		"a fight that pauses": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Intact, in.held, in.record.fight = false, true, fighting(testStamp)
		}), wait, ReasonContended},
		"a new version during such a pause": {of(func(in *input, c *kube.Copy) {
			known(in, newStamp)
			in.held, in.record.fight = true, fighting(testStamp)
		}), update, ReasonContended},
		"admission changed what was written": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Intact, c.Altered, in.held = false, &kube.Alteration{Added: 1}, true
			in.record.sent = &sent{owner: testOwner, stamp: testStamp, triedAt: testNow}
		}), stay, ReasonAltered},
		"it did, an interval ago: it is tried": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			c.Intact, c.Altered, in.held = false, &kube.Alteration{Added: 1}, true
			in.record.sent = &sent{owner: testOwner, stamp: testStamp, triedAt: testNow.Add(-time.Minute)}
		}), try, ReasonAltered},
		"it did, of the version before": {of(func(in *input, c *kube.Copy) {
			known(in, newStamp)
			c.Intact, c.Altered, in.held = false, &kube.Alteration{Added: 1}, true
			in.record.sent = &sent{owner: testOwner, stamp: testStamp, triedAt: testNow}
		}), update, ReasonQueued},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			in := deciding()
			row.given(in)
			d := decide(in)
			if d.action != row.action {
				t.Fatalf("%s because %q, want %s", d.action, d.why, row.action)
			}
			if d.why == "" {
				t.Error("no reason is given")
			}
			switch {
			case d.fault == nil && row.reason != "":
				t.Errorf("Synced, want %s", row.reason)
			case d.fault != nil && d.fault.Reason != row.reason:
				t.Errorf("%s: %s, want %s", d.fault.Reason, d.fault.Message, row.reason)
			case d.fault != nil && d.fault.Message == "":
				t.Error("a status without a cause")
			case d.fault == nil && (!d.right || d.action != stay):
				t.Error("Synced of a copy that is not right")
			}
			if d.action.writes() && (d.want == (kube.Stamp{}) || !d.value) {
				t.Errorf("a write of %+v", d.want)
			}
			if d.action == wait && d.again <= 0 {
				t.Error("it waits for nothing")
			}
		})
	}
}

var (
	noValue   = fault.New(Pending, ReasonValueNotFound, "no value")
	vaultDown = &fault.Outage{Fault: *fault.Transient(Error, ReasonVaultUnavailable, "down"), Since: testNow}
)

func foreign() kube.Copy {
	return kube.Copy{UID: "f", ResourceVersion: "9", Type: kube.TypeOpaque}
}

func lookedAt(in *input, c *kube.Copy, ago time.Duration) {
	in.record.look = &look{version: c.ResourceVersion, at: in.now.Add(-ago)}
}

// fought is a fight after which the copy was put right at last.
func fought(count int, repaired time.Time) *fight {
	return &fight{began: repaired, last: repaired, count: count, until: repaired, repaired: repaired}
}

func fighting(about kube.Stamp) *fight {
	return &fight{about: about, began: testNow, last: testNow, count: 9, until: testNow.Add(time.Second)}
}

func TestDriftIsWhatNobodyAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		given given
		drift bool
	}{
		"a copy that was right was edited": {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.record.good = rightCopy(); c.Intact = false }), true},
		"a copy that was right is gone":    {func(in *input) { known(in, testStamp); in.record.good, in.seen.Left = rightCopy(), true }, true},
		"it is right":                      {of(func(in *input, c *kube.Copy) { known(in, testStamp); in.record.good = rightCopy() }), false},
		"there is a new version":           {of(func(in *input, c *kube.Copy) { known(in, newStamp); in.record.good = rightCopy() }), false},
		"another definition has the place": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.record.good = rightCopy()
			in.owner.Name = "new"
		}), false},
		"it never was right": {of(func(in *input, c *kube.Copy) { known(in, testStamp); c.Intact = false }), false},
		"edited while the cluster throttles": {of(func(in *input, c *kube.Copy) {
			known(in, testStamp)
			in.record.good, in.throttled = rightCopy(), testNow.Add(time.Second)
			c.Intact = false
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			in := deciding()
			test.given(in)
			if d := decide(in); d.drift != test.drift {
				t.Errorf("drift %v because %q", d.drift, d.why)
			}
		})
	}
}
