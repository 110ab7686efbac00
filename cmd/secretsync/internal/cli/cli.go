// Package cli owns the commands that speak to a running server: what people and
// pipelines see of the API on a command line. It makes no decisions of the server's;
// definitions pass through it whole, and what is wrong with one the server says.
//
// Where the server is and what key it is shown: see [place.Flags]. What is printed goes
// through [terminal.Writer], so that no text of others acts on a terminal. The results
// are on the standard output; warnings, progress and errors on the other one.
//
// How a command ends:
//
//	code  meaning
//	0     it is so, or done
//	1     it failed in another way than those below, or it was called wrongly
//	2     the answer is no: something differs, something is wrong, or it is not so in time
//	3     something else stands there: it exists already, or was changed meanwhile
//	4     there is no such thing
//	5     the key is not accepted, or does not allow it
//	6     not now: the server can't be reached or can't do it at this moment
//
// wait and plan, which are older, know 0, 1 and 2 alone.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/place"
	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

// ErrReported marks a failure whose cause stands on the output already; it only sets
// the exit code.
var ErrReported = errors.New("reported already")

// Exit is a failure with an exit code of its own.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string { return e.Err.Error() }

// Unwrap returns the failure.
func (e *Exit) Unwrap() error { return e.Err }

// answeredNo is the failure of a command that did what it should, and whose answer is
// no. It stands on the output already.
var answeredNo = &Exit{2, ErrReported}

// Groups of commands, as the help shows them.
const (
	GroupDefinitions = "definitions"
	GroupTenant      = "tenant"
	GroupPlace       = "place"
)

// AddTo adds the commands, and their groups, to the root.
func AddTo(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: GroupDefinitions, Title: "Definitions:"},
		&cobra.Group{ID: GroupTenant, Title: "The tenant:"},
		&cobra.Group{ID: GroupPlace, Title: "Which server, and as whom:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add(GroupDefinitions, newGet(), newCreate(), newEdit(), newApply(), newDiff(), newAddTarget(), newRemoveTarget(), newDelete(),
		newSync(), newWait(), newHistory(), newRevert())
	add(GroupTenant, newStatus(), newEvents(), newClusters(), newKeys(), newOrphans(), newDeletions(), newProposals())
	add(GroupPlace, newLogin(), newLogout(), newContext())
}

// session is one run of a command: the server, and the streams.
type session struct {
	*client.Client
	ctx      context.Context
	in       io.Reader
	out, err *terminal.Writer
	now      func() time.Time
}

// online makes a command one that speaks to a server. role is what its key must be
// allowed, such as "an admin key".
func online(cmd *cobra.Command, role string, run func(s *session, args []string) error) *cobra.Command {
	at := new(place.Flags)
	at.Bind(cmd, role)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := at.Client()
		if err != nil {
			return err
		}
		s := newSession(cmd)
		s.Client = c
		if terminal.IsTerminal(cmd.ErrOrStderr()) {
			c.Waiting = func(err error, pause time.Duration) {
				_ = s.err.Paint(terminal.Faint, fmt.Sprintf("%v; once more in %v\n", err, pause.Round(100*time.Millisecond)))
			}
		}
		return s.ended(run(s, args))
	}
	return cmd
}

func newSession(cmd *cobra.Command) *session {
	return &session{
		ctx: cmd.Context(), in: cmd.InOrStdin(),
		out: terminal.NewWriter(cmd.OutOrStdout()), err: terminal.NewWriter(cmd.ErrOrStderr()), now: time.Now,
	}
}

// ended gives a failure its exit code, and says what to do where the server's words
// don't.
func (s *session) ended(err error) error {
	if err == nil {
		return nil
	}
	if _, has := errors.AsType[*Exit](err); has || errors.Is(err, ErrReported) {
		return err
	}
	switch status := client.StatusOf(err); {
	case status == http.StatusUnauthorized:
		return &Exit{5, fmt.Errorf("%w; if the key has ended or was revoked, log in with another one: secretsync login", err)}
	case status == http.StatusForbidden:
		return &Exit{5, err}
	case status == http.StatusNotFound:
		return &Exit{4, err}
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return &Exit{3, err}
	case status == http.StatusTooManyRequests, status >= 500:
		return &Exit{6, err}
	case status != 0:
		return err
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
		return &Exit{6, fmt.Errorf("%s can't be reached: %w; is it the right address (secretsync context list), and does the server run?", s.URL, failed)}
	}
	if _, ok := errors.AsType[*url.Error](err); ok && s.ctx.Err() == nil {
		return &Exit{6, err}
	}
	return err
}

// printf writes to the standard output.
func (s *session) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(s.out, format, args...)
	return err
}

// warn writes the server's warnings.
func (s *session) warn(warnings []string) {
	for _, text := range warnings {
		_ = s.err.Paint(terminal.Yellow, "warning: "+text+"\n")
	}
}

// tellProposal says where a change waits for somebody to merge it.
func (s *session) tellProposal(p *client.Proposal) error {
	return s.printf("proposed on branch %s: %s\nIt is in force once somebody merges it.\n", p.Branch, p.URL)
}

// read returns what a file holds; - is the standard input.
func (s *session) read(path string) ([]byte, error) {
	const most = 8 << 20
	in := s.in
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && len(content) > most {
		err = fmt.Errorf("%s is over %d MiB; definitions are shorter", path, most>>20)
	}
	return content, err
}

// etagOf returns the ETag of a definition as it was read.
func etagOf(secret *client.Secret) string { return `"` + secret.ResourceVersion + `"` }

// object makes a JSON object of fields.
func object(fields map[string]json.RawMessage) json.RawMessage {
	encoded, err := json.Marshal(fields)
	if err != nil {
		panic(err) // each was JSON when it came
	}
	return encoded
}
