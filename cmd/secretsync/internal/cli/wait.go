package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/place"
	"secretsync/httpapi/client"
)

// phases are those of a definition.
var phases = []string{"Active", "Pending", "Degraded", "Failed"}

// waiting is what the command line of wait says.
type waiting struct {
	*session
	commit  string
	phase   string
	timeout time.Duration
	output  string
}

func newWait() *cobra.Command {
	var w waiting
	var at place.Flags
	cmd := &cobra.Command{
		Use:   "wait (--commit SHA | NAME)",
		Short: "Wait until a commit is live, or a definition is synced",
		Long: `Wait until a commit is live: each target that it touches is synced by it or by a
later one, and what it removed is not synced any more. A commit that was not
noticed yet is waited for, so a pipeline can push, wait, and then deploy what
needs the Secrets. A commit that a merge brought is live with the merge.

With the name of a definition in place of a commit it waits until that has the
phase that --for names.

A readonly key suffices. The exit code is 0 if it is so, 2 if it is not in time,
with what is missing on the standard output, and 1 if that could not be found out.`,
		Example: `  secretsync wait --commit "$(git rev-parse HEAD)"
  secretsync wait db-password --for Active --timeout 1m`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeNames(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (w.commit == "") == (len(args) == 0):
				return errors.New("say what to wait for: a commit with --commit SHA, or a definition by its name")
			case w.output != "text" && w.output != "json":
				return fmt.Errorf("--output: %q is no form of output; use text or json", w.output)
			case w.timeout < 0:
				return fmt.Errorf("--timeout: %v is in the past", w.timeout)
			case !slices.Contains(phases, w.phase):
				return fmt.Errorf("--for: %q is no phase; use Active, Pending, Degraded or Failed", w.phase)
			}
			c, err := at.Client()
			if err != nil {
				return err
			}
			w.session = newSession(cmd)
			w.Client = c
			if w.commit != "" {
				return w.forCommit()
			}
			return w.forDefinition(args[0])
		},
	}
	at.Bind(cmd, "a readonly key")
	cmd.Flags().StringVar(&w.commit, "commit", "", "the commit to wait for, in full or by seven digits or more")
	cmd.Flags().StringVar(&w.phase, "for", "Active", "the phase to wait for: Active, Pending, Degraded or Failed")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 5*time.Minute, "how long to wait")
	cmd.Flags().StringVarP(&w.output, "output", "o", "text", `"text" or "json", which is the server's last answer`)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(phases, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (w *waiting) forCommit() error {
	var commit *client.CommitStatus
	err := w.poll(true, func(ctx context.Context, patience time.Duration) (bool, error) {
		told, err := w.GetCommit(ctx, w.commit, client.WaitOptions{For: "Live", Timeout: patience})
		if err != nil {
			return false, err
		}
		commit = told
		return told.Live, nil
	})
	if isNotFound(err) {
		if err := w.printf("not live: the followed branch does not have commit %s; push it, or merge it\n", w.commit); err != nil {
			return err
		}
		return answeredNo
	}
	if err != nil {
		return err
	}
	return w.print(commit.Raw, commit.Live, func(out io.Writer) {
		if commit.Live {
			targets := 0
			for _, d := range commit.Definitions {
				targets += len(d.Targets)
			}
			fmt.Fprintf(out, "live: commit %s: %d definitions, %d targets\n", commit.SHA, len(commit.Definitions), targets)
			return
		}
		fmt.Fprintf(out, "not live: commit %s: %d missing\n", commit.SHA, len(commit.Missing))
		for _, m := range commit.Missing {
			what := m.Path
			if m.Cluster != "" {
				what = fmt.Sprintf("%s to %s/%s/%s", m.Name, m.Cluster, m.Namespace, m.SecretName)
			}
			fmt.Fprintf(out, "  %s: %s: %s\n", what, m.Reason, m.Message)
		}
	})
}

func (w *waiting) forDefinition(name string) error {
	var secret *client.Secret
	err := w.poll(false, func(ctx context.Context, patience time.Duration) (bool, error) {
		told, err := w.GetSecret(ctx, name, client.WaitOptions{For: w.phase, Timeout: patience})
		if err != nil {
			return false, err
		}
		secret = told
		return told.Status.Phase == w.phase, nil
	})
	if err != nil {
		return err
	}
	return w.print(secret.Raw, secret.Status.Phase == w.phase, func(out io.Writer) {
		fmt.Fprintf(out, "%s is %s", name, secret.Status.Phase)
		for _, c := range secret.Status.Conditions {
			fmt.Fprintf(out, ": %s: %s", c.Reason, c.Message)
		}
		fmt.Fprintln(out)
	})
}

// print tells the outcome, and fails with its exit code.
func (w *waiting) print(answer json.RawMessage, reached bool, text func(io.Writer)) error {
	if w.output == "json" {
		if err := w.printf("%s\n", answer); err != nil {
			return err
		}
	} else {
		text(w.out)
	}
	if !reached {
		return answeredNo
	}
	return nil
}

const (
	// longestAsk is how long one request waits: many a proxy ends those that are
	// silent for a minute.
	longestAsk = 50 * time.Second
	// pauseOfAsks is how long to leave a server alone that can't answer now and
	// does not say how long.
	pauseOfAsks = 2 * time.Second
)

// poll asks, with patience, until it is as wanted or the time is over. Of a server that
// answered once, what passes by itself is waited out; one that has never answered fails
// at once, since it may not be there at all. A commit that is not there may yet be
// pushed.
func (w *waiting) poll(ofCommit bool, ask func(ctx context.Context, patience time.Duration) (reached bool, err error)) error {
	w.Patience = -1 // it is this function that asks again
	deadline := time.Now().Add(w.timeout)
	for answered := false; ; {
		left := max(0, time.Until(deadline))
		patience := min(left, longestAsk)
		reached, err := w.askOnce(patience, ask)
		told, _ := errors.AsType[*client.Error](err)
		answered = answered || err == nil || told != nil
		switch {
		case w.ctx.Err() != nil:
			return w.ctx.Err()
		case err == nil:
			if reached || left == patience {
				return nil
			}
		case told != nil && told.Status == http.StatusNotFound && ofCommit && left > patience:
			// It may yet be pushed.
		default:
			pause, passes := pauseAfter(told, answered)
			if !passes || pause >= left {
				return err
			}
			select {
			case <-time.After(pause):
			case <-w.ctx.Done():
			}
		}
	}
}

func (w *waiting) askOnce(patience time.Duration, ask func(context.Context, time.Duration) (bool, error)) (bool, error) {
	const onTheWay = 20 * time.Second
	ctx, cancel := context.WithTimeout(w.ctx, patience+onTheWay)
	defer cancel()
	return ask(ctx, patience)
}

// pauseAfter reports whether what a request failed with may be over after a pause:
// told is the server's answer, nil if there was none.
func pauseAfter(told *client.Error, answered bool) (pause time.Duration, passes bool) {
	if told == nil {
		return pauseOfAsks, answered
	}
	switch told.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if pause, ok := client.RetryAfter(told.Header, time.Now()); ok {
			return pause, true
		}
		return pauseOfAsks, true
	}
	return 0, false
}
