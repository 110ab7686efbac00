package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a copy carries.
const (
	labelManagedBy    = "app.kubernetes.io/managed-by"
	labelTenant       = "secretsync.dev/tenant"
	labelName         = "secretsync.dev/name"
	recordSuffix      = ".merge.secretsync.dev/stamp" // of a definition's share, after its name
	annotationCommit  = "secretsync.dev/commit"
	annotationPath    = "secretsync.dev/vault-path"
	annotationVersion = "secretsync.dev/vault-version"
	annotationCreated = "secretsync.dev/vault-created"
	annotationFormat  = "secretsync.dev/format" // absent, or 1: as told here

	typeOpaque = "Opaque"
)

// facts is everything that is known of one target. judgeTarget looks at nothing
// else.
type facts struct {
	owner      definitionKey
	definition Definition
	claim      TargetClaim

	registered bool // the tenant has a cluster of that name
	granted    bool // and may reach the namespace
	cluster    string

	value      Value            // what of all paths keeps a copy from being made is told of it
	further    map[string]Value // of further paths
	want       expected
	valueErr   error
	secret     *Secret // nil: none stands
	namespace  Namespace
	clusterErr error
	rivals     []definitionKey // what else asks for the same Secret

	newest time.Time // when the newest of all values was made

	originKnown bool
	origin      *Definition // at the commit that the Secret names; nil: there was none
}

// judgeWhole judges what is said of a definition apart from its targets.
func judgeWhole(d Definition, c Claim, note func(Place, Kind, finding)) {
	if c.Path != d.Path {
		note(Place{}, OtherPath, finding{says: fmt.Sprintf("its secretPath is %q", c.Path), finds: fmt.Sprintf("at HEAD it is %q", d.Path), basis: c.Path})
	}
	for _, p := range d.Places {
		if !slices.ContainsFunc(c.Targets, func(t TargetClaim) bool { return t.Place == p }) {
			note(p, Missing, finding{says: "nothing of this target", finds: "HEAD has it"})
		} else if !slices.Contains(c.Sync, p) {
			note(p, Missing, finding{says: "the definition doesn't list this target", finds: "HEAD has it"})
		}
	}
	for _, t := range c.Targets {
		if !d.declares(t.Place) {
			note(t.Place, Surplus, finding{says: t.State + " of this target", finds: "HEAD doesn't have it"})
		}
	}
	switch invalid := c.Reason == "InvalidDefinition"; {
	case invalid && !d.Invalid:
		note(Place{}, CauseGone, finding{says: "InvalidDefinition", finds: "the file at HEAD is valid"})
	case !invalid && d.Invalid:
		note(Place{}, Unfounded, finding{says: c.Reason, finds: "the file at HEAD is no valid definition"})
	}
	if want := phaseOf(d, c); c.Phase != want {
		note(Place{}, Phase, finding{says: "the phase is " + c.Phase, finds: "by its own targets it should be " + want, basis: c.Phase})
	}
}

// phaseOf sums targets up. One that is declared and not told of is not synced.
func phaseOf(d Definition, c Claim) string {
	var synced, pending, failed int
	for _, t := range c.Targets {
		switch t.State {
		case "Synced":
			synced++
		case "Error":
			failed++
		default:
			pending++
		}
	}
	pending += max(0, len(d.Places)-len(c.Targets))
	if d.Invalid {
		failed++
	}
	switch {
	case failed > 0 && synced > 0:
		return "Degraded"
	case failed > 0:
		return "Failed"
	case pending > 0:
		return "Pending"
	}
	return "Active"
}

// judgeTarget compares what is said of a target with what is known of it.
func judgeTarget(f *facts, note func(Kind, finding)) {
	f.expect()
	if f.claim.State == "Synced" {
		judgeSynced(f, note)
	} else {
		judgeUnsynced(f, note)
	}
	judgeBorne(f, note)
}

// judgeSynced holds a target that is said to be synced to everything that
// makes it so.
func judgeSynced(f *facts, note func(Kind, finding)) {
	lie := func(kind Kind, format string, args ...any) {
		note(kind, finding{says: "Synced", finds: fmt.Sprintf(format, args...)})
	}
	switch {
	case !f.registered:
		lie(Unfounded, "cluster %s is not registered for the tenant", f.claim.Cluster)
		return
	case !f.granted:
		lie(Unfounded, "namespace %s is not granted to the tenant", f.claim.Namespace)
		return
	}
	if f.clusterErr == nil {
		judgeCopy(f, note)
	}
	if f.valueErr == nil {
		judgeValue(f, note)
	}
}

