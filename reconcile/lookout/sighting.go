package lookout

import (
	"sync"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
	"secretsync/reconcile/plan"
)

// Sighting is what was found; it is a plan.Live.
type Sighting struct {
	Unlooked int // paths that were not looked up

	mu        sync.Mutex // of those who look
	standings map[string]plan.Standing
	values    map[string]plan.Value
	unfit     map[definition.Name]*fault.Fault
}

func (s *Sighting) stands(step *plan.Step, standing plan.Standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standings[sought(step.Place(), step.Shares)] = standing
}

// Standing is what stands in a place, if somebody looked.
func (s *Sighting) Standing(p definition.Place, shares definition.Name) (plan.Standing, bool) {
	standing, ok := s.standings[sought(p.String(), shares)]
	return standing, ok
}

// sought tells one definition's share of a Secret from all of it.
func sought(place string, shares definition.Name) string {
	if shares == (definition.Name{}) {
		return place
	}
	return place + "#" + shares.String()
}

// Value is what the vault has at a path, if it was asked.
func (s *Sighting) Value(p definition.SecretPath) (plan.Value, bool) {
	v, ok := s.values[p.String()]
	return v, ok
}

// Unfit is why no copy can be made for a definition of the values as they are.
func (s *Sighting) Unfit(n definition.Name) *fault.Fault { return s.unfit[n] }
