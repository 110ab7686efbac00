package condition

import (
	"fmt"
	"strings"
)

// MostNamed bounds the branches, commits and definitions that one sentence
// names.
const MostNamed = 10

// QuoteBranch shows the name of a branch, shortened if it is very long.
func QuoteBranch(name string) string { return fmt.Sprintf("%.100q", name) }

// Listed names some of so many things.
func Listed(some []string, all int, quote func(string) string) string {
	var b strings.Builder
	for i, one := range some[:min(len(some), MostNamed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(one))
	}
	if all > MostNamed {
		b.WriteString(" and more")
	}
	return b.String()
}
