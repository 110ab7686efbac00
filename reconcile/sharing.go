package reconcile

import (
	"fmt"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/compose"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube"
)

// A definition that says mode: Merge has, in each place that it claims, a share of a
// Secret: the keys, labels and annotations that it names, less what is another's. Its
// share is one place (see site.parts), looked at, decided and written like the copy of
// a Secret as a whole, so that one Secret may be many places. What is said here is
// where the two differ.
//
//	what stands there                              a share               a Secret as a whole
//	nothing                                        is created            is created
//	nobody's Secret                                joins it              NotOwned, unless it may be adopted
//	a Secret that definitions of the tenant share  joins it              TargetConflict, unless it is its own
//	                                                                     share and nothing else
//	its own copy, as a whole                       becomes a share       is put right
//	another definition's copy, as a whole          TargetConflict        is taken over where that one is gone
//	another tenant's, by its label or, where       NotOwned              NotOwned, unless it may be adopted
//	  that was taken off, by a record
//	nobody's copy or share, with the tenant's      joins it              NotOwned, unless it may be adopted
//	  label and data that others wrote

// claimOf is what a definition asks for of the Secrets that it shares.
func claimOf(d definition.Definition, r *compose.Recipe) kube.Claim {
	return kube.Claim{Keys: r.Keys(), Labels: r.Labels(), Annotations: r.Annotations()}
}

// share makes the input that of a share. live tells which definitions claim one of
// the same Secret.
func (in *input) share(live func(kube.Owner) bool) {
	in.shareOf(in.asked.claim, live)
}

func (in *input) shareOf(claim kube.Claim, live func(kube.Owner) bool) {
	in.seen.Copy = in.seen.Copy.PartOf(in.owner)
	may, taken := in.seen.Copy.Divide(in.owner, claim, live)
	in.may, in.taken = &may, taken
	in.worn = kube.Wear(may.Labels, may.Annotations)
	if c := in.seen.Copy; c != nil {
		in.kind = c.Type // which is not for the definition to say
	}
}

// part makes of a whole copy what the definition may have of the Secret.
func (in *input) part(d *kube.Desired) {
	d.Part, d.Labels, d.Annotations = true, in.may.Labels, in.may.Annotations
	data := make(map[string][]byte, len(in.may.Keys))
	for _, key := range in.may.Keys {
		data[key] = d.Data[key]
	}
	d.Data = data
}

// joining decides by whose Secret stands in the place of a share.
func joining(in *input) decision {
	c := in.seen.Copy
	switch {
	case c == nil && in.seen.Left:
		return decision{action: read, value: true, why: "the Secret was deleted or lost its labels", fault: copyLeft, drift: in.record.stood(in)}
	case c == nil:
		return byValue(in, nil)
	case !c.Watched && !in.record.look.of(in, c):
		return decision{action: read, why: "a Secret of which nobody tells stands in the place", fault: beingLookedAt}
	case c.Format.Newer():
		return decision{why: "what stands there is of a newer format", fault: newerFormat(in), again: unwatched(in, c)}
	case c.Watched && c.Owner.Tenant != in.owner.Tenant, c.Part && c.Watched && !c.Labelled:
		return decision{why: "a Secret of another tenant stands in the place", fault: notOwned(in)}
	case c.Theirs(in.owner) && !c.Adoptable(in.owner):
		return decision{why: "the record of another tenant stands on the Secret", fault: notOwned(in), again: unwatched(in, c)}
	case !c.Part && c.Name != "" && c.Owner != in.owner:
		return decision{why: "a definition fills the Secret as a whole", fault: filledBy(in, c)}
	case len(in.may.Keys) == 0:
		return decision{why: "all of it is another's", fault: keyConflict(in), again: unwatched(in, c)}
	}
	return byValue(in, c)
}

var beingLookedAt = queued("what stands there is being looked at")

// mostNamed is how many keys a message names.
const mostNamed = 3

// keyConflict names what the definition asks for and does not get, and whose it is.
func keyConflict(in *input) *fault.Fault {
	var parts []string
	adopt := false
	for i, t := range in.taken {
		if i == mostNamed {
			parts = append(parts, fmt.Sprintf("%d more", len(in.taken)-mostNamed))
			break
		}
		switch {
		case t.By == in.owner:
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
			in.at.Namespace, in.at.Name, kube.AnnotationAdopt, in.owner)
	}
	return fault.New(Error, ReasonKeyConflict, "Secret %s in cluster %s has %s: it is left alone; %s", in.at, in.alias, strings.Join(parts, ", "), remedy)
}

// filledBy says that a Secret is another definition's as a whole.
func filledBy(in *input, c *kube.Copy) *fault.Fault {
	return targetConflict("Secret %s in cluster %s is the copy of definition %s as a whole; give that mode: Merge too, choose another secretName, or, if the definition is gone, remove the orphan",
		in.at, in.alias, fault.Clean(c.Name))
}

// sharedBy says that a Secret which is to be filled as a whole is shared.
func sharedBy(in *input, c *kube.Copy) *fault.Fault {
	names := make(map[string]bool)
	var parts []string
	for _, o := range c.Sharers() {
		name := "definition " + fault.Clean(o.Name)
		if o.Tenant != in.owner.Tenant {
			name = "somebody else"
		}
		if !names[name] {
			names[name] = true
			parts = append(parts, name)
		}
	}
	if len(parts) == 1 && parts[0] == "definition "+in.owner.Name {
		return targetConflict("Secret %s in cluster %s holds more than the keys of this definition, so it is not filled as a whole; remove the other keys, leave mode: Merge, or choose another secretName", in.at, in.alias)
	}
	return targetConflict("Secret %s in cluster %s is shared by %s; give this one mode: Merge too, or choose another secretName", in.at, in.alias, strings.Join(parts, ", "))
}