// judgeCopy holds a Secret that is said to be synced to what can be told
// without its value.
func judgeCopy(f *facts, note func(Kind, finding)) {
	lie := func(kind Kind, format string, args ...any) {
		note(kind, finding{says: "Synced", finds: fmt.Sprintf(format, args...)})
	}
	if f.secret == nil {
		lie(Absent, "no such Secret stands")
		return
	}
	if f.secret.newer() {
		lie(Unfounded, "the Secret says that it is of format %q, which is not known here", f.secret.Annotations[annotationFormat])
		return
	}
	if wrong := f.want.wears(f.secret); len(wrong) > 0 {
		lie(OtherLabels, "the Secret lacks what the definition sets: %s", strings.Join(wrong, ", "))
	}
	if f.want.merged {
		return // it is somebody else's for the rest
	}
	if wrong := wrongLabels(f); len(wrong) > 0 {
		lie(OtherLabels, "the Secret is not labelled as this definition's copy: %s", strings.Join(wrong, ", "))
	}
	if f.secret.Type != f.want.kind {
		lie(OtherType, "the Secret is of type %s", f.secret.Type)
	}
	if path := f.secret.Annotations[annotationPath]; path != f.definition.Path {
		lie(OtherPath, "the Secret is a copy of %q, and the definition asks for %q", path, f.definition.Path)
	}
	asked := f.origin != nil && f.origin.Path == f.definition.Path && f.origin.declares(f.claim.Place)
	if f.originKnown && !asked {
		lie(OtherCommit, "the Secret names commit %.10s, which didn't ask for it", f.secret.Annotations[annotationCommit])
	}
}

// judgeValue holds a Secret that is said to be synced to what the vault says.
func judgeValue(f *facts, note func(Kind, finding)) {
	lie := func(kind Kind, learns learning, format string, args ...any) {
		// As long as the server goes on to another version it is at work.
		note(kind, finding{says: "Synced", finds: fmt.Sprintf(format, args...), learns: learns, created: f.newest, basis: strconv.Itoa(f.claim.VaultVersion)})
	}
	switch v := f.value; {
	case !v.Found:
		lie(Unfounded, byPolling, "the vault has no value at %s", f.definition.Path)
		return
	case v.Gone:
		lie(Unfounded, byPolling, "version %d, the newest at %s, is deleted", v.Version, f.definition.Path)
		return
	case v.Unfit != "":
		lie(Unfounded, byVersion, "version %d at %s can't be copied: %s", v.Version, f.definition.Path, v.Unfit)
		return
	case f.clusterErr != nil || f.secret == nil:
		return
	case f.want.merged:
		if differs := f.want.differs(f.secret.Data); differs != "" {
			lie(OtherData, byVersion, "the Secret holds other data under the definition's keys: %s", differs)
		}
		return
	case f.secret.Annotations[annotationPath] != f.definition.Path:
		return
	}
	version, created := f.secret.Annotations[annotationVersion], f.secret.Annotations[annotationCreated]
	if version != strconv.Itoa(f.value.Version) {
		lie(OtherVersion, byVersion, "the Secret holds version %q, and the vault's newest is %d", version, f.value.Version)
		return
	}
	if at, err := time.Parse(time.RFC3339Nano, created); err == nil && !f.value.Created.IsZero() && !at.Equal(f.value.Created) {
		lie(OtherVersion, byVersion, "the Secret holds a version %s of another time (%s) than the vault's (%s)", version, created, f.value.Created.Format(time.RFC3339Nano))
		return
	}
	if !f.want.bears(f.secret) {
		lie(OtherVersion, byVersion, "the Secret is made of versions %q, which are not the newest of its further paths", f.secret.Annotations[annotationOthers])
		return
	}
	if differs := f.want.differs(f.secret.Data); differs != "" {
		lie(OtherData, atOnce, "the Secret holds other data than version %s: %s", version, differs)
	}
}

// judgeUnsynced asks whether there is a cause for what is said.
func judgeUnsynced(f *facts, note func(Kind, finding)) {
	says := f.claim.State + "/" + f.claim.Reason
	if f.unhindered() && f.secret == nil && !f.claim.LastSync.IsZero() && !slices.Contains([]string{"Forbidden", "Suspended"}, f.claim.Reason) {
		note(Wiped, finding{
			says: says, finds: fmt.Sprintf("the Secret that was right at %s is gone, and nothing is in the way of another", f.claim.LastSync.Format(time.RFC3339)),
			learns: byProbing, basis: f.claim.Reason,
		})
		return
	}
	if finds, learns := causeGone(f); finds != "" {
		note(CauseGone, finding{says: says, finds: finds, learns: learns, created: f.newest, basis: f.claim.Reason})
	}
}

