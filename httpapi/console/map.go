package console

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The map is three columns: paths of the vault, definitions, and namespaces in their
// clusters. It is laid out here, so that it is the same without script, and every
// definition is a link, so that it can be gone through with the keyboard.
const (
	definitionsOfMap = 40
	mapWidth         = 1160
	nodeHeight       = 30
	nodeGap          = 10
	headHeight       = 34
)

// The columns, by their left edge and width.
var columns = [3]struct{ X, W int }{{0, 320}, {420, 280}, {800, 360}}

type mapPage struct {
	Query         string
	Width, Height int
	Paths         []*node
	Definitions   []*node
	Places        []*node
	Heads         []*node // the clusters' names
	Rows          []*secret
	From, To, All int
	Prev, Next    string
}

type node struct {
	X, Y, W, H int
	Text       string // cut to fit
	Whole      string
	Phase      string
	Link       string
	Label      string // for who can't see the lines
	Edges      []edge
	Failing    bool
}

// edge is a line as SVG has it.
type edge struct{ D, State string }

func (v *visit) showMap(w http.ResponseWriter) error {
	all, err := v.list()
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	found := slices.Clone(search(all, query.Get("q")))
	slices.SortStableFunc(found, func(a, b *secret) int { return strings.Compare(a.SecretPath, b.SecretPath) })
	p := mapPage{Query: query.Get("q"), All: len(found)}
	number, _ := strconv.Atoi(query.Get("page"))
	number = max(0, min(number, (len(found)-1)/definitionsOfMap))
	begin := min(number*definitionsOfMap, len(found))
	end := min(begin+definitionsOfMap, len(found))
	p.From, p.To, p.Rows = begin+1, end, found[begin:end]
	if number > 0 {
		p.Prev = mapLink(p.Query, number-1)
	}
	if end < len(found) {
		p.Next = mapLink(p.Query, number+1)
	}
	p.lay()
	return v.render(w, "map", "Map", p)
}

func mapLink(query string, number int) string {
	values := url.Values{"q": {query}, "page": {strconv.Itoa(number)}}
	return "/console/map?" + values.Encode()
}

// places are where a definition is synced: as its statuses have it, which resolve
// what the file leaves open.
func (s *secret) places() []targetStatus {
	if len(s.Status.SyncStatuses) > 0 {
		return s.Status.SyncStatuses
	}
	var places []targetStatus
	for _, t := range s.Sync {
		places = append(places, targetStatus{Cluster: t.Cluster, Namespace: t.Namespace, SecretName: t.SecretName})
	}
	return places
}

// Paths are where its copies are made of: its own path first, then the others that its
// copies tell of.
func (s *secret) Paths() []string {
	all := []string{s.SecretPath}
	for _, t := range s.Status.SyncStatuses {
		for _, path := range slices.Sorted(maps.Keys(t.VaultVersions)) {
			if !slices.Contains(all, path) {
				all = append(all, path)
			}
		}
	}
	return all
}

// lay puts everything in its place.
func (p *mapPage) lay() {
	paths := map[string]*node{}
	places := map[[2]string]*node{}
	byCluster := map[string][]string{}
	var clusters []string
	for _, s := range p.Rows {
		for _, path := range s.Paths() {
			if paths[path] != nil {
				continue
			}
			n := newNode(0, path, 40)
			n.Y = headHeight + len(p.Paths)*(nodeHeight+nodeGap)
			n.Link = "/console/map?" + url.Values{"q": {path}}.Encode()
			paths[path] = n
			p.Paths = append(p.Paths, n)
		}
		for _, t := range s.places() {
			if byCluster[t.Cluster] == nil {
				clusters = append(clusters, t.Cluster)
			}
			if !slices.Contains(byCluster[t.Cluster], t.Namespace) {
				byCluster[t.Cluster] = append(byCluster[t.Cluster], t.Namespace)
			}
		}
	}
	slices.Sort(clusters)
	y := 0
	for _, name := range clusters {
		head := newNode(2, name, 44)
		head.Y = y
		p.Heads = append(p.Heads, head)
		y += headHeight
		slices.Sort(byCluster[name])
		for _, namespace := range byCluster[name] {
			n := newNode(2, namespace, 44)
			n.Y, n.Link = y, "/console/map?"+url.Values{"q": {name + " " + namespace}}.Encode()
			n.Label = fmt.Sprintf("namespace %s of cluster %s", namespace, name)
			places[[2]string{name, namespace}] = n
			p.Places = append(p.Places, n)
			y += nodeHeight + nodeGap
		}
		y += nodeGap
	}
	for i, s := range p.Rows {
		n := newNode(1, s.Name, 34)
		n.Y, n.Phase, n.Link = headHeight+i*(nodeHeight+nodeGap), s.Status.Phase, definitionLink(s.Name)
		for _, path := range s.Paths() {
			n.Edges = append(n.Edges, edgeBetween(paths[path], n, "Synced"))
		}
		var to []string
		for _, t := range s.places() {
			n.Edges = append(n.Edges, edgeBetween(n, places[[2]string{t.Cluster, t.Namespace}], t.State))
			to = append(to, t.Cluster+"/"+t.Namespace)
		}
		n.Label = fmt.Sprintf("%s, %s: from %s to %s", s.Name, s.Status.Phase, strings.Join(s.Paths(), ", "), strings.Join(to, ", "))
		if len(to) == 0 {
			n.Label = fmt.Sprintf("%s: from %s to nowhere", s.Name, s.SecretPath)
		}
		p.Definitions = append(p.Definitions, n)
	}
	p.Width = mapWidth
	p.Height = max(y, headHeight+max(len(p.Paths), len(p.Definitions))*(nodeHeight+nodeGap))
}

// newNode makes one in a column, with as much of its text as has room.
func newNode(column int, text string, most int) *node {
	n := &node{X: columns[column].X, W: columns[column].W, H: nodeHeight, Text: text, Whole: text}
	if r := []rune(text); len(r) > most {
		n.Text = string(r[:most/2]) + "…" + string(r[len(r)-most/2+1:])
	}
	return n
}

func edgeBetween(from, to *node, state string) edge {
	x1, y1 := from.X+from.W, from.Y+from.H/2
	x2, y2 := to.X, to.Y+to.H/2
	bend := (x2 - x1) / 2
	return edge{D: fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2), State: state}
}
