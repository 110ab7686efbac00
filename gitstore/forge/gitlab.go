package forge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// gitlab is the REST API of GitLab, version 4: https://docs.gitlab.com/api/rest/
type gitlab struct {
	*api
	repo string
}

func newGitLab(a *api, at project) *gitlab {
	return &gitlab{a, "/projects/" + segment(at.path)} // groups and all, as one segment
}

func (*gitlab) limits() limits { return limits{description: 255, body: 1_000_000} }

func (*gitlab) mark(marker string) string { return htmlMark(marker) }

type gitlabStatus struct {
	State       string `json:"state"` // pending, running, success, failed, canceled
	Name        string `json:"name"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url,omitempty"`
}

var gitlabStates = map[State]string{Pending: "pending", Success: "success", Failure: "failed", Broken: "failed"}

func (g *gitlab) setStatus(ctx context.Context, commit string, _ *Pull, s Status) error {
	err := g.send(ctx, whatStatus, http.MethodPost, g.repo+"/statuses/"+commit, nil,
		gitlabStatus{gitlabStates[s.State], s.Context, s.Description, s.URL}, nil)
	// It refuses to say pending of what is pending.
	if e, ok := errors.AsType[*Error](err); ok && s.State == Pending && e.Kind == ErrRefused && strings.Contains(e.Words, "Cannot transition status") {
		return nil
	}
	return err
}

type gitlabPull struct {
	IID          int    `json:"iid"`
	Title        string `json:"title"`
	WebURL       string `json:"web_url"`
	State        string `json:"state"` // opened, closed, merged, locked
	SourceBranch string `json:"source_branch"`
	TargetBranch string `json:"target_branch"`
	Source       int64  `json:"source_project_id"`
	Target       int64  `json:"target_project_id"`
	SHA          string `json:"sha"`
	MergedAs     string `json:"merge_commit_sha"`
	SquashedAs   string `json:"squash_commit_sha"`
}

func (p *gitlabPull) pull() Pull {
	pull := Pull{
		Number: p.IID, Title: p.Title, URL: p.WebURL, State: Open,
		Head: Branch{p.SourceBranch, p.SHA}, Base: p.TargetBranch, Fork: p.Source != p.Target,
		FetchRef: "refs/merge-requests/" + strconv.Itoa(p.IID) + "/head",
	}
	switch p.State {
	case "merged":
		pull.State, pull.Merged = Merged, p.MergedAs
		if pull.Merged == "" { // without a merge commit
			if pull.Merged = p.SquashedAs; pull.Merged == "" {
				pull.Merged = p.SHA
			}
		}
	case "closed":
		pull.State = Closed
	}
	return pull
}

func gitlabPulls(list []gitlabPull) []Pull {
	pulls := make([]Pull, len(list))
	for i := range list {
		pulls[i] = list[i].pull()
	}
	return pulls
}

func (g *gitlab) pulls(ctx context.Context, number int) ([]Pull, bool, error) {
	list, more, err := page[[]gitlabPull](ctx, g.api, whatPulls, g.repo+"/merge_requests", url.Values{
		"state": {"opened"}, "order_by": {"updated_at"}, "sort": {"desc"}, "per_page": {"50"}, "page": {strconv.Itoa(number)},
	})
	return gitlabPulls(list), more, err
}

func (g *gitlab) pull(ctx context.Context, number int) (Pull, error) {
	var p gitlabPull
	err := g.send(ctx, whatPull, http.MethodGet, g.repo+"/merge_requests/"+strconv.Itoa(number), nil, nil, &p)
	if err != nil {
		return Pull{}, err
	}
	return p.pull(), nil
}

func (g *gitlab) proposed(ctx context.Context, branch, base string) (Pull, bool, error) {
	var list []gitlabPull
	err := g.send(ctx, whatPulls, http.MethodGet, g.repo+"/merge_requests", url.Values{
		"state": {"opened"}, "source_branch": {branch}, "target_branch": {base},
	}, nil, &list)
	return find(gitlabPulls(list), branch, base, err)
}

func (g *gitlab) propose(ctx context.Context, p Proposal) (Pull, error) {
	var made gitlabPull
	err := g.send(ctx, whatPropose, http.MethodPost, g.repo+"/merge_requests", nil, map[string]any{
		"title": p.Title, "description": p.Body, "source_branch": p.Branch, "target_branch": p.Base, "remove_source_branch": true,
	}, &made)
	if err != nil {
		return Pull{}, err
	}
	return made.pull(), nil
}

func (g *gitlab) close(ctx context.Context, number int) error {
	return g.send(ctx, whatClose, http.MethodPut, g.repo+"/merge_requests/"+strconv.Itoa(number), nil,
		map[string]string{"state_event": "close"}, nil)
}

type gitlabNote struct {
	ID     int64  `json:"id"`
	Body   string `json:"body"`
	Author struct {
		Username string `json:"username"`
	} `json:"author"`
}

func (g *gitlab) notes(number int) string {
	return g.repo + "/merge_requests/" + strconv.Itoa(number) + "/notes"
}

func (g *gitlab) comments(ctx context.Context, number, at int) ([]comment, bool, error) {
	list, more, err := page[[]gitlabNote](ctx, g.api, whatComments, g.notes(number),
		url.Values{"order_by": {"created_at"}, "sort": {"asc"}, "per_page": {"100"}, "page": {strconv.Itoa(at)}})
	comments := make([]comment, len(list))
	for i, n := range list {
		comments[i] = comment{strconv.FormatInt(n.ID, 10), n.Author.Username, n.Body}
	}
	return comments, more, err
}

func (g *gitlab) comment(ctx context.Context, number int, body string) (string, error) {
	var made gitlabNote
	err := g.send(ctx, whatComment, http.MethodPost, g.notes(number), nil, bodyOnly{body}, &made)
	return strconv.FormatInt(made.ID, 10), err
}

func (g *gitlab) edit(ctx context.Context, number int, id, body string) error {
	return g.send(ctx, whatComment, http.MethodPut, g.notes(number)+"/"+id, nil, bodyOnly{body}, nil)
}

func (g *gitlab) self(ctx context.Context) (string, error) {
	var user struct {
		Username string `json:"username"`
	}
	err := g.send(ctx, whatSelf, http.MethodGet, "/user", nil, nil, &user)
	return user.Username, err
}