// unhindered reports whether a copy could stand.
func (f *facts) unhindered() bool {
	return f.registered && f.granted && f.clusterErr == nil && f.namespace.Exists && !f.namespace.Terminating && len(f.rivals) == 0 &&
		f.valueErr == nil && f.value.Found && !f.value.Gone && f.value.Unfit == "" && !f.want.unsure
}

// beside takes in the value of a further path: what keeps one from being copied
// keeps the copy.
func (f *facts) beside(path string, v Value) {
	if f.further == nil {
		f.further = make(map[string]Value)
	}
	f.further[path] = v
}

// expect works out what the copy should be of the values that were seen.
func (f *facts) expect() {
	values := maps.Clone(f.further)
	if values == nil {
		values = make(map[string]Value)
	}
	values[f.definition.Path] = f.value
	f.want = f.definition.expects(values)
	for _, v := range f.further {
		if !v.Found || v.Gone {
			f.value.Found, f.value.Gone = f.value.Found && v.Found, f.value.Gone || v.Gone
		}
		if v.Created.After(f.newest) {
			f.newest = v.Created
		}
	}
	if f.value.Created.After(f.newest) {
		f.newest = f.value.Created
	}
	if s := f.definition.Shape; s != nil && s.Data != nil {
		f.value.Unfit = "" // of what it holds besides nothing is asked
	}
	if f.want.lacks && f.value.Found && !f.value.Gone {
		f.value.Unfit = "KeyNotFound"
	}
}

// causeGone says what is the case instead of what a reason says; nothing where
// that is so, or can't be known from outside.
//
//	reason                          is a lie where
//	Queued                          nothing hinders the copy
//	ValueNotFound                   there is a value
//	ValueDeleted                    the newest version is there
//	InvalidKey, ValueTooLarge,      the newest version can be copied, as far as that is judged
//	KeyNotFound, TemplateFailed
//	NotOwned                        none stands, or it is the definition's copy
//	NewerFormat                     none stands, or one of a format that is known
//	TargetConflict                  nothing else asks for the Secret or has it
//	TypeMismatch                    none stands, or one of the right type without owner that can be changed
//	ClusterNotFound                 it is registered
//	NamespaceNotAllowed             it is granted
//	NamespaceNotFound, …Terminating it is there and stays
//	ClusterUnreachable              it can be read
//	VaultUnavailable, VaultForbidden the value can be read
//	Altered                         the Secret is just as it should be
func causeGone(f *facts) (finds string, learns learning) {
	valueSeen := f.valueErr == nil
	copySeen := f.clusterErr == nil && f.registered && f.granted
	switch f.claim.Reason {
	case "Queued":
		if f.unhindered() {
			return "nothing hinders the copy", byProbing
		}
	case "ValueNotFound":
		if valueSeen && f.value.Found && !f.value.Gone {
			return fmt.Sprintf("the vault has version %d at %s", f.value.Version, f.definition.Path), byVersion
		}
	case "ValueDeleted":
		if valueSeen && f.value.Found && !f.value.Gone {
			return fmt.Sprintf("version %d, the newest at %s, is not deleted", f.value.Version, f.definition.Path), byPolling
		}
	case "InvalidKey", "ValueTooLarge", "KeyNotFound", "TemplateFailed":
		if valueSeen && !f.want.unsure && f.value.Found && !f.value.Gone && f.value.Unfit == "" {
			return fmt.Sprintf("version %d at %s can be copied", f.value.Version, f.definition.Path), byVersion
		}
	case "NotOwned":
		if copySeen && f.secret == nil {
			return "no Secret stands there", byPolling
		} else if copySeen && len(wrongLabels(f)) == 0 {
			return "the Secret there bears this definition's labels", byPolling
		}
	case "NewerFormat":
		if copySeen && (f.secret == nil || !f.secret.newer()) {
			return "no Secret of a newer format stands there", byPolling
		}
	case "TargetConflict":
		if copySeen && len(f.rivals) == 0 && !f.othersCopy() && (f.want.merged || !f.shared()) {
			return "nothing else asks for this Secret", atOnce
		}
	case "TypeMismatch":
		if copySeen && (f.secret == nil || f.secret.Type == f.want.kind && !f.secret.Owned && !f.secret.Immutable) {
			return "no Secret of another type or owner stands there, and none that is immutable", byPolling
		}
	case "ClusterNotFound":
		if f.registered {
			return "the cluster is registered for the tenant", atOnce
		}
	case "NamespaceNotAllowed":
		if f.granted {
			return "the namespace is granted to the tenant", atOnce
		}
	case "NamespaceNotFound", "NamespaceTerminating":
		if copySeen && f.namespace.Exists && !f.namespace.Terminating {
			return "the namespace is there", atOnce
		}
	case "ClusterUnreachable":
		if copySeen {
			return "the cluster answers", byProbing
		}
	case "VaultUnavailable":
		if valueSeen {
			return fmt.Sprintf("the vault can be asked for %s", f.definition.Path), byProbing
		}
	case "VaultForbidden":
		if valueSeen {
			return fmt.Sprintf("the vault can be asked for %s", f.definition.Path), byPolling
		}
	case "Altered":
		if f.unhindered() && f.secret != nil && f.secret.Type == f.want.kind && len(wrongLabels(f)) == 0 && len(f.want.wears(f.secret)) == 0 && f.want.differs(f.secret.Data) == "" {
			return "the Secret is just as it should be", byPolling
		}
	}
	return "", atOnce
}

