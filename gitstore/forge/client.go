package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// A State is how what a status is about stands.
type State string

// The states. A forge that has one of Failure and Broken shows it for both.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure" // what was looked at is wrong
	Broken  State = "error"   // it could not be looked at
)

// A Status says of a commit how something stands. A later one of the same context
// takes its place.
type Status struct {
	State       State
	Context     string // who says it: "secretsync/plan"; of one context there is one status
	Description string // one line; what is too long for the forge is cut
	URL         string // where more is told; Bitbucket needs one
}

// A Pull is a pull request, which GitLab calls a merge request.
type Pull struct {
	Number int
	Title  string // as somebody wrote it
	URL    string // for a browser
	State  PullState
	Head   Branch // what is proposed
	Base   string // the branch it is proposed for
	Fork   bool   // the head lies in another repository

	// FetchRef is the ref of this repository that brings Head.Commit along when
	// it is fetched, perhaps as an ancestor: "refs/pull/7/head". Empty: there is
	// none, as with forks on Bitbucket.
	FetchRef string
	// Merged is the commit that brought it into Base; empty before, and where the
	// forge does not tell.
	Merged string
}

// A Branch is a branch and where it stands.
type Branch struct {
	Name   string // without refs/heads/
	Commit string // in full
}

// PullState is how far a pull request is.
type PullState string

// The states of a pull request.
const (
	Open   PullState = "open"
	Merged PullState = "merged"
	Closed PullState = "closed" // without having been merged
)

// A Proposal asks for a branch to be merged.
type Proposal struct {
	Title  string
	Body   string // Markdown
	Branch string // a branch of this repository, which is there already
	Base   string
}

// Config says which repository on which forge.
type Config struct {
	Kind        Kind
	Repository  string // its address, as Git takes it
	URL         string // of the forge's API or of its pages; empty: known from Kind and Repository
	Credentials Credentials
	Insecure    bool              // plain http to other hosts than this one is allowed
	Transport   http.RoundTripper // nil: a connection of its own, without a proxy
	Timeout     time.Duration     // of one request; 0: 15 s
	Clock       clock.PassiveClock
}

const (
	defaultTimeout = 15 * time.Second
	// maxPulls and maxComments bound what is read of a list.
	maxPulls    = 500
	maxComments = 1000
	// maxRemembered bounds what a client remembers to save requests.
	maxRemembered = 1000
)

// A Client is one repository on one forge. It is safe for concurrent use.
type Client struct {
	api     *api
	dialect dialect

	mu       sync.Mutex
	statuses map[statusKey]Status  // those that were sent, the last of each
	comments map[commentKey]string // ids of those that are ours
	self     *string               // who the token is; nil: not asked yet
}

type (
	statusKey struct {
		commit, context string
		pull            int // 0: of the commit
	}
	commentKey struct {
		pull   int
		marker string
	}
)

// dialect is what each forge does its own way. Lists come in pages, counted from
// 1; more says that there is a further one.
type dialect interface {
	setStatus(ctx context.Context, commit string, pull *Pull, s Status) error
	pulls(ctx context.Context, page int) (pulls []Pull, more bool, err error)
	pull(ctx context.Context, number int) (Pull, error)
	// proposed finds the open pull request of a branch; false: there is none.
	proposed(ctx context.Context, branch, base string) (Pull, bool, error)
	propose(ctx context.Context, p Proposal) (Pull, error)
	close(ctx context.Context, number int) error
	comments(ctx context.Context, number, page int) (comments []comment, more bool, err error)
	comment(ctx context.Context, number int, body string) (id string, err error)
	edit(ctx context.Context, number int, id, body string) error
	self(ctx context.Context) (string, error)
	// mark hides a marker in a comment.
	mark(marker string) string
	limits() limits
}

// limits are how many characters a forge takes.
type limits struct{ description, body int }

type comment struct{ id, author, body string }

