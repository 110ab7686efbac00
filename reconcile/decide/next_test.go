package decide

import (
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
	"secretsync/reconcile/kube/mirror"
	"secretsync/reconcile/vault"
	"secretsync/reconcile/vault/kv"
)

var (
	testNow   = time.Unix(1_000_000, 0)
	testOwner = copies.Owner{Tenant: "acme", Name: "db"}
	testStamp = copies.Stamp{Path: "production/db", Version: 3, Created: "2026-01-03T00:00:00Z"}
	oldStamp  = copies.Stamp{Path: "production/db", Version: 2, Created: "2026-01-02T00:00:00Z"}
	newStamp  = copies.Stamp{Path: "production/db", Version: 4, Created: "2026-01-04T00:00:00Z"}
)

// deciding is what the tables of decisions begin with: no copy, in a namespace
// that is there, and a vault that was not asked yet.
func deciding() *Input {
	return &Input{
		Now: testNow, At: copies.Key{Namespace: "payments", Name: "db"}, Owner: testOwner, Alias: "production",
		Interval: time.Minute, Path: testStamp.Path, Seen: mirror.Seen{Namespace: mirror.NamespaceThere},
	}
}

func rightCopy() *copies.Copy {
	return &copies.Copy{Owner: testOwner, Stamp: testStamp, Intact: true, Watched: true, Labelled: true, UID: "u", ResourceVersion: "7", Type: copies.TypeOpaque}
}

// in changes the input; of changes the copy that stands, which is right.
type given func(in *Input)

func of(change func(in *Input, c *copies.Copy)) given {
	return func(in *Input) {
		c := rightCopy()
		change(in, c)
		in.Seen.Copy = c
	}
}

func known(in *Input, s copies.Stamp) {
	in.Source = vault.State{Known: true, Version: kv.Version{Number: s.Version, Created: s.Created}}
}

var unfitting = fault.New(fault.Error, fault.ReasonTemplateFailed, "the template fails")

// shares has a copy that is made of a further path, in one version, where the vault
// has another.
func shares(in *Input, c *copies.Copy, has, bears int) {
	state := func(n int) []Part {
		return []Part{{"shared/ca", vault.State{Known: true, Version: kv.Version{Number: n, Created: time.Unix(int64(n), 0).UTC().Format(time.RFC3339)}}}}
	}
	in.Recipe, c.Recipe = "r", "r"
	in.Parts = state(has)
	in.others, c.Others = versionsOf(in.Parts), versionsOf(state(bears))
}

