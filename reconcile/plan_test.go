package reconcile

import (
	"strings"
	"testing"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// planWorld is what the tables of plans begin with: one target without a copy
// in a namespace that is there, whose vault nobody has asked yet.
func planWorld(t *testing.T) *input {
	t.Helper()
	tenant, err := gitstore.ParseTenantName("acme")
	if err != nil {
		t.Fatal(err)
	}
	path, err := definition.ParseSecretPath("production/db")
	if err != nil {
		t.Fatal(err)
	}
	alias, err := definition.ParseClusterName("production")
	if err != nil {
		t.Fatal(err)
	}
	o := owner{"acme", "db"}
	return &input{tenant: tenant, path: path, targets: []view{{
		target: &target{tenant: &tenantOfTests, owner: o}, owner: o, alias: alias, place: placeKey{"payments", "db"}, namespace: namespaceThere,
	}}}
}

var tenantOfTests = tenant{hasher: newHasher(testKey)}

var (
	planValue  = &value{version: version{3, "t3"}, data: map[string][]byte{"a": []byte("1")}}
	planStamp  = stamp{path: "production/db", version: 3, created: "t3", data: tenantOfTests.hasher.sum(owner{"acme", "db"}, placeKey{"payments", "db"}, planValue.data)}
	otherStamp = stamp{path: "production/db", version: 2, created: "t2"}
)

func rightCopy() *record {
	return &record{owner: owner{"acme", "db"}, stamp: planStamp, intact: true, labelled: true, rv: "7"}
}

func TestPlan(t *testing.T) {
	type row struct {
		given  func(in *input, v *view)
		action action
		reason Reason // of settle and look
	}
	rows := map[string]row{
		// What needs no vault.
		"a cluster that is not registered":        {func(in *input, v *view) { v.refused = &fault{state: Error, reason: ReasonClusterNotFound} }, settle, ReasonClusterNotFound},
		"a cluster that is down":                  {func(in *input, v *view) { v.cluster = unreachable("down") }, settle, ReasonClusterUnreachable},
		"a namespace that is missing":             {func(in *input, v *view) { v.namespace = namespaceMissing }, settle, ReasonNamespaceNotFound},
		"a namespace that ends":                   {func(in *input, v *view) { v.namespace = namespaceTerminating }, settle, ReasonNamespaceTerminating},
		"a foreign Secret":                        {func(in *input, v *view) { v.foreign = true }, look, ReasonNotOwned},
		"another tenant's Secret":                 {func(in *input, v *view) { v.copy = rightCopy(); v.copy.tenant = "other" }, look, ReasonNotOwned},
		"a foreign Secret while the lane is full": {func(in *input, v *view) { v.foreign, v.busy = true, true }, park, ""},
		"a rival that holds the place": {func(in *input, v *view) {
			v.copy = rightCopy()
			v.copy.name = "zz"
			v.rivals = []claim{{owner{"acme", "zz"}, "production"}}
		}, settle, ReasonTargetConflict},
		"a lesser rival where nobody holds it": {func(in *input, v *view) { v.rivals = []claim{{owner{"acme", "aa"}, "production"}} }, settle, ReasonTargetConflict},
		"a greater rival where nobody holds it": {func(in *input, v *view) {
			v.rivals = []claim{{owner{"acme", "zz"}, "production"}}
		}, readValue, ""},
		"a lesser tenant's rival while we hold it": {func(in *input, v *view) {
			v.copy = rightCopy()
			v.rivals = []claim{{owner{"aaa", "db"}, "production"}}
		}, readMetadata, ""},
		"a lesser tenant's rival where nobody holds it": {func(in *input, v *view) { v.rivals = []claim{{owner{"aaa", "db"}, "p"}} }, settle, ReasonTargetConflict},
		"the same definition by a lesser name of the cluster": {func(in *input, v *view) {
			v.copy = rightCopy()
			v.rivals = []claim{{owner{"acme", "db"}, "eu"}}
		}, settle, ReasonTargetConflict},

		// Before the vault was asked.
		"no copy: the value is read at once":        {func(in *input, v *view) {}, readValue, ""},
		"a right copy: the version is asked for":    {func(in *input, v *view) { v.copy = rightCopy() }, readMetadata, ""},
		"an edited copy: the value is read":         {func(in *input, v *view) { v.copy = rightCopy(); v.copy.intact = false }, readValue, ""},
		"another path's copy: the value is read":    {func(in *input, v *view) { v.copy = rightCopy(); v.copy.path = "else" }, readValue, ""},
		"a copy without labels: the value is read":  {func(in *input, v *view) { v.copy = rightCopy(); v.copy.labelled = false }, readValue, ""},
		"a renamed definition's: the value is read": {func(in *input, v *view) { v.copy = rightCopy(); v.copy.name = "old" }, readValue, ""},
		"asked for: the value is read":              {func(in *input, v *view) { v.copy, in.force = rightCopy(), true }, readValue, ""},
		"metadata denied: the value is read":        {func(in *input, v *view) { v.copy, in.dataOnly = rightCopy(), true }, readValue, ""},
		"no room to write: nothing is read":         {func(in *input, v *view) { v.busy = true }, park, ""},
		"a version that can't be copied, no copy":   {func(in *input, v *view) { in.rejected = &rejection{version{3, "t3"}, invalidKey} }, readMetadata, ""},

		// Knowing the version.
		"the copy's version": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{asked: true, version: version{3, "t3"}}
		}, keep, ""},
		"another version": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{asked: true, version: version{4, "t4"}}
		}, readValue, ""},
		"the same number begun anew": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{asked: true, version: version{3, "t9"}}
		}, readValue, ""},
		"the version that can't be copied": {func(in *input, v *view) {
			in.rejected, in.source = &rejection{version{3, "t3"}, invalidKey}, source{asked: true, version: version{3, "t3"}}
		}, settle, ReasonInvalidKey},
		"a version after the one that can't be copied": {func(in *input, v *view) {
			in.rejected, in.source = &rejection{version{3, "t3"}, invalidKey}, source{asked: true, version: version{4, "t4"}}
		}, readValue, ""},
		"deleted": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{asked: true, fault: deleted("p", kvVersion{})}
		}, settle, ReasonValueDeleted},

		// Knowing the value.
		"value and copy agree": {func(in *input, v *view) { v.copy, in.source = rightCopy(), source{value: planValue} }, keep, ""},
		"a value, no copy":     {func(in *input, v *view) { in.source = source{value: planValue} }, create, ""},
		"a value, another copy": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{value: planValue}
			v.copy.stamp = otherStamp
		}, update, ""},
		"a value, labels stripped": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{value: planValue}
			v.copy.labelled = false
		}, update, ""},
		"a value, an immutable copy": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{value: planValue}
			v.copy.stamp, v.copy.immutable = otherStamp, true
		}, replace, ""},
		"a value, a copy of another type": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{value: planValue}
			v.copy.otherType = true
		}, replace, ""},
		"a copy of another type: the value is read": {func(in *input, v *view) { v.copy = rightCopy(); v.copy.otherType = true }, readValue, ""},
		"a right immutable copy": {func(in *input, v *view) {
			v.copy, in.source = rightCopy(), source{value: planValue}
			v.copy.immutable = true
		}, keep, ""},
		"a value, no room":         {func(in *input, v *view) { in.source, v.busy = source{value: planValue}, true }, park, ""},
		"no value":                 {func(in *input, v *view) { in.source = source{fault: notFound("p")} }, settle, ReasonValueNotFound},
		"namespaces can't be seen": {func(in *input, v *view) { in.source, v.namespace = source{value: planValue}, namespaceUnknown }, create, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			in := planWorld(t)
			row.given(in, &in.targets[0])
			s := plan(in)[0]
			if s.action != row.action {
				t.Fatalf("%s because %q, want %s", s.action, s.why, row.action)
			}
			if s.why == "" {
				t.Error("no reason is given")
			}
			if row.reason != "" && (s.fault == nil || s.fault.reason != row.reason) {
				t.Errorf("fault %+v, want %s", s.fault, row.reason)
			}
			if (s.action == settle || s.action == look) && (s.fault == nil || s.fault.reason == ReasonSynced) {
				t.Error("a target that nothing is done for must say how it stands")
			}
			if s.action >= create && s.action <= replace && s.want != planStamp {
				t.Errorf("want %+v", s.want)
			}
		})
	}
}

var invalidKey = &fault{state: Error, reason: ReasonInvalidKey, message: "a key"}

func TestOneReadServesAllTargets(t *testing.T) {
	in := planWorld(t)
	right := in.targets[0]
	right.copy = rightCopy()
	in.targets = append(in.targets, right)
	if need := needs(plan(in)); need != readValue {
		t.Errorf("needs %s: a value makes metadata superfluous", need)
	}
}

func TestAConflictNamesNoOtherTenant(t *testing.T) {
	in := planWorld(t)
	in.targets[0].rivals = []claim{{owner{"aaa-secret-project", "hidden"}, "x"}}
	s := plan(in)[0]
	if strings.Contains(s.fault.message, "aaa") || strings.Contains(s.fault.message, "hidden") {
		t.Errorf("%q", s.fault.message)
	}
}
