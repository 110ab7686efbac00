package edit

import (
	"bytes"
	"slices"
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// How a list is edited whose targets have lines of their own.

// item is the lines of one target.
type item struct {
	lead  string // comment lines directly above it
	body  string // from the beginning of its first line to its end
	tail  string // what follows on its last line, without the list's ','
	trail string // comment lines directly below it that are indented as its fields
	gap   string // further comment lines and blank lines up to the next target
}

// targetsOnOwnLines reports that in a list in brackets every target, and the
// closing bracket, begins a line, and every ',' stands behind its target.
func (f *file) targetsOnOwnLines() bool {
	list := f.Sync.Value
	begin := f.Offset(list)
	closing := f.End(list) - 1
	if len(f.Targets) == 0 || !f.commentOnly(begin+1) || !f.beginsLine(closing) {
		return false
	}
	for _, t := range f.Targets {
		end := f.End(t.Node)
		if rest := bytes.TrimLeft(f.Text[end:], " \t"); rest[0] == ',' {
			end = len(f.Text) - len(rest) + 1
		} else if t != f.Targets[len(f.Targets)-1] || commaIn(string(f.Text[end:closing])) >= 0 {
			return false
		}
		if !f.beginsLine(f.Offset(t.Node)) || !f.commentOnly(end) {
			return false
		}
	}
	return true
}

func (f *file) beginsLine(offset int) bool {
	return len(bytes.TrimSpace(f.Text[f.Lines[f.LineAt(offset)-1]:offset])) == 0
}

// commentOnly reports that nothing but a comment follows on the line.
func (f *file) commentOnly(offset int) bool {
	rest := bytes.TrimSpace(f.Text[offset:f.LineEnd(f.LineAt(offset))])
	return len(rest) == 0 || rest[0] == '#'
}

// editLines edits a list whose targets have lines of their own.
func (f *file) editLines(sync []definition.Target) []byte {
	list := f.Sync.Value
	flow := yamltext.InFlow(list)
	first, last, head, items := f.items()
	sep := separator(items)
	if sep != "" {
		for i := range items {
			items[i].gap = ""
		}
	}
	var out strings.Builder
	count := 0
	for _, piece := range f.arrange(sync, head, items) {
		if piece.item == nil && piece.lines == "" {
			continue
		}
		if sep != "" && out.Len() > len(head) {
			out.WriteString(sep)
		}
		out.WriteString(piece.lines)
		it := piece.item
		if it == nil {
			continue
		}
		out.WriteString(it.lead + it.body)
		if count++; flow && (count < len(sync) || f.trailingComma()) {
			out.WriteString(",")
		}
		out.WriteString(it.tail + f.EOLIfNone(it.tail) + f.Broken(it.trail))
	}
	noBreak := last == len(f.Lines) // the list ends the file, without a line break
	text := out.String()
	if noBreak {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	}
	from, to := f.Lines[first-1], len(f.Text)
	if !noBreak {
		to = f.Lines[last]
	}
	switch {
	case len(sync) > 0:
		return yamltext.Splice(f.Text, yamltext.Replace(from, to, text))
	case flow && strings.TrimSpace(text) == "" && len(bytes.TrimSpace(f.Text[f.Offset(list)+1:from])) == 0 &&
		len(bytes.TrimSpace(f.Text[to:f.End(list)-1])) == 0:
		return yamltext.Splice(f.Text, yamltext.Replace(f.Offset(list), f.End(list), "[]"))
	case flow:
		return yamltext.Splice(f.Text, yamltext.Replace(from, to, text))
	}
	colon, _ := f.Colon(f.Sync.Key)
	if noBreak && text == "" {
		// The line break before the list goes: the file ended without one.
		from = len(bytes.TrimRight(f.Text[:from], "\r\n"))
	}
	return yamltext.Splice(f.Text, yamltext.Replace(colon+1, colon+1, " []"), yamltext.Replace(from, to, text))
}

// trailingComma reports that a ',' follows the last target too.
func (f *file) trailingComma() bool {
	rest := bytes.TrimSpace(f.Text[f.End(f.Targets[len(f.Targets)-1].Node):])
	return rest[0] == ','
}

// items takes the list apart: lines first to last hold head, comment and blank
// lines above the first target, and then the items.
func (f *file) items() (first, last int, head string, items []item) {
	list := f.Sync.Value
	flow := yamltext.InFlow(list)
	first = f.Sync.Key.Line + 1
	if flow {
		first = f.LineAt(f.Offset(list)) + 1
	}
	// between splits the lines from a to b into those that belong to the
	// target above, those that stand alone, and those of the target below.
	between := func(a, b int) (trail, gap, lead string) {
		for a < b && !flow && f.CommentColumn(a) > list.Column {
			trail += f.FullLine(a)
			a++
		}
		cut := b
		for cut > a && f.CommentColumn(cut-1) > 0 && (flow || f.CommentColumn(cut-1) >= list.Column) {
			cut--
		}
		for ; a < b; a++ {
			if a < cut {
				gap += f.FullLine(a)
			} else {
				lead += f.FullLine(a)
			}
		}
		return trail, gap, lead
	}
	next := first
	items = make([]item, len(f.Targets))
	for i, t := range f.Targets {
		dash := f.itemLine(i)
		if i == 0 {
			trail, gap, lead := between(next, dash)
			if gap == "" {
				trail, lead = "", trail+lead
			}
			head, items[0].lead = trail+gap, lead
		} else {
			items[i-1].trail, items[i-1].gap, items[i].lead = between(next, dash)
		}
		end := f.End(t.Node)
		line := f.LineAt(end)
		items[i].body = string(f.Text[f.Lines[dash-1]:end])
		items[i].tail = f.FullLine(line)[end-f.Lines[line-1]:]
		if rest, ok := strings.CutPrefix(strings.TrimLeft(items[i].tail, " \t"), ","); flow && ok {
			items[i].tail = rest
		}
		next = line + 1
	}
	for !flow && next <= len(f.Lines) && f.CommentColumn(next) > list.Column {
		items[len(items)-1].trail += f.FullLine(next)
		next++
	}
	return first, next - 1, head, items
}

// itemLine returns the line on which a target begins, with its '-' if it has one.
func (f *file) itemLine(i int) int {
	line := f.LineAt(f.Offset(f.Targets[i].Node))
	if yamltext.InFlow(f.Sync.Value) {
		return line
	}
	for !strings.HasPrefix(string(f.Line(line)[min(f.Sync.Value.Column-1, len(f.Line(line))):]), "-") {
		line--
	}
	return line
}

// piece is an item or lines that hold no target.
type piece struct {
	lines string
	item  *item
}

// arrange lays out the items of sync. The longest run of targets that keep
// their order stays where it is; the others move round it.
//
// A worked example. The file holds, with a comment above each target, and the
// list is to become D B A:
//
//	the file    the list     from      stay       what is laid out, in order
//	0 # a, A    D            -1        –          D, a new target, written like its neighbours
//	1 # b, B    B             1        yes        # b, B (A's place is passed: it leaves nothing there)
//	2 # c, C    A             0        no         # a, A, moved with its comment
//	                                              # c: C is gone, what people wrote above it is not
//
// from says where in the file a target of the list stands, -1 nowhere; stay
// marks the longest rising run of those numbers. A target that stays is laid out
// in its place among the blank lines and comments between targets; before it
// comes what the targets passed on the way leave behind. One that moves takes
// its own comments along and leaves the gap below it where it was. A new target
// that most likely is another version of one that goes (see predecessor) is
// written over that one, so that its comments stay with it.
func (f *file) arrange(sync []definition.Target, head string, items []item) []piece {
	was := make(map[definition.Target]int, len(items)) // target → index in the file
	for i, t := range f.Definition.Sync {
		was[t] = i
	}
	from := make([]int, len(sync)) // index in sync → index in the file, or -1
	kept := make([]bool, len(items))
	for j, t := range sync {
		from[j] = -1
		if i, ok := was[t]; ok {
			from[j], kept[i] = i, true
		}
	}
	begin := func(i int) int { return f.Lines[f.itemLine(i)-1] }

	pieces := []piece{{lines: head}}
	done := 0        // the file's items before this one are laid out
	var rest []piece // what they leave behind, unless more targets come first
	// pass lays out what remains of the items up to i, which are gone from here.
	pass := func(i int) {
		for ; done < i; done++ {
			if !kept[done] {
				rest = append(rest, piece{lines: f.Broken(items[done].lead) + f.Broken(items[done].trail)})
			}
			rest = append(rest, piece{lines: items[done].gap})
		}
		pieces, rest = append(pieces, rest...), nil
	}
	stay := rising(from)
	for j, t := range sync {
		if i := from[j]; i >= 0 && !stay[j] {
			pieces = append(pieces, piece{item: &items[i]})
			continue
		}
		i, it := from[j], item{}
		if i >= 0 {
			it = items[i]
		} else if i = f.predecessor(t, done, j, from, stay, kept); i >= 0 {
			it = items[i]
			it.body, it.tail = f.changed(i, begin(i), strings.TrimRight(it.tail, "\r\n"), t)
		} else {
			pieces = append(pieces, piece{item: &item{body: f.newItem(t, begin)}})
			continue
		}
		pass(i)
		pieces = append(pieces, piece{item: &it})
		rest, done = []piece{{lines: it.gap}}, i+1
	}
	pass(len(items))
	return pieces
}

// separator returns the blank lines that part the targets, if all are parted so.
func separator(items []item) string {
	if len(items) < 2 {
		return ""
	}
	for _, it := range items[:len(items)-1] {
		if it.gap == "" || strings.TrimSpace(it.gap) != "" {
			return ""
		}
	}
	return items[0].gap
}

// predecessor returns which target of the file t, the j-th of the list, most
// likely is a new version of: of those that go away between the last one laid
// out and the next one that stays, one with the same cluster or namespace. -1
// is none.
func (f *file) predecessor(t definition.Target, done, j int, from []int, stay, kept []bool) int {
	next := len(kept)
	if k := slices.Index(stay[j:], true); k >= 0 {
		next = from[j+k]
	}
	best, most := -1, 0
	for i := done; i < next; i++ {
		old, score := f.Definition.Sync[i], 0
		if old.Cluster == t.Cluster {
			score++
		}
		if old.Namespace == t.Namespace {
			score++
		}
		if !kept[i] && score > most && alike(old, t) {
			best, most = i, score
		}
	}
	return best
}

// rising marks a longest strictly rising subsequence of the numbers that are
// not negative.
func rising(numbers []int) []bool {
	length, previous := make([]int, len(numbers)), make([]int, len(numbers))
	end := -1
	for j, n := range numbers {
		previous[j] = -1
		if n < 0 {
			continue
		}
		length[j] = 1
		for k := range j {
			if numbers[k] >= 0 && numbers[k] < n && length[k] >= length[j] {
				length[j], previous[j] = length[k]+1, k
			}
		}
		if end < 0 || length[j] > length[end] {
			end = j
		}
	}
	marked := make([]bool, len(numbers))
	for ; end >= 0; end = previous[end] {
		marked[end] = true
	}
	return marked
}
