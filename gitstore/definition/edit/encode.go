package edit

import (
	"strings"

	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/internal/yamltext"
)

// Encode writes a new definition's file.
func Encode(d definition.Definition) []byte {
	var b strings.Builder
	b.WriteString("name: " + yamltext.Scalar(d.Name.String()) + "\n")
	b.WriteString("secretPath: " + yamltext.Scalar(d.SecretPath.String()) + "\n")
	for _, line := range linesOf(shapePairs(d.Shape, yamltext.Quoted)) {
		b.WriteString(line + "\n")
	}
	if len(d.Sync) == 0 {
		b.WriteString("sync: []\n")
		return []byte(b.String())
	}
	b.WriteString("sync:\n")
	for _, t := range d.Sync {
		for i, line := range linesOf(targetPairs(t, yamltext.Quoted)) {
			b.WriteString(map[bool]string{true: "  - ", false: "    "}[i == 0] + line + "\n")
		}
	}
	return []byte(b.String())
}
