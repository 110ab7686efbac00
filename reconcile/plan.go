package reconcile

import (
	"fmt"

	"secretsync/gitstore"
	"secretsync/gitstore/definition"
)

// input is everything that one pass over a vault path goes by. plan looks at
// nothing else.
type input struct {
	tenant gitstore.TenantName
	path   definition.SecretPath
	source source
	// force: somebody asked for the value to be read again now.
	force bool
	// asked counts how often somebody did, up to this pass.
	asked uint64
	// dataOnly: the policy does not allow metadata; only the data tells whether
	// the value changed.
	dataOnly bool
	// rejected is what a version was found to be that can't be copied.
	rejected *rejection
	targets  []view
}

// source is what is known of the value in this pass, more with each read.
type source struct {
	asked   bool // metadata was read
	version version
	value   *value // nil until the data was read
	fault   *fault // why there is no value to copy
}

// rejection remembers why a version can't be copied, so that its data is not
// read again and again.
type rejection struct {
	version
	fault *fault
}

// view is one target as it was gathered.
type view struct {
	target    *target
	owner     owner
	alias     definition.ClusterName // the cluster as the tenant names it
	place     placeKey
	refused   *fault  // by the configuration alone
	cluster   *fault  // the cluster takes no work now
	rivals    []claim // other definitions that claim the place
	copy      *record
	foreign   bool // a Secret without our labels was seen in the place
	namespace namespaceState
	busy      bool     // it is to wait until there is room for what it would write
	room      *cluster // where that room is to come, if busy
	pending   *stamp   // what is being written to the place right now
}

// claim is one definition's wish for a place.
type claim struct {
	owner
	alias string
}

type namespaceState uint8

const (
	namespaceUnknown namespaceState = iota // the cluster does not let us see namespaces
	namespaceThere
	namespaceMissing
	namespaceTerminating
)

// action is what a step does.
type action uint8

const (
	settle       action = iota // nothing but say how it stands
	keep                       // the copy is right
	readMetadata               // ask the vault for the version before going on
	readValue                  // ask the vault for the value before going on
	create                     // write the missing copy
	update                     // write over the copy
	replace                    // delete the copy, which refuses updates, and create it
	look                       // read the Secret that stands in the place
	park                       // wait until the cluster has room
	leave                      // what is to be written is being written
)

func (a action) String() string {
	return [...]string{"settle", "keep", "read metadata", "read value", "create", "update", "replace", "look", "park", "leave"}[a]
}

// step is what is to be done for one target, and why.
type step struct {
	view   *view
	action action
	why    string // for people who read logs
	fault  *fault // of settle, look and park: how the target stands meanwhile
	want   stamp  // of keep, create, update, replace: what the copy is right with
}

// plan works out what to do, one step a target in their order. Steps that read
// come back with more known the next time; see [needs].
func plan(in *input) []step {
	steps := make([]step, len(in.targets))
	for i := range in.targets {
		steps[i] = planTarget(in, &in.targets[i])
	}
	return steps
}

// needs is the read that a plan waits for: a value makes metadata superfluous.
func needs(steps []step) action {
	need := settle
	for i := range steps {
		if a := steps[i].action; a == readMetadata || a == readValue {
			need = max(need, a)
		}
	}
	return need
}

func planTarget(in *input, v *view) step {
	stands := func(f *fault, why string) step { return step{view: v, action: settle, fault: f, why: why} }
	switch {
	case v.refused != nil:
		return stands(v.refused, "not granted")
	case v.cluster != nil:
		return stands(v.cluster, "cluster takes no work")
	}
	if f := lost(in, v); f != nil {
		return stands(f, "another definition holds the place")
	}
	switch v.namespace {
	case namespaceMissing:
		return stands(namespaceNotFound(v), "no namespace")
	case namespaceTerminating:
		return stands(namespaceEnds(v), "namespace ends")
	}
	if notOurs(in, v) {
		if v.busy {
			return step{view: v, action: park, why: "cluster busy"}
		}
		return step{view: v, action: look, fault: notOwned(v), why: "a Secret that is not ours stands in the place"}
	}
	return planCopy(in, v)
}

// planCopy plans for a place that is ours to fill.
func planCopy(in *input, v *view) step {
	switch {
	case in.source.fault != nil:
		return step{view: v, action: settle, fault: told(in.source.fault, v), why: "no value to copy"}
	case in.source.value == nil:
		return planUnread(in, v)
	}
	val := in.source.value
	want := stamp{path: in.path.String(), version: val.number, created: val.created, data: v.target.digest(v, val)}
	switch {
	case v.pending != nil && *v.pending == want:
		return step{view: v, action: leave, why: "it is being written"}
	case v.copy.right(v.owner, want):
		return step{view: v, action: keep, want: want, why: "value and copy agree"}
	case v.busy:
		return step{view: v, action: park, why: "cluster busy"}
	case v.copy == nil:
		return step{view: v, action: create, want: want, why: "no copy yet"}
	case v.copy.otherType || v.copy.immutable:
		return step{view: v, action: replace, want: want, why: "the copy is immutable or of another type"}
	}
	return step{view: v, action: update, want: want, why: difference(v.copy, v.owner, want)}
}

