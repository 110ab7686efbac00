package index

import (
	"container/heap"
	"fmt"
	"slices"

	"secretsync/gitstore/catalog"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/internal/budget"
	"secretsync/gitstore/internal/gitdir"
	"secretsync/gitstore/internal/gitdir/object"
)

// A tenant is allowed so many definitions, however they come. Of a tree with
// more, those with the lesser names are served; the rest is one problem, with
// their number. What is served thus depends on the tree alone, and a walk keeps
// nothing of a million names but those few.
//
// As long as a tree has no more names than that, of whatever kind, there is
// nothing to choose, and a walk does without a census.

// census is what is served of a tree.
type census struct {
	served   map[string]bool // by file
	surplus  int             // definitions that are not served
	problems []definition.FileError
}

// takeCensus goes through the names of the tree secrets/ of which at most most
// are served.
func takeCensus(r *gitdir.Reader, secrets object.Tree, most int) (*census, error) {
	definitions, others := lesser[string]{most: most}, lesser[definition.FileError]{most: most}
	for rest := secrets; len(rest) > 0; {
		e, after, err := rest.Next()
		if err == nil {
			err = r.Spend(budget.PerName)
		}
		if err != nil {
			return nil, err
		}
		rest = after
		file := string(e.Name)
		if name, problem := definition.NameOfFile(file, e.Mode); problem != nil {
			others.add(problem.Path+"\x00"+file, *problem)
		} else {
			definitions.add(name.String(), file)
		}
	}
	c := &census{served: make(map[string]bool, len(definitions.kept)), surplus: definitions.left}
	for _, file := range definitions.kept {
		c.served[file] = true
	}
	for _, problem := range others.kept {
		c.problems = append(c.problems, problem)
	}
	if c.surplus > 0 {
		c.problems = append(c.problems, *definition.SurplusProblem(len(c.served)+c.surplus, most))
	}
	if others.left > 0 {
		c.problems = append(c.problems, definition.FileError{
			Path: definition.Folder + "/", Cause: fmt.Sprintf("holds %d more files that are no definitions; move them elsewhere", others.left),
		})
	}
	sortByPath(c.problems)
	return c, nil
}

// lesser keeps the values with the lesser keys, so many of them.
type lesser[T any] struct {
	most int
	keys greatestFirst
	kept map[string]T
	left int // that are not kept
}

func (l *lesser[T]) add(key string, value T) {
	if len(l.keys) == l.most && key > l.keys[0] { // as it is for nearly all in a sorted tree
		l.left++
		return
	}
	if _, twice := l.kept[key]; twice {
		return
	}
	if l.kept == nil {
		l.kept = make(map[string]T)
	}
	l.kept[key] = value
	heap.Push(&l.keys, key)
	if len(l.keys) > l.most {
		delete(l.kept, heap.Pop(&l.keys).(string))
		l.left++
	}
}

// greatestFirst is a heap.
type greatestFirst []string

func (g greatestFirst) Len() int           { return len(g) }
func (g greatestFirst) Less(i, j int) bool { return g[i] > g[j] }
func (g greatestFirst) Swap(i, j int)      { g[i], g[j] = g[j], g[i] }
func (g *greatestFirst) Push(key any)      { *g = append(*g, key.(string)) }

func (g *greatestFirst) Pop() any {
	last := (*g)[len(*g)-1]
	*g = slices.Delete(*g, len(*g)-1, len(*g))
	return last
}

// crowded reports whether the tree of a snapshot may have more names than most.
func crowded(s *catalog.Snapshot, most int) bool { return len(s.Entries())+len(s.Problems()) > most }