func TestDecide(t *testing.T) {
	failed := fault.Transient(fault.Error, fault.ReasonClusterUnreachable, "it failed")
	type row struct {
		given  given
		action Action
		reason fault.Reason // empty: Synced
	}
	rows := map[string]row{
		// What keeps us from acting at all.
		"a cluster that is down": {func(in *Input) {
			in.Cluster = &fault.Outage{Fault: *failed, Since: testNow}
		}, Stay, fault.ReasonClusterUnreachable},
		"a namespace that is missing":       {func(in *Input) { in.Seen.Namespace = mirror.NamespaceMissing }, Stay, fault.ReasonNamespaceNotFound},
		"a namespace that ends":             {func(in *Input) { in.Seen.Namespace = mirror.NamespaceTerminating }, Stay, fault.ReasonNamespaceTerminating},
		"a namespace that can't be listed":  {func(in *Input) { in.Seen.Fault = fault.New(fault.Error, fault.ReasonForbidden, "no") }, Stay, fault.ReasonForbidden},
		"namespaces can't be seen":          {func(in *Input) { in.Seen.Namespace = mirror.NamespaceUnknown }, Fetch, fault.ReasonQueued},
		"a cluster down and a vault down":   {func(in *Input) { in.Cluster, in.Vault = &fault.Outage{Fault: *failed, Since: testNow}, vaultDown }, Stay, fault.ReasonClusterUnreachable},
		"a namespace missing, a vault down": {func(in *Input) { in.Seen.Namespace, in.Vault = mirror.NamespaceMissing, vaultDown }, Stay, fault.ReasonNamespaceNotFound},

		// What a definition asks for besides.
		"another recipe":                     {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Recipe, in.Held = "r", true }), Update, fault.ReasonQueued},
		"another recipe, before the vault":   {of(func(in *Input, c *copies.Copy) { in.Recipe = "r" }), Fetch, fault.ReasonQueued},
		"the same recipe, before the vault":  {of(func(in *Input, c *copies.Copy) { in.Recipe, c.Recipe = "r", "r" }), Know, fault.ReasonQueued},
		"a recipe that was taken back":       {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Recipe, in.Held = "r", true }), Update, fault.ReasonQueued},
		"a label that somebody changed":      {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Worn, c.Worn, in.Held = 1, 2, true }), Update, fault.ReasonQueued},
		"another version of a further path":  {of(func(in *Input, c *copies.Copy) { known(in, testStamp); shares(in, c, 2, 1); in.Held = true }), Update, fault.ReasonQueued},
		"the same version of a further path": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); shares(in, c, 2, 2) }), Stay, ""},
		"an older version of a further path": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); shares(in, c, 1, 2) }), Confirm, fault.ReasonQueued},
		"one that is confirmed to be older": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			shares(in, c, 1, 2)
			in.Parts[0].State.Confirmed = true
		}), Fetch, fault.ReasonQueued},
		"a value that no copy can be made of": {of(func(in *Input, c *copies.Copy) { known(in, newStamp); in.Record.unfit = &unfit{newStamp, unfitting} }), Stay, fault.ReasonTemplateFailed},
		"one of which that was so before":     {of(func(in *Input, c *copies.Copy) { known(in, newStamp); in.Record.unfit = &unfit{oldStamp, unfitting} }), Fetch, fault.ReasonQueued},
		"a share of a new Secret":             {func(in *Input) { known(in, testStamp); in.May, in.Held = &copies.Claim{Keys: []string{"a"}}, true }, Create, fault.ReasonQueued},
		"a share of a definition's copy": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.May, c.Name = &copies.Claim{Keys: []string{"a"}}, "other"
		}), Stay, fault.ReasonTargetConflict},
		"a share of another tenant's Secret": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.May, c.Tenant = &copies.Claim{Keys: []string{"a"}}, "other"
		}), Stay, fault.ReasonNotOwned},
		"a share of a Secret nobody watches": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.May, c.Watched, c.Owner = &copies.Claim{Keys: []string{"a"}}, false, copies.Owner{}
		}), Read, fault.ReasonQueued},
		"a share that can't have a key": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.May, c.Name = &copies.Claim{}, "" }), Stay, fault.ReasonKeyConflict},
		"another type":                  {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Type, in.Held = "kubernetes.io/tls", true }), Replace, fault.ReasonQueued},

		// Whose Secret stands there.
		"a copy that the watch lost sight of":       {func(in *Input) { in.Seen.Left = true }, Read, fault.ReasonQueued},
		"a foreign Secret that nobody looked at":    {of(func(in *Input, c *copies.Copy) { *c = foreign() }), Read, fault.ReasonNotOwned},
		"a foreign Secret that was looked at":       {of(func(in *Input, c *copies.Copy) { *c = foreign(); lookedAt(in, c, time.Second) }), Stay, fault.ReasonNotOwned},
		"one that was looked at an interval ago":    {of(func(in *Input, c *copies.Copy) { *c = foreign(); lookedAt(in, c, time.Minute) }), Read, fault.ReasonNotOwned},
		"another tenant's copy, looked at long ago": {of(func(in *Input, c *copies.Copy) { c.Tenant = "other"; lookedAt(in, c, time.Hour) }), Stay, fault.ReasonNotOwned},
		"another tenant's copy that changed since": {of(func(in *Input, c *copies.Copy) {
			c.Tenant = "other"
			lookedAt(in, c, 0)
			c.ResourceVersion = "8"
		}), Read, fault.ReasonNotOwned},
		"a foreign Secret that may be taken over": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt = "acme/db"
			known(in, testStamp)
			in.Held = true
		}), Update, fault.ReasonQueued},
		"one that another definition may take over": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt = "acme/other"
			lookedAt(in, c, 0)
		}), Stay, fault.ReasonNotOwned},
		"one to be taken over that is of another type": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt, c.Type = "acme/db", "kubernetes.io/tls"
		}), Stay, fault.ReasonTypeMismatch},
		"one to be taken over that has an owner": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt, c.Owned = "acme/db", true
		}), Stay, fault.ReasonTypeMismatch},
		"one to be taken over that is immutable": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, 0)
			c.Adopt, c.Immutable = "acme/db", true
		}), Stay, fault.ReasonTypeMismatch},
		"one to be taken over, looked at long ago, and no value": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, time.Minute)
			c.Adopt, in.Source.Fault = "acme/db", noValue
		}), Read, fault.ReasonValueNotFound},
		"a share of a Secret nobody watches, looked at long ago, and no value": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			lookedAt(in, c, time.Minute)
			in.May, in.Source.Fault = &copies.Claim{Keys: []string{"a"}}, noValue
		}), Read, fault.ReasonValueNotFound},
		"a foreign Secret and no value":           {of(func(in *Input, c *copies.Copy) { *c = foreign(); in.Source.Fault = noValue; lookedAt(in, c, 0) }), Stay, fault.ReasonNotOwned},
		"a copy of a newer format":                {of(func(in *Input, c *copies.Copy) { c.Format = 2; known(in, newStamp); in.Held = true }), Stay, fault.ReasonNewerFormat},
		"one of a newer format that is right":     {of(func(in *Input, c *copies.Copy) { c.Format = 2; known(in, testStamp) }), Stay, fault.ReasonNewerFormat},
		"one of the newest format that is known":  {of(func(in *Input, c *copies.Copy) { c.Format = copies.KnownFormat; known(in, testStamp) }), Stay, ""},
		"another tenant's copy of a newer format": {of(func(in *Input, c *copies.Copy) { c.Tenant, c.Format = "other", 2 }), Stay, fault.ReasonNewerFormat},
		"an unwatched Secret of a newer format":   {of(func(in *Input, c *copies.Copy) { *c = foreign(); c.Format = 2 }), Read, fault.ReasonNewerFormat},
		"one that was looked at just now":         {of(func(in *Input, c *copies.Copy) { *c = foreign(); c.Format = 2; lookedAt(in, c, time.Second) }), Stay, fault.ReasonNewerFormat},
		"one that may be taken over": {of(func(in *Input, c *copies.Copy) {
			*c = foreign()
			c.Format, c.Adopt = 2, "acme/db"
			lookedAt(in, c, 0)
			known(in, testStamp)
		}), Stay, fault.ReasonNewerFormat},
		"ours by its hash, without its labels": {of(func(in *Input, c *copies.Copy) {
			c.Labelled, c.Watched = false, false
			known(in, testStamp)
			in.Held = true
		}), Update, fault.ReasonQueued},
		"another definition's copy of the same tenant": {of(func(in *Input, c *copies.Copy) { c.Name = "old"; known(in, testStamp); in.Held = true }), Update, fault.ReasonQueued},

		// Whether there is a value.
		"no value": {func(in *Input) { in.Source.Fault = noValue }, Stay, fault.ReasonValueNotFound},
		"a version that can't be copied": {of(func(in *Input, c *copies.Copy) {
			known(in, newStamp)
			in.Source.Fault = fault.New(fault.Error, fault.ReasonInvalidKey, "a key")
		}), Stay, fault.ReasonInvalidKey},
		"nothing known, no copy: the value":        {func(in *Input) {}, Fetch, fault.ReasonQueued},
		"nothing known, a whole copy: the version": {of(func(in *Input, c *copies.Copy) {}), Know, fault.ReasonQueued},
		"nothing known, an edited copy":            {of(func(in *Input, c *copies.Copy) { c.Intact = false }), Fetch, fault.ReasonQueued},
		"nothing known, another path's copy":       {of(func(in *Input, c *copies.Copy) { c.Path = "else" }), Fetch, fault.ReasonQueued},
		"nothing known and the vault is down":      {of(func(in *Input, c *copies.Copy) { in.Vault = vaultDown }), Know, fault.ReasonVaultUnavailable},
		"an older version than was copied":         {of(func(in *Input, c *copies.Copy) { known(in, oldStamp); in.Held = true }), Confirm, fault.ReasonQueued},
		"an older version that is confirmed":       {of(func(in *Input, c *copies.Copy) { known(in, oldStamp); in.Source.Confirmed, in.Held = true, true }), Update, fault.ReasonQueued},
		"an older version, of an edited copy":      {of(func(in *Input, c *copies.Copy) { known(in, oldStamp); c.Intact, in.Held = false, true }), Update, fault.ReasonQueued},
		"an older version of another path":         {of(func(in *Input, c *copies.Copy) { known(in, oldStamp); c.Path, in.Held = "else", true }), Update, fault.ReasonQueued},

		// Whether the copy is right.
		"value and copy agree":         {of(func(in *Input, c *copies.Copy) { known(in, testStamp) }), Stay, ""},
		"a right immutable copy":       {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Immutable = true }), Stay, ""},
		"right, and the vault is down": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Vault = vaultDown }), Stay, fault.ReasonVaultUnavailable},
		"right, and it is read again":  {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Source.Asked = true }), Stay, fault.ReasonQueued},
		"right as far as was answered": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Unconfirmed = true }), Stay, fault.ReasonQueued},
		"right, after a fight": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.Record.fight = fought(10, testNow.Add(-time.Second))
		}), Stay, fault.ReasonContended},
		"right, long after a fight": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.Record.fight = fought(10, testNow.Add(-time.Hour))
		}), Stay, ""},
		"right, after a few edits": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.Record.fight = fought(2, testNow.Add(-time.Second))
		}), Stay, ""},
		"the same number begun anew": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.Source.Version.Created, in.Held = "2026-02-02T00:00:00Z", true
		}), Update, fault.ReasonQueued},
		"another version that is on its way": {of(func(in *Input, c *copies.Copy) { known(in, newStamp) }), Fetch, fault.ReasonQueued},
		"another version that is here":       {of(func(in *Input, c *copies.Copy) { known(in, newStamp); in.Held = true }), Update, fault.ReasonQueued},
		"another version, vault down":        {of(func(in *Input, c *copies.Copy) { known(in, newStamp); in.Held, in.Vault = true, vaultDown }), Update, fault.ReasonVaultUnavailable},

		// How it is made right, and what keeps it from that.
		"a value, no copy":                     {func(in *Input) { known(in, testStamp); in.Held = true }, Create, fault.ReasonQueued},
		"an edited copy":                       {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Intact, in.Held = false, true }), Update, fault.ReasonQueued},
		"a copy without one of its labels":     {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Labelled, in.Held = false, true }), Update, fault.ReasonQueued},
		"an immutable copy of another version": {of(func(in *Input, c *copies.Copy) { known(in, newStamp); c.Immutable, in.Held = true, true }), Replace, fault.ReasonQueued},
		"an immutable one with our labels, not as we wrote it": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Immutable, c.Intact, in.Held = true, false, true
		}), Stay, fault.ReasonTypeMismatch},
		"our copy of another type": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Type, in.Held = "Old", true }), Replace, fault.ReasonQueued},
		"one with our labels, not as we wrote it, of another type": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Type, c.Intact, in.Held = "kubernetes.io/tls", false, true
		}), Stay, fault.ReasonTypeMismatch},
		"a copy that is being deleted":                                   {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Deleting, in.Held = true, true }), Stay, fault.ReasonSecretTerminating},
		"the cluster asks us to wait":                                    {func(in *Input) { known(in, testStamp); in.Held, in.Throttled = true, testNow.Add(time.Second) }, Wait, fault.ReasonQueued},
		"it asked us, and we waited":                                     {func(in *Input) { known(in, testStamp); in.Held, in.Throttled = true, testNow }, Create, fault.ReasonQueued},
		"another server may have the tenant":                             {func(in *Input) { known(in, testStamp); in.Held, in.Fenced = true, true }, Wait, fault.ReasonQueued},
		"another may have it, and the value would have to be read":       {func(in *Input) { known(in, testStamp); in.Fenced = true }, Wait, fault.ReasonQueued},
		"another may have it, and the copy is right":                     {of(func(in *Input, _ *copies.Copy) { known(in, testStamp); in.Fenced = true }), Stay, ""},
		"another may have it, and what stands there has to be looked at": {of(func(in *Input, c *copies.Copy) { *c = foreign(); in.Fenced = true }), Read, fault.ReasonNotOwned},
		"the last attempt failed": {func(in *Input) {
			known(in, testStamp)
			in.Held, in.Record.attempt = true, &attempt{there: mirror.NamespaceThere, owner: testOwner, want: testStamp, fault: failed, until: testNow.Add(time.Second)}
		}, Wait, fault.ReasonClusterUnreachable},
		"it is tried again: the cause is still told": {func(in *Input) {
			known(in, testStamp)
			in.Held, in.Record.attempt = true, &attempt{there: mirror.NamespaceThere, owner: testOwner, want: testStamp, fault: failed, until: testNow}
		}, Create, fault.ReasonClusterUnreachable},
		"an attempt at another version failed": {func(in *Input) {
			known(in, newStamp)
			in.Held, in.Record.attempt = true, &attempt{there: mirror.NamespaceThere, owner: testOwner, want: testStamp, fault: failed, until: testNow.Add(time.Second)}
		}, Create, fault.ReasonQueued},
		"an attempt at another Secret failed": {of(func(in *Input, c *copies.Copy) {
			known(in, newStamp)
			in.Held, in.Record.attempt = true, &attempt{there: mirror.NamespaceThere, owner: testOwner, want: newStamp, version: "6", fault: failed, until: testNow.Add(time.Second)}
		}), Update, fault.ReasonQueued},
		"an attempt failed in an earlier namespace of that name": {func(in *Input) {
			known(in, testStamp)
			in.Held, in.Seen.NamespaceUID = true, "anew"
			in.Record.attempt = &attempt{there: mirror.NamespaceThere, within: "before", owner: testOwner, want: testStamp, fault: namespaceEnds(in), until: testNow.Add(time.Second)}
		}, Create, fault.ReasonQueued},
		"an attempt failed before the namespace was there": {func(in *Input) {
			known(in, testStamp)
			in.Held, in.Record.attempt = true, &attempt{there: mirror.NamespaceUnknown, owner: testOwner, want: testStamp, fault: failed, until: testNow.Add(time.Second)}
		}, Create, fault.ReasonQueued},
		"a pass panicked": {func(in *Input) {
			in.Record.attempt = &attempt{panicked: true, fault: fault.Transient(fault.Error, fault.ReasonInternalError, "a mistake of our own"), until: testNow.Add(time.Second)}
		}, Wait, fault.ReasonInternalError},
		"a fight that pauses": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Intact, in.Held, in.Record.fight = false, true, fighting(testStamp)
		}), Wait, fault.ReasonContended},
		"a new version during such a pause": {of(func(in *Input, c *copies.Copy) {
			known(in, newStamp)
			in.Held, in.Record.fight = true, fighting(testStamp)
		}), Update, fault.ReasonContended},
		"admission changed what was written": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Intact, c.Altered, in.Held = false, &copies.Alteration{Added: 1}, true
			in.Record.sent = &sent{owner: testOwner, stamp: testStamp, triedAt: testNow}
		}), Stay, fault.ReasonAltered},
		"it did, an interval ago: it is tried": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			c.Intact, c.Altered, in.Held = false, &copies.Alteration{Added: 1}, true
			in.Record.sent = &sent{owner: testOwner, stamp: testStamp, triedAt: testNow.Add(-time.Minute)}
		}), Try, fault.ReasonAltered},
		"it did, of the version before": {of(func(in *Input, c *copies.Copy) {
			known(in, newStamp)
			c.Intact, c.Altered, in.Held = false, &copies.Alteration{Added: 1}, true
			in.Record.sent = &sent{owner: testOwner, stamp: testStamp, triedAt: testNow}
		}), Update, fault.ReasonQueued},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			in := deciding()
			row.given(in)
			d := Next(in)
			if d.Action != row.action {
				t.Fatalf("%s because %q, want %s", d.Action, d.Why, row.action)
			}
			if d.Why == "" {
				t.Error("no reason is given")
			}
			switch {
			case d.Fault == nil && row.reason != "":
				t.Errorf("Synced, want %s", row.reason)
			case d.Fault != nil && d.Fault.Reason != row.reason:
				t.Errorf("%s: %s, want %s", d.Fault.Reason, d.Fault.Message, row.reason)
			case d.Fault != nil && d.Fault.Message == "":
				t.Error("a status without a cause")
			case d.Fault == nil && (!d.Right || d.Action != Stay):
				t.Error("Synced of a copy that is not right")
			}
			if d.Action.Writes() && (d.Want == (copies.Stamp{}) || !d.Value) {
				t.Errorf("a write of %+v", d.Want)
			}
			if d.Action == Wait && d.Again <= 0 {
				t.Error("it waits for nothing")
			}
		})
	}
}

