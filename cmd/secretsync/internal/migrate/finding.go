package migrate

import (
	"cmp"
	"fmt"
	"strings"
)

// Weight tells how much a [Finding] matters.
type Weight string

const (
	// Refused: the resource is in no definition because of this.
	Refused Weight = "refused"
	// Left: there is a definition, and this is not in it.
	Left Weight = "left"
	// Note: nothing is lost, but somebody should know.
	Note Weight = "note"
)

// Finding is one thing that did not come along, or came along as something else.
type Finding struct {
	Weight    Weight `json:"weight"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Field     string `json:"field,omitempty"` // such as "spec.target.template"; empty where it is the whole
	Reason    string `json:"reason"`
	Remedy    string `json:"remedy,omitempty"` // what a person can do

	of *Resource
}

// String writes the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s %s: %s: ", plain(f.File), f.Line, f.Kind, join(f.Namespace, f.Name), f.Weight)
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Reason)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func join(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}
