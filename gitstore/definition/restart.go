package definition

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const maxRestarts = 20 // workloads of one target

var restartKind = regexp.MustCompile(`^(deployment|statefulset|daemonset)/(.+)$`)

// ParseRestart parses a list of workloads, each such as deployment/web. A failure
// matches [ErrInvalid].
func ParseRestart(workloads []string) (Restart, error) {
	if len(workloads) > maxRestarts {
		return Restart{}, invalid("restart", fmt.Sprintf("has %d workloads; at most %d are allowed", len(workloads), maxRestarts))
	}
	for i, w := range workloads {
		m := restartKind.FindStringSubmatch(w)
		if m == nil || len(validation.IsDNS1123Subdomain(m[2])) > 0 {
			return Restart{}, invalid("restart", fmt.Sprintf("%s is no workload; write deployment/NAME, statefulset/NAME or daemonset/NAME", Quote(w)))
		}
		if slices.Contains(workloads[:i], w) {
			return Restart{}, invalid("restart", fmt.Sprintf("%s stands twice; remove one", Quote(w)))
		}
	}
	return Restart{text{strings.Join(workloads, " ")}}, nil
}

// Workloads are those of the list, in the order they were written.
func (r Restart) Workloads() []string { return strings.Fields(r.s) }