// told says of a value that is gone altogether that its copy is not.
func told(f *fault, v *view) *fault {
	if f.reason != ReasonValueNotFound || v.copy == nil {
		return f
	}
	stays := *f
	stays.message += "; the copy of the last one stays as it is"
	return &stays
}

// planUnread plans before the value was read: often the version alone tells
// that nothing is to be done.
func planUnread(in *input, v *view) step {
	meta := step{view: v, action: readMetadata, why: "has the version changed?"}
	read := step{view: v, action: readValue}
	if v.copy != nil {
		unread := v.copy.stamp
		unread.path = in.path.String()
		if !v.copy.right(v.owner, unread) {
			read.why = difference(v.copy, v.owner, unread)
		}
	} else {
		read.why = "no copy yet"
	}
	switch {
	case in.force:
		read.why = "asked for"
		return read
	case v.pending != nil:
		return step{view: v, action: leave, why: "a value is being written"}
	case in.source.asked && in.rejected != nil && in.rejected.version == in.source.version:
		return step{view: v, action: settle, fault: in.rejected.fault, why: "this version can't be copied"}
	case in.source.asked && read.why == "" && v.copy.version == in.source.version.number && v.copy.created == in.source.version.created:
		return step{view: v, action: keep, want: v.copy.stamp, why: "version and copy agree"}
	case in.source.asked && read.why == "":
		read.why = "another version"
	case in.dataOnly && read.why == "":
		read.why = "has the data changed?"
	case in.source.asked || in.dataOnly:
	case in.rejected != nil || read.why == "":
		return meta
	}
	if v.busy {
		// Without room to write it the value is not worth reading.
		return step{view: v, action: park, why: "cluster busy"}
	}
	return read
}

// difference names the first thing in which a copy is not as it should be.
func difference(r *record, o owner, want stamp) string {
	switch {
	case !r.labelled:
		return "labels are missing"
	case r.owner != o:
		return "another definition's copy before"
	case r.path != want.path:
		return "another path"
	case !r.intact:
		return "the copy was edited"
	case r.otherType:
		return "another type"
	case r.version != want.version || r.created != want.created:
		return "another version"
	}
	return "other data"
}

// lost reports, for a place that several definitions claim, that it is another
// one's: the one whose copy stands there keeps it, else the lesser tenant and
// name have it.
func lost(in *input, v *view) *fault {
	if len(v.rivals) == 0 {
		return nil
	}
	mine := claim{owner: v.owner, alias: v.alias.String()}
	holder := mine
	for _, r := range v.rivals {
		if before(r, holder, v.copy) {
			holder = r
		}
	}
	switch {
	case holder == mine:
		return nil
	case holder.owner == mine.owner:
		return targetConflict("another target of this definition is the same Secret %s by the name of cluster %s; remove one", v.place, holder.alias)
	case holder.tenant == in.tenant.String():
		return targetConflict("definition %s already fills Secret %s in cluster %s; remove the target from one of the two", holder.name, v.place, v.alias)
	}
	return targetConflict("Secret %s in cluster %s is already filled from elsewhere; choose another secretName or namespace", v.place, v.alias)
}

// before orders claims to one place.
func before(a, b claim, copy *record) bool {
	if copy != nil && a.owner != b.owner {
		if copy.labelled && copy.owner == a.owner {
			return true
		}
		if copy.labelled && copy.owner == b.owner {
			return false
		}
	}
	switch {
	case a.tenant != b.tenant:
		return a.tenant < b.tenant
	case a.name != b.name:
		return a.name < b.name
	}
	return a.alias < b.alias
}

// notOurs reports that what stands in the place must be looked at before
// anything is written there. A copy of the same tenant that no other definition
// claims any more may be gone on with: the definition was renamed.
func notOurs(in *input, v *view) bool {
	if v.copy == nil {
		return v.foreign
	}
	return v.copy.tenant != in.tenant.String()
}

func namespaceNotFound(v *view) *fault {
	return &fault{state: Pending, reason: ReasonNamespaceNotFound, message: fmt.Sprintf("namespace %s does not exist in cluster %s; it goes on as soon as somebody creates it", v.place.namespace, v.alias)}
}

func namespaceEnds(v *view) *fault {
	return &fault{state: Pending, reason: ReasonNamespaceTerminating, message: fmt.Sprintf("namespace %s in cluster %s is being deleted; it goes on when it is there again", v.place.namespace, v.alias)}
}

func targetConflict(format string, args ...any) *fault {
	return &fault{state: Error, reason: ReasonTargetConflict, message: fmt.Sprintf(format, args...)}
}

func notOwned(v *view) *fault {
	return &fault{state: Error, reason: ReasonNotOwned, message: fmt.Sprintf("Secret %s in cluster %s exists and is not this definition's; it is not touched. Delete it, choose another secretName, or let it be taken over by annotating it: kubectl -n %s annotate secret %s %s=%s", v.place, v.alias, v.place.namespace, v.place.name, AnnotationAdopt, v.owner)}
}
