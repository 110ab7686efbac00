package condition

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Pauses are those between attempts at something that fails: ever longer, up to
// most.
func Pauses(most time.Duration) wait.Backoff {
	return wait.Backoff{Duration: most / 16, Factor: 2, Cap: most, Steps: math.MaxInt}
}