// New makes a client. Nothing is sent yet.
func New(c Config) (*Client, error) {
	at, err := parseProject(c.Repository)
	if err != nil {
		return nil, fmt.Errorf("forge: the repository %w", err)
	}
	if c.Credentials == nil {
		return nil, errors.New("forge: Config.Credentials is missing")
	}
	base, at, err := apiBase(c, at)
	if err != nil {
		return nil, fmt.Errorf("forge: %w", err)
	}
	a := newAPI(c, base)
	client := &Client{api: a, statuses: map[statusKey]Status{}, comments: map[commentKey]string{}}
	switch c.Kind {
	case GitHub:
		client.dialect, err = newGitHub(a, at)
	case GitLab:
		client.dialect = newGitLab(a, at)
	case Gitea, Forgejo:
		client.dialect, err = newGitea(a, at)
	case Bitbucket:
		client.dialect, err = newBitbucket(a, at)
	case Azure:
		client.dialect, err = newAzure(a, at)
	default:
		return nil, fmt.Errorf("forge: %q has no API", c.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("forge: %w", err)
	}
	return client, nil
}

// SetStatus says how something stands on a commit. One that this client sent
// already is not sent again: GitHub takes a thousand of a commit and a context.
func (c *Client) SetStatus(ctx context.Context, commit string, s Status) error {
	return c.setStatus(ctx, statusKey{commit: commit, context: s.Context}, nil, s)
}

// SetPullStatus says how something stands on the head of a pull request, so that
// a forge can demand it before a merge. It is a commit status but on Azure
// DevOps, whose policies look at those of the pull request alone.
func (c *Client) SetPullStatus(ctx context.Context, p Pull, s Status) error {
	return c.setStatus(ctx, statusKey{p.Head.Commit, s.Context, p.Number}, &p, s)
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func (c *Client) setStatus(ctx context.Context, key statusKey, p *Pull, s Status) error {
	if !commitID.MatchString(key.commit) {
		return fmt.Errorf("forge: %.80q is no commit", key.commit)
	}
	s.Description = cut(clean(s.Description), c.dialect.limits().description)
	c.mu.Lock()
	last, sent := c.statuses[key]
	c.mu.Unlock()
	if sent && last == s {
		return nil
	}
	if err := c.dialect.setStatus(ctx, key.commit, p, s); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.statuses, key, s)
	return nil
}

// remember keeps a map from growing: what is forgotten costs a request.
func remember[K comparable, V any](m map[K]V, key K, value V) {
	if len(m) >= maxRemembered {
		clear(m)
	}
	m[key] = value
}

// OpenPulls lists the open pull requests, those that changed last first. Of more
// than 500 the others are left out. While nothing changed most forges answer
// without telling it all again, which GitHub does not count against the limit.
func (c *Client) OpenPulls(ctx context.Context) ([]Pull, error) {
	var all []Pull
	for page := 1; ; page++ {
		pulls, more, err := c.dialect.pulls(ctx, page)
		if err != nil {
			return nil, err
		}
		if all = append(all, pulls...); len(all) >= maxPulls || !more {
			return all[:min(len(all), maxPulls)], nil
		}
	}
}

// Pull returns a pull request as it is now.
func (c *Client) Pull(ctx context.Context, number int) (Pull, error) {
	return c.dialect.pull(ctx, number)
}

// Propose asks for a branch to be merged and returns the pull request. The same
// proposal once more is the same pull request, however it was worded, as long as
// that is open.
func (c *Client) Propose(ctx context.Context, p Proposal) (Pull, error) {
	found, ok, err := c.dialect.proposed(ctx, p.Branch, p.Base)
	if ok || err != nil {
		return found, err
	}
	p.Body = cut(p.Body, c.dialect.limits().body)
	made, err := c.dialect.propose(ctx, p)
	if !errors.Is(err, ErrRefused) {
		return made, err
	}
	// Somebody else may have been faster; then it is there now.
	if found, ok, findErr := c.dialect.proposed(ctx, p.Branch, p.Base); findErr == nil && ok {
		return found, nil
	}
	return Pull{}, err
}

// Proposed returns the open pull request that asks for a branch of this repository to
// be merged into another; false: there is none.
func (c *Client) Proposed(ctx context.Context, branch, base string) (Pull, bool, error) {
	return c.dialect.proposed(ctx, branch, base)
}

// Close closes a pull request without merging it. The branch stays.
func (c *Client) Close(ctx context.Context, number int) error { return c.dialect.close(ctx, number) }

var markerForm = regexp.MustCompile(`^[a-z0-9][a-z0-9/_.-]{0,99}$`)

// Comment has one comment on a pull request say what markdown says. It is known
// again by the marker, a short word such as "secretsync/plan" that readers don't
// see, and by being the token's own. One that says so already is left alone.
// What is too long for the forge is cut.
func (c *Client) Comment(ctx context.Context, number int, marker, markdown string) error {
	if !markerForm.MatchString(marker) {
		return fmt.Errorf("forge: %.80q is no marker; use lower case letters, digits, '/', '_', '.' and '-'", marker)
	}
	mark := c.dialect.mark(marker)
	body := cut(mark+"\n"+markdown, c.dialect.limits().body)
	key := commentKey{number, marker}
	c.mu.Lock()
	id := c.comments[key]
	c.mu.Unlock()
	if id != "" {
		err := c.dialect.edit(ctx, number, id, body)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		// Somebody deleted it.
	}
	found, err := c.ownComment(ctx, number, mark)
	switch {
	case err != nil:
		return err
	case found == nil:
		id, err = c.dialect.comment(ctx, number, body)
	case sameText(found.body, body):
		id = found.id
	default:
		id, err = found.id, c.dialect.edit(ctx, number, found.id, body)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.comments, key, id)
	return nil
}

// ownComment finds the comment that begins with a mark; nil: there is none. Who
// can comment can write a mark, so one that somebody else wrote does not count,
// where the forge tells who the token is.
func (c *Client) ownComment(ctx context.Context, number int, mark string) (*comment, error) {
	self, err := c.whoAmI(ctx)
	if err != nil {
		return nil, err
	}
	for page, seen := 1, 0; seen < maxComments; page++ {
		comments, more, err := c.dialect.comments(ctx, number, page)
		if err != nil {
			return nil, err
		}
		for _, found := range comments {
			if startsWith(found.body, mark) && (self == "" || found.author == self) {
				return &found, nil
			}
		}
		if seen += len(comments); !more {
			break
		}
	}
	return nil, nil
}

// whoAmI asks once who the token is; "" if the token may not know: those that open
// one repository often may not.
func (c *Client) whoAmI(ctx context.Context) (string, error) {
	c.mu.Lock()
	known := c.self
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	self, err := "", error(nil)
	if named, ok := c.api.credentials.(interface {
		login(context.Context) (string, error)
	}); ok {
		self, err = named.login(ctx)
	} else {
		self, err = c.dialect.self(ctx)
	}
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrNotFound) {
		self, err = "", nil
	}
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = &self
	return self, nil
}
