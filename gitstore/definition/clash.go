package definition

import (
	"fmt"
	"slices"
	"strings"

	"secretsync/gitstore/definition/internal/spelling"
)

// Clash is that a definition asks for what another one, of a lesser name, asks for as
// well, or it itself by another name of the same cluster. Only one of the two has it: of
// two that fill a Secret as a whole the one that holds it already, else the lesser name.
//
//	                     By fills the Secret       By shares it (mode: Merge)
//	First fills it       a clash                   a clash
//	First shares it      a clash                   a clash if both ask for a key
type Clash struct {
	Place      Place // as By writes it
	By, First  *Located
	Index      int      // in By.Sync
	IndexFirst int      // in First.Sync
	Keys       []string // that both ask for, sorted, where both share the Secret; else nil
}

// Newcomer is the clash as it is told where it was First that came later.
func (c Clash) Newcomer() Clash {
	c.By, c.First, c.Index, c.IndexFirst = c.First, c.By, c.IndexFirst, c.Index
	c.Place = c.By.Sync[c.Index].Place(c.By.Name)
	return c
}

// Problem tells of the clash in the file of By.
func (c Clash) Problem() *FileError {
	at, first := c.By.Target(c.Index), c.First.Target(c.IndexFirst)
	where := c.First.Path()
	if first.Line > 0 {
		where = fmt.Sprintf("line %d of %s", first.Line, where)
	}
	return &FileError{Path: c.By.Path(), Line: at.Line, Column: at.Column, Cause: c.cause(where)}
}

// Essence is the cause that [Clash.Problem] tells, without the line in the file of First: that
// one moves when something else in the file changes.
func (c Clash) Essence() string { return c.cause(c.First.Path()) }

// cause says what clashes with what First has at a place.
func (c Clash) cause(where string) string {
	alias := ""
	if other := c.First.Sync[c.IndexFirst].Cluster; other != c.Place.Cluster {
		alias = fmt.Sprintf("%s and %s are one cluster, and ", c.Place.Cluster, other)
	}
	switch by, shared := c.By.Shape.Merges(), c.First.Shape.Merges(); {
	case c.Keys != nil:
		return fmt.Sprintf("sync[%d]: %sit asks for %s of %s, as definition %s does on %s; take it out of one of the two", c.Index, alias, namedKeys(c.Keys), c.Place, c.First.Name, where)
	case by && !shared:
		return fmt.Sprintf("sync[%d]: %sit shares %s, which definition %s fills as a whole on %s; give that one mode: Merge too, or choose another secretName", c.Index, alias, c.Place, c.First.Name, where)
	case shared && !by:
		return fmt.Sprintf("sync[%d]: %sit fills %s as a whole, which definition %s shares on %s; give this one mode: Merge too, or choose another secretName", c.Index, alias, c.Place, c.First.Name, where)
	case alias != "":
		_, secret, _ := strings.Cut(c.Place.String(), "/")
		return fmt.Sprintf("sync[%d]: %s and %s are one cluster, so Secret %s is claimed by definition %s already; remove one of the two", c.Index, c.Place.Cluster, c.First.Sync[c.IndexFirst].Cluster, secret, c.First.Name)
	}
	return fmt.Sprintf("sync[%d] claims %s, which definition %s claims on %s; remove one of the two", c.Index, c.Place, c.First.Name, where)
}

// namedKeys names some keys in words.
func namedKeys(keys []string) string {
	const most = 4
	switch more := len(keys) - most; {
	case len(keys) == 1:
		return "key " + keys[0]
	case more > 0:
		return fmt.Sprintf("keys %s and %d more", strings.Join(keys[:most], ", "), more)
	}
	return "keys " + spelling.List(keys)
}

// claim is what one target of a definition asks for.
type claim struct {
	by    *Located
	index int
}

// claimed is what the definitions before ask for of one Secret.
type claimed struct {
	whole, shared *claim            // the first that fills it, and the first that shares it
	keys          map[string]*claim // the first that asks for a key of it
}

// Clashes are all of the set, in the order of its definitions and their targets; of those
// with several others each is told that is another definition's. one gives all names of a
// cluster the same one; nil: each name is a cluster of its own.
func (s *Set) Clashes(one func(ClusterName) string) (clashes []Clash) {
	type where struct {
		cluster string
		Place
	}
	places := make(map[where]*claimed)
	for i := range s.Definitions {
		l := &s.Definitions[i]
		for j, t := range l.Sync {
			at := where{t.Cluster.String(), t.Place(l.Name)}
			if one != nil {
				at.cluster = one(t.Cluster)
			}
			place := at.Place
			at.Place.Cluster = ClusterName{}
			p := places[at]
			if p == nil {
				p = &claimed{}
				places[at] = p
			}
			p.take(&claim{l, j}, func(first *claim, keys []string) {
				clashes = append(clashes, Clash{Place: place, By: l, Index: j, First: first.by, IndexFirst: first.index, Keys: keys})
			})
		}
	}
	return clashes
}

// take takes in a claim, and tells of those before it with which it clashes.
func (p *claimed) take(c *claim, clash func(first *claim, keys []string)) {
	switch {
	case p.whole != nil:
		clash(p.whole, nil)
	case !c.by.Shape.Merges():
		if p.whole = c; p.shared != nil {
			clash(p.shared, nil)
		}
	default:
		p.share(c, clash)
	}
}

// share takes in a claim for keys.
func (p *claimed) share(c *claim, clash func(first *claim, keys []string)) {
	if p.shared == nil {
		p.shared, p.keys = c, make(map[string]*claim, len(c.by.Shape.Data))
	}
	var others []*claim
	asked := make(map[*claim][]string)
	for _, d := range c.by.Shape.Data { // which are sorted by key
		first := p.keys[d.Key]
		switch {
		case first == nil:
			p.keys[d.Key] = c
			continue
		case !slices.Contains(others, first):
			others = append(others, first)
		}
		asked[first] = append(asked[first], d.Key)
	}
	for _, first := range others {
		clash(first, asked[first])
	}
}