var (
	noValue   = fault.New(fault.Pending, fault.ReasonValueNotFound, "no value")
	vaultDown = &fault.Outage{Fault: *fault.Transient(fault.Error, fault.ReasonVaultUnavailable, "down"), Since: testNow}
)

func foreign() copies.Copy {
	return copies.Copy{UID: "f", ResourceVersion: "9", Type: copies.TypeOpaque}
}

func lookedAt(in *Input, c *copies.Copy, ago time.Duration) {
	in.Record.look = &look{version: c.ResourceVersion, at: in.Now.Add(-ago)}
}

// Whatever keeps a Secret from being written to of whose changes nobody tells, it is
// looked at again: by then it may be another.
func TestASecretOfWhichNobodyTellsIsLookedAtAgain(t *testing.T) {
	for name, given := range map[string]given{
		"it is somebody's":                func(in *Input) {},
		"there is no value":               func(in *Input) { in.Seen.Copy.Adopt, in.Source.Fault = "acme/db", noValue },
		"no copy can be made of it":       func(in *Input) { in.Seen.Copy.Adopt, in.Record.unfit = "acme/db", &unfit{testStamp, unfitting} },
		"to be shared, there is no value": func(in *Input) { in.May, in.Source.Fault = &copies.Claim{Keys: []string{"a"}}, noValue },
		"to be shared, no key is free":    func(in *Input) { in.May = &copies.Claim{} },
	} {
		t.Run(name, func(t *testing.T) {
			in := deciding()
			known(in, testStamp)
			in.Seen.Copy = new(foreign())
			lookedAt(in, in.Seen.Copy, in.Interval/4)
			given(in)
			if d := Next(in); d.Action != Stay || d.Again != in.Interval*3/4 {
				t.Errorf("%s because %q, and again after %v", d.Action, d.Why, d.Again)
			}
		})
	}
}

