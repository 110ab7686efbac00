package clusters

import (
	"net/http"
	"strconv"

	"secretsync/gitstore"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/render"
	"secretsync/reconcile/sweep"
)

// DeletionKeeper knows the copies whose deletion is held because they are too many
// at once, and has just those deleted that are named to it by the id of their list.
// For another list than the one that is held, the error matches
// [gitstore.ErrConflict].
type DeletionKeeper interface {
	Deletions(gitstore.TenantName) sweep.Deletions
	ReleaseDeletions(name gitstore.TenantName, id, by string) (sweep.Deletions, error)
}

// Deletions tells those whose deletion is held.
func (c *Clusters) Deletions(x *exchange.Exchange) (*exchange.Answer, error) {
	d := c.Reconciler.Deletions(x.Tenant.Name)
	return &exchange.Answer{Status: http.StatusOK, Body: appendDeletions(nil, &d)}, nil
}

// ReleaseDeletions deletes nothing itself: that is done right after, and the answer
// says what is to go.
func (c *Clusters) ReleaseDeletions(x *exchange.Exchange) (*exchange.Answer, error) {
	id := x.Params.ByName("id")
	x.Subject, x.Did = id, audit.DeletionsReleased
	d, err := c.Reconciler.ReleaseDeletions(x.Tenant.Name, id, "key "+x.Key.ID)
	if err != nil {
		return nil, err
	}
	return &exchange.Answer{Status: http.StatusAccepted, Body: appendDeletions(nil, &d)}, nil
}

func appendDeletions(b []byte, d *sweep.Deletions) []byte {
	b = append(b, '{')
	if d.ID != "" {
		b = render.String(append(b, `"id":`...), d.ID)
		b = render.String(append(b, `,"reason":`...), d.Why)
		b = render.Time(append(b, `,"since":`...), d.Since)
		b = strconv.AppendInt(append(b, `,"allowed":`...), int64(d.Allowed), 10)
		b = append(b, ',')
	}
	b = append(b, `"held":[`...)
	for i := range d.Held {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOrphan(b, &d.Held[i])
	}
	return append(b, "]}\n"...)
}
