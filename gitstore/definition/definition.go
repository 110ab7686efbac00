package definition

import "fmt"

// MaxTargets is the greatest number of targets in one definition.
const MaxTargets = 100

// Target is one place a value is copied to.
type Target struct {
	Cluster ClusterName
	// Namespace is zero where Selector is given: then the target stands for one in
	// each namespace that matches; see [Target.In].
	Namespace Namespace
	Selector  Selector
	// SecretName is zero where the definition gives none; see [Target.Secret].
	SecretName SecretName
	// Restart lists what is restarted when the data of the copy change.
	Restart Restart
}

// In is the target in one of the namespaces that its selector matches.
func (t Target) In(namespace Namespace) Target {
	t.Namespace, t.Selector = namespace, Selector{}
	return t
}

// Secret returns the name the Kubernetes Secret bears: the target's own, or
// else the definition's.
func (t Target) Secret(definition Name) SecretName {
	if t.SecretName.IsZero() {
		return SecretName(definition)
	}
	return t.SecretName
}

// Place is a target with its Secret's name resolved: two targets claim the
// same Secret exactly if their places are equal.
type Place struct {
	Cluster   ClusterName
	Namespace Namespace // zero where Selector is given
	Selector  Selector
	Secret    SecretName
}

// Place resolves the target for the definition it stands in.
func (t Target) Place(definition Name) Place {
	return Place{Cluster: t.Cluster, Namespace: t.Namespace, Selector: t.Selector, Secret: t.Secret(definition)}
}

func (p Place) String() string {
	if !p.Selector.IsZero() {
		return fmt.Sprintf("%s/{%s}/%s", p.Cluster, p.Selector, p.Secret)
	}
	return fmt.Sprintf("%s/%s/%s", p.Cluster, p.Namespace, p.Secret)
}

// Definition says which vault value is copied where. A Definition made by
// [New] or read from a snapshot keeps every rule of the format; it is
// shared and must not be modified.
type Definition struct {
	Name       Name
	SecretPath SecretPath
	Sync       []Target // in the order they were written; never two with one Place
	Shape      *Shape   // nil: what the copies are by default
}

// New puts parsed parts together and checks what concerns them jointly; see
// [Definition.Check].
func New(name Name, path SecretPath, sync []Target) (Definition, error) {
	d := Definition{Name: name, SecretPath: path, Sync: sync}
	if err := d.Check(); err != nil {
		return Definition{}, err
	}
	return d, nil
}

// Check checks what concerns parsed parts jointly: the number of targets, that none
// is listed twice, and that what is shared is named. A failure matches [ErrInvalid].
func (d Definition) Check() error {
	if len(d.Sync) > MaxTargets {
		return invalid("sync", fmt.Sprintf("has %d targets; at most %d are allowed", len(d.Sync), MaxTargets))
	}
	seen := make(map[Place]int, len(d.Sync))
	for i, t := range d.Sync {
		place := t.Place(d.Name)
		if first, ok := seen[place]; ok {
			return invalid(fmt.Sprintf("sync[%d]", i), fmt.Sprintf("is the same target as sync[%d] (%s); remove one", first, place))
		}
		seen[place] = i
	}
	return d.Shape.Check()
}
