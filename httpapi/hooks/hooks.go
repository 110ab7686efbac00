// Package hooks takes what forges send when something happened to a tenant's
// repository, and has it looked at.
//
// It guarantees:
//   - Who has not the hook's secret moves nothing, and learns nothing: not even
//     whether there is such a hook. See [forge.Check] for how a sender shows that
//     he has it.
//   - A delivery is a hint and no more. Nothing that it says is believed but that
//     it is worth a look, so that one that is sent again, late or in another order
//     does no harm.
//   - Hints are coalesced by those who take them, and of one hook bounded: a flood of
//     them costs a look at a time, and none of another tenant's.
//   - The secret's file is read at each delivery, so that a secret that was replaced
//     counts at once.
package hooks

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"secretsync/gitstore/forge"
)

// MaxTime is how long the body of a delivery may take: GitHub sends 25 MiB at
// most, and waits for ten seconds itself.
const MaxTime = 30 * time.Second

// Of one hook so many genuine deliveries a second are taken over time, and so
// many at once. Nobody merges as often; polling is the net for what is refused.
const (
	perSecond = 5
	atOnce    = 50
)

// ErrUnreadable says that the hook's secret can't be read, which only the
// operator can mend; who sent the delivery is told [forge.ErrNotGenuine].
var ErrUnreadable = errors.New("the secret of the hook can't be read")

// TooMany says that a hook had more deliveries than are taken, and for how long
// there is none.
type TooMany struct{ Wait time.Duration }

func (*TooMany) Error() string { return "too many deliveries of this hook" }

// Hinter is told that it is worth a look. It never waits, and takes many hints
// for one.
type Hinter interface{ Hint() }

// Hook is one tenant's.
type Hook struct {
	kind       forge.Kind
	secretFile string
	repository Hinter
	pulls      Hinter
	limit      *rate.Limiter
}

// New makes the hook of a tenant. The secret's file holds the secret, and others
// on lines of their own while that is replaced. Pulls, which is told of pull
// requests, may be nil.
func New(kind forge.Kind, secretFile string, repository, pulls Hinter) *Hook {
	return &Hook{kind, secretFile, repository, pulls, rate.NewLimiter(perSecond, atOnce)}
}

// nobody stands in where there is no hook: its secret is known to nobody, and
// finding that out takes as long as with any other.
var nobody = forge.Secrets{[]byte(rand.Text())}

// Receive reads a delivery and passes on what it tells of. It may be called on
// a nil Hook. It fails with [forge.ErrNotGenuine], which is joined by
// [ErrUnreadable] if that is why; with a [*TooMany]; or as reading the body does.
func (h *Hook) Receive(r *http.Request, now time.Time) (forge.Event, error) {
	kind, secrets := forge.Generic, nobody
	var unreadable error
	if h != nil {
		kind = h.kind
		if own, err := forge.ReadSecrets(h.secretFile); err != nil {
			unreadable = fmt.Errorf("%w: %w", ErrUnreadable, err)
		} else {
			secrets = own
		}
	}
	event, err := forge.Check(kind, secrets, r.Header, r.Body, now)
	if err != nil {
		if errors.Is(err, forge.ErrNotGenuine) && unreadable != nil {
			err = errors.Join(err, unreadable)
		}
		return "", err
	}
	if !h.limit.AllowN(now, 1) {
		return "", &TooMany{time.Second}
	}
	if event == forge.EventPing || event == forge.EventOther {
		return event, nil
	}
	// A push may be to the head of a pull request, or to the branch that one is for;
	// and a merge is a push, of which some forges tell by the pull request first.
	h.repository.Hint()
	if h.pulls != nil {
		h.pulls.Hint()
	}
	return event, nil
}