// judgeBorne holds the version and the commit that are told to what the copy
// says of itself.
func judgeBorne(f *facts, note func(Kind, finding)) {
	if f.clusterErr != nil || !f.registered || !f.granted || f.claim.VaultVersion == 0 && f.claim.Commit == "" {
		return
	}
	lie := finding{says: f.told(), basis: f.told()}
	if f.claim.Reason == "ClusterUnreachable" || f.claim.Reason == "Queued" {
		// Until the cluster is reached, or listed anew over another way, it tells
		// what it knew last.
		lie.learns = byProbing
	}
	if f.secret == nil {
		if f.claim.State != "Synced" { // else it is a lie as such
			lie.finds = "no Secret stands"
			note(NotBorne, lie)
		}
		return
	}
	version, commit := f.borne()
	if f.claim.VaultVersion != 0 && version != strconv.Itoa(f.claim.VaultVersion) || f.claim.Commit != "" && commit != f.claim.Commit {
		lie.finds = fmt.Sprintf("the Secret bears version %q and commit %.10q", version, commit)
		note(NotBorne, lie)
	}
}

// borne are the version and the commit that the copy says of itself. On a Secret that
// is shared each definition has a record of its own; till one that comes to share it has
// written that, its copy as a whole stands.
func (f *facts) borne() (version, commit string) {
	if !f.want.merged || f.secret.Labels[labelName] == f.owner.name {
		return f.secret.Annotations[annotationVersion], f.secret.Annotations[annotationCommit]
	}
	var record struct {
		Version int
		Commit  string
	}
	if json.Unmarshal([]byte(f.secret.Annotations[f.definition.Name+recordSuffix]), &record) != nil {
		return "", ""
	}
	return strconv.Itoa(record.Version), record.Commit
}

func (f *facts) told() string {
	return fmt.Sprintf("%s/%s and that the copy is of version %d and commit %.10q", f.claim.State, f.claim.Reason, f.claim.VaultVersion, f.claim.Commit)
}

// othersCopy reports whether the Secret is labelled as the copy of something
// else.
func (f *facts) othersCopy() bool {
	return f.secret != nil && f.secret.Labels[labelManagedBy] == "secretsync" &&
		(f.secret.Labels[labelTenant] != f.owner.tenant || f.secret.Labels[labelName] != f.owner.name)
}

// shared reports whether somebody has a share of the Secret, be it a definition that is
// gone, or this one itself: nobody fills it as a whole meanwhile.
func (f *facts) shared() bool {
	if f.secret == nil {
		return false
	}
	for name := range f.secret.Annotations {
		if strings.HasSuffix(name, recordSuffix) {
			return true
		}
	}
	return false
}

// newer reports whether a program wrote the Secret that knows more than is known here.
func (s *Secret) newer() bool {
	format, said := s.Annotations[annotationFormat]
	return said && format != "1"
}

// wrongLabels lists the labels that a copy should bear and that the Secret
// doesn't, with what it has instead.
func wrongLabels(f *facts) []string {
	var wrong []string
	for _, l := range []struct{ key, want string }{{labelManagedBy, "secretsync"}, {labelTenant, f.owner.tenant}, {labelName, f.owner.name}} {
		if got := f.secret.Labels[l.key]; got != l.want {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", l.key, got, l.want))
		}
	}
	return wrong
}

// compare says how data differs, without naming keys: people put values where
// names belong.
func compare(want, got Data) string {
	var lacking, other, surplus int
	for key, digest := range want {
		switch have, ok := got[key]; {
		case !ok:
			lacking++
		case have != digest:
			other++
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			surplus++
		}
	}
	if lacking+other+surplus == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d keys are lacking, %d have another value, %d are too many", lacking, len(want), other, surplus)
}