// fought is a fight after which the copy was put right at last.
func fought(count int, repaired time.Time) *fight {
	return &fight{began: repaired, last: repaired, count: count, until: repaired, repaired: repaired}
}

func fighting(about copies.Stamp) *fight {
	return &fight{about: about, began: testNow, last: testNow, count: 9, until: testNow.Add(time.Second)}
}

func TestDriftIsWhatNobodyAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		given given
		drift bool
	}{
		"a copy that was right was edited": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Record.good = rightCopy(); c.Intact = false }), true},
		"a copy that was right is gone":    {func(in *Input) { known(in, testStamp); in.Record.good, in.Seen.Left = rightCopy(), true }, true},
		"it is right":                      {of(func(in *Input, c *copies.Copy) { known(in, testStamp); in.Record.good = rightCopy() }), false},
		"there is a new version":           {of(func(in *Input, c *copies.Copy) { known(in, newStamp); in.Record.good = rightCopy() }), false},
		"another definition has the place": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.Record.good = rightCopy()
			in.Owner.Name = "new"
		}), false},
		"it never was right": {of(func(in *Input, c *copies.Copy) { known(in, testStamp); c.Intact = false }), false},
		"edited while the cluster throttles": {of(func(in *Input, c *copies.Copy) {
			known(in, testStamp)
			in.Record.good, in.Throttled = rightCopy(), testNow.Add(time.Second)
			c.Intact = false
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			in := deciding()
			test.given(in)
			if d := Next(in); d.Drift != test.drift {
				t.Errorf("drift %v because %q", d.Drift, d.Why)
			}
		})
	}
}
