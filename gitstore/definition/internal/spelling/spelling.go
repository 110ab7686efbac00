// Package spelling tells people of words: which of a few they most likely meant, and
// which there are.
package spelling

import (
	"strings"
)

// Meant returns which of the words was meant by one that is none of them, or "".
func Meant(word string, words []string) string {
	for _, w := range words {
		if strings.EqualFold(w, wordMarks.Replace(word)) || distance(w, word) <= 2 {
			return w
		}
	}
	return ""
}

var wordMarks = strings.NewReplacer("-", "", "_", "", " ", "")

// distance returns how many letters have to be put in, taken out or replaced
// to get from a to b. It is 3 for whatever is far apart by length alone.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// List writes two words or more as a sentence lists them: a, b and c.
func List(words []string) string {
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
