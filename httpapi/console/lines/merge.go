package lines

import "strings"

// mostMerged bounds the lines of a text that is merged.
const mostMerged = 2000

// Merge brings two changes of one text together, line by line. What only one of them
// changed is taken from it; where both put something in at one place, both stay, theirs
// first: of two people who each add a target, neither loses his. It is false where
// both changed the same lines; then mine stands there.
func Merge(base, mine, theirs string) (merged string, clean bool) {
	b, m, t := splitLines(base), splitLines(mine), splitLines(theirs)
	if len(b) > mostMerged || len(m) > mostMerged || len(t) > mostMerged {
		return mine, false
	}
	inMine, inTheirs := matches(b, m), matches(b, t)
	clean = true
	var out []string
	i, j, k := 0, 0, 0
	for {
		// The next line that all three have ends the part that is looked at.
		next := i
		for next < len(b) && (inMine[next] < 0 || inTheirs[next] < 0) {
			next++
		}
		endM, endT := len(m), len(t)
		if next < len(b) {
			endM, endT = inMine[next], inTheirs[next]
		}
		part, ok := mergePart(b[i:next], m[j:endM], t[k:endT])
		out, clean = append(out, part...), clean && ok
		if next == len(b) {
			return strings.Join(out, ""), clean
		}
		out = append(out, b[next])
		i, j, k = next+1, endM+1, endT+1
	}
}

func mergePart(base, mine, theirs []string) ([]string, bool) {
	b, m, t := strings.Join(base, ""), strings.Join(mine, ""), strings.Join(theirs, "")
	switch {
	case m == t, t == b:
		return mine, true
	case m == b:
		return theirs, true
	case b == "":
		return append(append([]string{}, theirs...), mine...), true
	}
	return mine, false
}

// splitLines cuts a text into lines that all end with a line break.
func splitLines(text string) []string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	lines := strings.SplitAfter(text, "\n")
	return lines[:len(lines)-1]
}

// matches tells for each line of a which line of b it is, -1 for none: a longest
// common subsequence.
func matches(a, b []string) []int {
	length := make([][]int16, len(a)+1)
	for i := range length {
		length[i] = make([]int16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	of := make([]int, len(a))
	j := 0
	for i := range a {
		of[i] = -1
		for j < len(b) && a[i] != b[j] && length[i][j+1] >= length[i+1][j] {
			j++
		}
		if j < len(b) && a[i] == b[j] {
			of[i] = j
			j++
		}
	}
	return of
}
