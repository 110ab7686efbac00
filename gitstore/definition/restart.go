package definition

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
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

// restart reads a target's list of workloads.
func (p *parser) restart(e entry, where string) Restart {
	what := join(where, "restart")
	if !p.undecorated(e.value, what) {
		return Restart{}
	}
	if e.value.Kind != yaml.SequenceNode || len(e.value.Content) == 0 {
		p.fail(e.value, "%s must be a list of workloads such as [deployment/web], not %s", what, kindOf(e.value))
		return Restart{}
	}
	before := p.failed()
	workloads := make([]string, len(e.value.Content))
	for i, n := range e.value.Content {
		workloads[i] = parseText(p, n, "", fmt.Sprintf("%s[%d]", what, i), entry{n, n}, func(t string) (string, error) { return t, nil })
	}
	if p.failed() > before {
		return Restart{}
	}
	r, err := ParseRestart(workloads)
	if err != nil {
		p.fail(e.value, "%s: %s", what, reason(err))
	}
	return r
}
