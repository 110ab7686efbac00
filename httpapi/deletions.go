package httpapi

import (
	"net/http"
	"strconv"

	"secretsync/gitstore"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/render"
	"secretsync/reconcile"
)

// DeletionKeeper knows the copies whose deletion is held because they are too many
// at once, and has just those deleted that are named to it by the id of their list.
// For another list than the one that is held, the error matches
// [gitstore.ErrConflict].
type DeletionKeeper interface {
	Deletions(gitstore.TenantName) reconcile.Deletions
	ReleaseDeletions(name gitstore.TenantName, id, by string) (reconcile.Deletions, error)
}

func (s *Server) listDeletions(x *exchange) (*answer, error) {
	d := s.cfg.Reconciler.Deletions(x.tenant.Name)
	return &answer{status: http.StatusOK, body: appendDeletions(nil, &d)}, nil
}

// releaseDeletions deletes nothing itself: that is done right after, and the answer
// says what is to go.
func (s *Server) releaseDeletions(x *exchange) (*answer, error) {
	id := x.params.ByName("id")
	x.subject, x.did = id, audit.DeletionsReleased
	d, err := s.cfg.Reconciler.ReleaseDeletions(x.tenant.Name, id, "key "+x.key.ID)
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusAccepted, body: appendDeletions(nil, &d)}, nil
}

func appendDeletions(b []byte, d *reconcile.Deletions) []byte {
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
