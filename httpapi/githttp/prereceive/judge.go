package prereceive

import (
	"cmp"
	"fmt"
	"slices"

	"secretsync/gitstore/definition"
)

// version is the folder of definitions as a commit has it.
type version struct {
	folder string           // the object that it is; empty where there is none
	files  map[string]entry // by name
	set    definition.Set
}

// judge tells, by path and line, what a push that leads from one version to
// another makes worse.
func (r *Rules) judge(before, after *version) []*definition.FileError {
	var worse []*definition.FileError
	for _, strange := range after.set.Strange {
		if !slices.ContainsFunc(before.set.Strange, func(was *definition.FileError) bool { return *was == *strange }) {
			worse = append(worse, strange)
		}
	}
	for _, invalid := range after.set.Invalid {
		if after.touches(before, invalid.Name) {
			worse = append(worse, invalid.Causes...)
		}
	}
	for _, clash := range after.set.Clashes(nil) {
		switch {
		case !before.asks(clash.By, clash):
			worse = append(worse, clash.Problem())
		case !before.asks(clash.First, clash):
			worse = append(worse, clash.Newcomer().Problem())
		}
	}
	for i := range after.set.Definitions {
		l := &after.set.Definitions[i]
		if !after.touches(before, l.Name) {
			continue
		}
		for j, target := range l.Sync {
			if refused := r.reach.Admit(target); refused != nil && !before.claims(l.Name, target.Place(l.Name)) {
				worse = append(worse, &definition.FileError{Path: l.Path(), Line: l.Target(j).Line, Cause: fmt.Sprintf("sync[%d]: %s", j, refused.Message)})
			}
		}
	}
	if surplus := after.set.Surplus(); surplus != nil && after.set.Count > before.set.Count {
		worse = append(worse, surplus)
	}
	slices.SortStableFunc(worse, func(a, b *definition.FileError) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return worse
}

// touches reports whether the file of a definition is another one than before.
func (v *version) touches(before *version, name definition.Name) bool {
	file := name.String() + definition.FileSuffix
	return v.files[file] != before.files[file]
}

// claims reports whether a definition has a target.
func (v *version) claims(name definition.Name, place definition.Place) bool {
	l, ok := v.set.Get(name)
	return ok && slices.ContainsFunc(l.Sync, func(t definition.Target) bool { return t.Place(name) == place })
}

// asks reports whether a definition asks for what it does in a clash: the Secret as a
// whole, some of its keys, or just those that another asks for.
func (v *version) asks(now *definition.Located, clash definition.Clash) bool {
	was, ok := v.set.Get(now.Name)
	if !ok || !v.claims(now.Name, clash.Place) || was.Shape.Merges() != now.Shape.Merges() {
		return false
	}
	for _, key := range clash.Keys {
		if !slices.ContainsFunc(was.Shape.Data, func(d definition.DataKey) bool { return d.Key == key }) {
			return false
		}
	}
	return true
}
