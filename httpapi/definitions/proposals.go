package definitions

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"secretsync/gitstore"
	"secretsync/gitstore/forge"
	"secretsync/gitstore/operation"
	"secretsync/httpapi/audit"
	"secretsync/httpapi/exchange"
	"secretsync/httpapi/problem"
	"secretsync/httpapi/render"
	"secretsync/reconcile/proposal"
)

// proposes reports whether a write is to become a pull request: if the request asks
// for it, or the tenant's repository is written to in no other way.
func proposes(x *exchange.Exchange) (bool, error) {
	t := x.Tenant
	asked := false
	if x.Request.URL.RawQuery != "" {
		query, err := x.Query()
		if err != nil {
			return false, err
		}
		if values, ok := query["propose"]; ok {
			switch {
			case len(values) == 1 && values[0] == "true":
				asked = true
			case len(values) != 1 || values[0] != "false":
				return false, problem.BadRequest("propose", "must be true or false, once")
			case t.ProposeOnly:
				return false, &problem.Problem{Status: http.StatusConflict, Sentence: fmt.Sprintf("the writes of tenant %s are proposals: leave propose=false out, or have the operator set repository.write to direct", t.Name)}
			}
		}
	}
	if !asked && !t.ProposeOnly {
		return false, nil
	}
	if t.Proposals == nil {
		return false, &problem.Problem{Status: http.StatusConflict, Sentence: fmt.Sprintf("the repository of tenant %s is on no forge where a pull request could be opened: write without propose, or have the operator set repository.url and repository.forge", t.Name)}
	}
	return true, nil
}

// propose has a write be a pull request, and answers with that; nil where nothing had
// to be changed.
func propose(x *exchange.Exchange, how operation.Handling, operations []operation.Operation) ([]operation.Written, *exchange.Answer, error) {
	p, written, err := x.Tenant.Proposals.Propose(x.Request.Context(), x.Attribution(), how, operations...)
	if err != nil || p == nil {
		return written, nil, err
	}
	x.Branch, x.Did = p.Branch, audit.Proposed
	var warnings []string
	for _, w := range written {
		for _, claim := range w.Held {
			warnings = append(warnings, fmt.Sprintf("target %s of %s: definition %s holds this target", claim.Place, w.Name, claim.Holder))
		}
	}
	b := append(appendProposal([]byte(`{"proposal":`), p), "}\n"...)
	return nil, &exchange.Answer{Status: http.StatusAccepted, Warnings: warnings, Body: b}, nil
}

// Proposals tells what became of writes that were proposed.
func (d *Definitions) Proposals(x *exchange.Exchange) (*exchange.Answer, error) {
	b := []byte(`{"items":[`)
	if x.Tenant.Proposals == nil {
		return &exchange.Answer{Status: http.StatusOK, Body: append(b, "]}\n"...)}, nil
	}
	list, failing, err := x.Tenant.Proposals.List(x.Request.Context())
	if err != nil {
		return nil, err
	}
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendProposal(b, &list[i])
	}
	b = append(b, ']')
	if failing != nil {
		b = render.String(append(b, `,"problem":`...), problemWithForge(failing))
	}
	return &exchange.Answer{Status: http.StatusOK, Body: append(b, "}\n"...)}, nil
}

// problemWithForge says in words of ours why it is not known what became of proposals:
// the error's own name the operator's network.
func problemWithForge(err error) string {
	for _, kind := range []error{forge.ErrDenied, forge.ErrNotFound, forge.ErrRefused, forge.ErrThrottled, forge.ErrUnavailable} {
		if errors.Is(err, kind) {
			return kind.Error() + "; what is told is as of before"
		}
	}
	return "branches of proposals that have ended can't be removed now"
}

func appendProposal(b []byte, p *proposal.Proposal) []byte {
	b = strconv.AppendInt(append(b, `{"number":`...), int64(p.Number), 10)
	b = render.String(append(b, `,"title":`...), p.Title)
	b = render.String(append(b, `,"url":`...), p.URL)
	b = render.String(append(b, `,"state":`...), string(p.State))
	b = render.String(append(b, `,"branch":`...), p.Branch)
	b = render.String(append(b, `,"commit":`...), p.Commit)
	b = append(b, `,"mergedAs":`...)
	if p.Merged == "" {
		b = append(b, "null"...)
	} else {
		b = render.String(b, p.Merged)
	}
	b = append(b, `,"proposedBy":`...)
	if p.Author == (gitstore.Author{}) {
		b = append(b, "null"...) // by another server
	} else {
		b = render.String(append(b, `{"name":`...), p.Author.Name)
		b = append(render.String(append(b, `,"id":`...), p.Author.ID), '}')
	}
	b = append(b, `,"proposedAt":`...)
	if p.At.IsZero() {
		b = append(b, "null"...)
	} else {
		b = render.Time(b, p.At)
	}
	return append(b, '}')
}
