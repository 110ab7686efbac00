package forge

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// github is the REST API of GitHub, version 2022-11-28:
// https://docs.github.com/en/rest
type github struct {
	*api
	owner string
	repo  string // path of the repository's own resources
}

func newGitHub(a *api, at project) (*github, error) {
	owner, name, err := at.ownerAndName()
	if err != nil {
		return nil, err
	}
	a.header = map[string]string{"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
	return &github{a, owner, "/repos/" + segment(owner) + "/" + segment(name)}, nil
}

func (*github) limits() limits { return limits{description: 140, body: 65536} }

func (*github) mark(marker string) string { return htmlMark(marker) }

// htmlMark is a comment of HTML, which Markdown keeps from readers' eyes.
func htmlMark(marker string) string { return "<!-- secretsync: " + marker + " -->" }

// hubStatus is a status as GitHub and Gitea take it.
type hubStatus struct {
	State       State  `json:"state"`
	Context     string `json:"context"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url,omitempty"`
}

func (g *github) setStatus(ctx context.Context, commit string, _ *Pull, s Status) error {
	return g.send(ctx, whatStatus, http.MethodPost, g.repo+"/statuses/"+commit, nil,
		hubStatus{s.State, s.Context, s.Description, s.URL}, nil)
}

// What is done, as errors say it.
const (
	whatStatus   = "set a commit status"
	whatPulls    = "list the pull requests"
	whatPull     = "read a pull request"
	whatPropose  = "open a pull request"
	whatClose    = "close a pull request"
	whatComments = "list the comments of a pull request"
	whatComment  = "comment on a pull request"
	whatSelf     = "ask who the token is"
)

// hubPull is a pull request as GitHub and Gitea tell it.
type hubPull struct {
	Number   int        `json:"number"`
	Title    string     `json:"title"`
	HTMLURL  string     `json:"html_url"`
	State    string     `json:"state"` // open or closed
	Merged   *time.Time `json:"merged_at"`
	MergedAs string     `json:"merge_commit_sha"` // before the merge, of a trial
	Head     hubBranch  `json:"head"`
	Base     hubBranch  `json:"base"`
}

type hubBranch struct {
	Ref  string `json:"ref"`
	SHA  string `json:"sha"`
	Repo *struct {
		FullName string `json:"full_name"`
	} `json:"repo"` // nil: it was deleted
}

func (p *hubPull) pull() Pull {
	pull := Pull{
		Number: p.Number, Title: p.Title, URL: p.HTMLURL, State: Open,
		Head: Branch{p.Head.Ref, p.Head.SHA}, Base: p.Base.Ref,
		Fork:     p.Head.Repo == nil || p.Base.Repo == nil || p.Head.Repo.FullName != p.Base.Repo.FullName,
		FetchRef: "refs/pull/" + strconv.Itoa(p.Number) + "/head",
	}
	switch {
	case p.Merged != nil:
		pull.State, pull.Merged = Merged, p.MergedAs
	case p.State != "open":
		pull.State = Closed
	}
	return pull
}

func hubPulls(list []hubPull) []Pull {
	pulls := make([]Pull, len(list))
	for i := range list {
		pulls[i] = list[i].pull()
	}
	return pulls
}

func (g *github) pulls(ctx context.Context, number int) ([]Pull, bool, error) {
	list, more, err := page[[]hubPull](ctx, g.api, whatPulls, g.repo+"/pulls", url.Values{
		"state": {"open"}, "sort": {"updated"}, "direction": {"desc"}, "per_page": {"50"}, "page": {strconv.Itoa(number)},
	})
	return hubPulls(list), more, err
}

func (g *github) pull(ctx context.Context, number int) (Pull, error) {
	var p hubPull
	err := g.send(ctx, whatPull, http.MethodGet, g.repo+"/pulls/"+strconv.Itoa(number), nil, nil, &p)
	if err != nil {
		return Pull{}, err
	}
	return p.pull(), nil
}

func (g *github) proposed(ctx context.Context, branch, base string) (Pull, bool, error) {
	var list []hubPull
	err := g.send(ctx, whatPulls, http.MethodGet, g.repo+"/pulls", url.Values{
		"state": {"open"}, "head": {g.owner + ":" + branch}, "base": {base},
	}, nil, &list)
	return find(hubPulls(list), branch, base, err)
}

// find picks the open pull request of a branch of this repository. Of two that were
// opened at the same instant, as Gitea lets happen, it is the first: the other is about
// to be closed by who opened it.
func find(pulls []Pull, branch, base string, err error) (found Pull, ok bool, _ error) {
	if err != nil {
		return Pull{}, false, err
	}
	for _, p := range pulls {
		if p.State == Open && !p.Fork && p.Head.Name == branch && p.Base == base && (!ok || p.Number < found.Number) {
			found, ok = p, true
		}
	}
	return found, ok, nil
}

// hubProposal is a new pull request as GitHub and Gitea take it.
type hubProposal struct {
	Title string `json:"title"`
	Body  string `json:"body"`
	Head  string `json:"head"`
	Base  string `json:"base"`
}

func (g *github) propose(ctx context.Context, p Proposal) (Pull, error) {
	var made hubPull
	err := g.send(ctx, whatPropose, http.MethodPost, g.repo+"/pulls", nil, hubProposal{p.Title, p.Body, p.Branch, p.Base}, &made)
	if err != nil {
		return Pull{}, err
	}
	return made.pull(), nil
}

// stateChange is how a pull request is closed on GitHub and Gitea.
type stateChange struct {
	State string `json:"state"`
}

func (g *github) close(ctx context.Context, number int) error {
	return g.send(ctx, whatClose, http.MethodPatch, g.repo+"/pulls/"+strconv.Itoa(number), nil, stateChange{"closed"}, nil)
}

// hubComment is a comment as GitHub and Gitea tell it.
type hubComment struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
	User struct {
		Login string `json:"login"`
	} `json:"user"`
}

func hubComments(list []hubComment) []comment {
	comments := make([]comment, len(list))
	for i, c := range list {
		comments[i] = comment{strconv.FormatInt(c.ID, 10), c.User.Login, c.Body}
	}
	return comments
}

// bodyOnly is a comment as GitHub, Gitea and GitLab take it.
type bodyOnly struct {
	Body string `json:"body"`
}

func (g *github) comments(ctx context.Context, number, at int) ([]comment, bool, error) {
	list, more, err := page[[]hubComment](ctx, g.api, whatComments, g.repo+"/issues/"+strconv.Itoa(number)+"/comments",
		url.Values{"per_page": {"100"}, "page": {strconv.Itoa(at)}})
	return hubComments(list), more, err
}

func (g *github) comment(ctx context.Context, number int, body string) (string, error) {
	var made hubComment
	err := g.send(ctx, whatComment, http.MethodPost, g.repo+"/issues/"+strconv.Itoa(number)+"/comments", nil, bodyOnly{body}, &made)
	return strconv.FormatInt(made.ID, 10), err
}

func (g *github) edit(ctx context.Context, _ int, id, body string) error {
	return g.send(ctx, whatComment, http.MethodPatch, g.repo+"/issues/comments/"+id, nil, bodyOnly{body}, nil)
}

func (g *github) self(ctx context.Context) (string, error) {
	var user struct {
		Login string `json:"login"`
	}
	err := g.send(ctx, whatSelf, http.MethodGet, "/user", nil, nil, &user)
	return user.Login, err
}
