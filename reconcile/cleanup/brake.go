package cleanup

import (
	"fmt"
	"strconv"
	"time"
)

// Window is how far back the brake counts.
const Window = 10 * time.Minute

// Brake is how much of a tenant may go by itself within [Window].
type Brake struct {
	Copies int     // at most so many copies; 0: none
	Share  float64 // at most so many of a hundred of all copies of the tenant
}

// DefaultBrake is in force where nothing else is said.
var DefaultBrake = Brake{Copies: 10, Share: 20}

// spared is up to how many copies the share does not count: a tenant with two must
// be able to remove one.
const spared = 3

// Holds says in words why the brake holds so many copies, of all that a tenant has;
// empty: it does not.
func (b Brake) Holds(going, all int) string {
	switch {
	case going == 0:
		return ""
	case b.Copies == 0:
		return "no copy is deleted before somebody releases it"
	case going > b.Copies:
		return fmt.Sprintf("%d copies would be deleted within %d minutes, and %d are allowed", going, int(Window.Minutes()), b.Copies)
	case going > spared && float64(going)*100 > b.Share*float64(all):
		return fmt.Sprintf("%d of %d copies would be deleted within %d minutes, and %s %% are allowed",
			going, all, int(Window.Minutes()), strconv.FormatFloat(b.Share, 'f', -1, 64))
	}
	return ""
}
