package decide

import (
	"fmt"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// A definition that says mode: Merge has, in each place that it claims, a share of a
// Secret: the keys, labels and annotations that it names, less what is another's. Its
// share is one place, looked at, decided and written like the copy of a Secret as a
// whole, so that one Secret may be many places. What is said here is where the two
// differ.
//
//	what stands there                              a share               a Secret as a whole
//	nothing                                        is created, unless    is created
//	                                               one that fills it as
//	                                               a whole is there too:
//	                                               TargetConflict
//	nobody's Secret                                the same              NotOwned, unless it may be adopted
//	a Secret that definitions of the tenant share  joins it              TargetConflict, unless it is its own
//	                                                                     share and nothing else
//	its own copy, as a whole                       the same: it becomes  is put right
//	                                               a share
//	another definition's copy, as a whole          TargetConflict        is taken over where that one is gone
//	another tenant's, by its label or, where       NotOwned              NotOwned, unless it may be adopted
//	  that was taken off, by a record
//	keys of a server of secretsync, by its type    NotOwned              NotOwned
//	nobody's copy or share, with the tenant's      joins it              NotOwned, unless it may be adopted
//	  label and data that others wrote

// joining decides by whose Secret it is that stands in the place of a share.
func joining(in *Input) Decision {
	c := in.Seen.Copy
	switch {
	case in.Whole != "" && len(c.Sharers()) == 0:
		return Decision{Why: "a definition is to fill the Secret as a whole", Fault: filledBy(in, in.Whole)}
	case c == nil && len(in.May.Keys) == 0:
		return Decision{Why: "all of it is to be another's", Fault: keyConflict(in)}
	case c == nil:
		return byValue(in, nil)
	case !c.Watched && !in.Record.look.saw(c):
		return Decision{Action: Read, Why: "a Secret of which nobody tells stands in the place", Fault: beingLookedAt}
	}
	return lookedAgain(in, c, shared(in, c))
}

// shared decides so about a Secret as it was when it was looked at.
func shared(in *Input, c *copies.Copy) Decision {
	switch {
	case c.Format.Newer():
		return Decision{Why: "what stands there is of a newer format", Fault: newerFormat(in)}
	case definition.ReservedType(c.Type):
		// Whoever may add a key to it may add an API key of any tenant.
		return Decision{Why: "the Secret holds keys of a server", Fault: fault.New(fault.Error, fault.ReasonNotOwned,
			"Secret %s in cluster %s holds keys of a server of secretsync: it is never touched; choose another secretName", in.At, in.Alias)}
	case c.Watched && c.Owner.Tenant != in.Owner.Tenant, c.Part && c.Watched && !c.Labelled:
		return Decision{Why: "a Secret of another tenant stands in the place", Fault: notOwned(in)}
	case c.Theirs(in.Owner) && !c.Adoptable(in.Owner):
		return Decision{Why: "the record of another tenant stands on the Secret", Fault: notOwned(in)}
	case !c.Part && c.Name != "" && c.Owner != in.Owner:
		return Decision{Why: "a definition fills the Secret as a whole", Fault: filledBy(in, c.Name)}
	case len(in.May.Keys) == 0 && c.Part && !c.Immutable && !c.Deleting && leaves(c, in.May.Keeps):
		return Decision{Action: Leave, Why: "all of it is another's, and it has keys of earlier", Fault: keyConflict(in)}
	case len(in.May.Keys) == 0:
		return Decision{Why: "all of it is another's", Fault: keyConflict(in)}
	}
	return byValue(in, c)
}

// leaves reports whether there is something to take off a Secret of a share that may have
// none of what it asks for: more than the keys that it keeps, and not all that is there.
func leaves(c *copies.Copy, keeps []string) bool {
	if len(keeps) > 0 {
		return !c.Has(copies.Claim{Keeps: keeps})
	}
	return !c.Last()
}

var beingLookedAt = fault.Queued("what stands there is being looked at")

// mostNamed is how many keys a message names.
const mostNamed = 3

// keyConflict names what the definition asks for and does not get, and whose it is.
func keyConflict(in *Input) *fault.Fault {
	var parts []string
	adopt := false
	for i, t := range in.taken {
		if i == mostNamed {
			parts = append(parts, fmt.Sprintf("%d more", len(in.taken)-mostNamed))
			break
		}
		switch {
		case t.By == in.Owner:
			parts = append(parts, fmt.Sprintf("%s, which field manager %s has declared since", t.Entry, t.Manager))
		case t.By.Name != "":
			parts = append(parts, fmt.Sprintf("%s of definition %s", t.Entry, t.By.Name))
			continue
		case t.Manager == "":
			parts = append(parts, fmt.Sprintf("%s of somebody's", t.Entry))
		default:
			parts = append(parts, fmt.Sprintf("%s of field manager %s", t.Entry, t.Manager))
		}
		adopt = true
	}
	remedy := "take it out of one of the two definitions"
	if adopt {
		remedy = fmt.Sprintf("remove it from the Secret or from the definition, or let the definition take it over by annotating the Secret: kubectl -n %s annotate secret %s %s=%s",
			in.At.Namespace, in.At.Name, copies.AnnotationAdopt, in.Owner)
	}
	return fault.New(fault.Error, fault.ReasonKeyConflict, "Secret %s in cluster %s has %s: it is left alone; %s", in.At, in.Alias, strings.Join(parts, ", "), remedy)
}

// filledBy says that a Secret is another definition's as a whole.
func filledBy(in *Input, name string) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonTargetConflict, "Secret %s in cluster %s is the copy of definition %s as a whole; give that mode: Merge too, choose another secretName, or, if the definition is gone, remove the orphan",
		in.At, in.Alias, fault.Clean(name))
}

// sharedBy says that a Secret which is to be filled as a whole is shared.
func sharedBy(in *Input, c *copies.Copy) *fault.Fault {
	names := make(map[string]bool)
	var parts []string
	for _, o := range c.Sharers() {
		name := "definition " + fault.Clean(o.Name)
		if o.Tenant != in.Owner.Tenant {
			name = "somebody else"
		}
		if !names[name] {
			names[name] = true
			parts = append(parts, name)
		}
	}
	if len(parts) == 1 && parts[0] == "definition "+in.Owner.Name {
		return fault.New(fault.Error, fault.ReasonTargetConflict, "Secret %s in cluster %s holds more than the keys of this definition, so it is not filled as a whole; remove the other keys, leave mode: Merge, or choose another secretName", in.At, in.Alias)
	}
	return fault.New(fault.Error, fault.ReasonTargetConflict, "Secret %s in cluster %s is shared by %s; give this one mode: Merge too, or choose another secretName", in.At, in.Alias, strings.Join(parts, ", "))
}
