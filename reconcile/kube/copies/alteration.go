package copies

import "strings"

// Alteration is how a Secret that admission let pass differs from what was
// sent. It names no text that admission chose.
type Alteration struct {
	Labels      []string // of ours and of Desired's, changed or removed
	Annotations []string // the same
	Changed     []string // keys of the data whose values were changed
	Removed     []string // keys of the data that were removed
	Added       int      // number of data keys that were added
	Type        bool     // it is of another type
}

// String says it in words, for a message.
func (a *Alteration) String() string {
	var parts []string
	list := func(what string, names []string) {
		if len(names) > 0 {
			parts = append(parts, what+" "+strings.Join(names, ", "))
		}
	}
	list("changes the data keys", a.Changed)
	list("removes the data keys", a.Removed)
	switch {
	case a.Added == 1:
		parts = append(parts, "adds a data key")
	case a.Added > 1:
		parts = append(parts, "adds data keys")
	}
	list("changes the labels", a.Labels)
	list("changes the annotations", a.Annotations)
	if a.Type {
		parts = append(parts, "changes the type")
	}
	if len(parts) == 0 {
		return "changes it" // what exactly is not known
	}
	return strings.Join(parts, ", ")
}

func (a Alteration) orNil() *Alteration {
	if len(a.Labels)+len(a.Annotations)+len(a.Changed)+len(a.Removed)+a.Added == 0 && !a.Type {
		return nil
	}
	return &a
}
