package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"secretsync/gitstore/definition"
	"secretsync/httpapi/client"
)

// waitOptions is what the command line of wait says.
type waitOptions struct {
	clientFlags
	commit  string
	phase   string
	timeout time.Duration
	output  string
}

func newWait() *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "wait (--commit SHA | NAME) --url URL --tenant TENANT --key-file FILE",
		Short: "Wait until a commit is live, or a definition is synced",
		Long: `Wait until a commit is live: each target that it touches is synced by it or by a
later one, and what it removed is not synced any more. A commit that was not
noticed yet is waited for, so a pipeline can push, wait, and then deploy what
needs the Secrets. A commit that a merge brought is live with the merge.

With the name of a definition in place of a commit it waits until that has the
phase that --for names.

A readonly key suffices. The exit code is 0 if it is so, 2 if it is not in time,
with what is missing on the standard output, and 1 if that could not be found out.`,
		Example: `  secretsync wait --commit "$(git rev-parse HEAD)" --url https://secretsync.example.org --tenant acme --key-file key
  secretsync wait db-password --for Active --timeout 1m --url https://secretsync.example.org --tenant acme --key-file key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (o.commit == "") == (len(args) == 0) {
				return errors.New("say what to wait for: a commit with --commit SHA, or a definition by its name")
			}
			if o.output != "text" && o.output != "json" {
				return fmt.Errorf("--output: %q is no form of output; use text or json", o.output)
			}
			if o.timeout < 0 {
				return fmt.Errorf("--timeout: %v is in the past", o.timeout)
			}
			if o.commit != "" {
				return o.waitForCommit(cmd)
			}
			return o.waitForDefinition(cmd, args[0])
		},
	}
	o.bind(cmd, "a key")
	cmd.Flags().StringVar(&o.commit, "commit", "", "the commit to wait for, in full or by seven digits or more")
	cmd.Flags().StringVar(&o.phase, "for", "Active", "the phase to wait for: Active, Pending, Degraded or Failed")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long to wait")
	cmd.Flags().StringVar(&o.output, "output", "text", `"text" or "json", which is the server's last answer`)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"Active", "Pending", "Degraded", "Failed"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// waitedCommit is what the API tells of a commit.
type waitedCommit struct {
	SHA         string
	Live        bool
	Definitions []struct{ Targets []struct{} }
	Missing     []struct{ Path, Name, Cluster, Namespace, SecretName, Reason, Message string }
}

func (o *waitOptions) waitForCommit(cmd *cobra.Command) error {
	var commit waitedCommit
	answer, err := o.poll(cmd.Context(), "/commits/"+url.PathEscape(o.commit), "Live", func(body []byte) (bool, error) {
		commit = waitedCommit{}
		err := json.Unmarshal(body, &commit)
		return commit.Live, err
	})
	if told, ok := errors.AsType[*client.Error](err); ok && told.Status == http.StatusNotFound {
		fmt.Fprintf(cmd.OutOrStdout(), "not live: the followed branch does not have commit %s; push it, or merge it\n", o.commit)
		return &exitError{code: 2, err: errReported}
	}
	if err != nil {
		return err
	}
	return o.print(cmd, answer, commit.Live, func(out io.Writer) {
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

func (o *waitOptions) waitForDefinition(cmd *cobra.Command, name string) error {
	if _, err := definition.ParseName(name); err != nil {
		return err
	}
	if !slices.Contains([]string{"Active", "Pending", "Degraded", "Failed"}, o.phase) {
		return fmt.Errorf("--for: %q is no phase; use Active, Pending, Degraded or Failed", o.phase)
	}
	var secret struct {
		Status struct {
			Phase      string
			Conditions []struct{ Reason, Message string }
		}
	}
	answer, err := o.poll(cmd.Context(), "/secrets/"+name, o.phase, func(body []byte) (bool, error) {
		err := json.Unmarshal(body, &secret)
		return secret.Status.Phase == o.phase, err
	})
	if err != nil {
		return err
	}
	reached := secret.Status.Phase == o.phase
	return o.print(cmd, answer, reached, func(out io.Writer) {
		fmt.Fprintf(out, "%s is %s", name, secret.Status.Phase)
		for _, c := range secret.Status.Conditions {
			fmt.Fprintf(out, ": %s: %s", c.Reason, c.Message)
		}
		fmt.Fprintln(out)
	})
}

// print tells the outcome, and fails with its exit code.
func (o *waitOptions) print(cmd *cobra.Command, answer []byte, reached bool, text func(io.Writer)) error {
	if o.output == "json" {
		if _, err := cmd.OutOrStdout().Write(answer); err != nil {
			return err
		}
	} else {
		text(cmd.OutOrStdout())
	}
	if !reached {
		return &exitError{code: 2, err: errReported}
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

// poll asks for a resource, with wait, until it is as wanted or the time is over,
// and returns the last answer. Of a server that answered once, what passes by
// itself is waited out.
func (o *waitOptions) poll(ctx context.Context, path, wait string, reached func(body []byte) (bool, error)) ([]byte, error) {
	deadline := time.Now().Add(o.timeout)
	for answered := false; ; {
		left := max(0, time.Until(deadline))
		ask := min(left, longestAsk)
		body, err := o.ask(ctx, path+"?wait="+wait+"&timeout="+ask.Round(time.Millisecond).String(), ask)
		told, _ := errors.AsType[*client.Error](err)
		answered = answered || err == nil || told != nil
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			if done, err := reached(body); done || err != nil || left == ask {
				return body, err
			}
		case told != nil && told.Status == http.StatusNotFound && wait == "Live" && left > ask:
			// It may yet be pushed.
		default:
			pause, passes := passing(told, answered)
			if !passes || pause >= left {
				return nil, err
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}
}

func (o *waitOptions) ask(ctx context.Context, path string, wait time.Duration) ([]byte, error) {
	const onTheWay = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, wait+onTheWay)
	defer cancel()
	answer, err := o.Do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// passing reports whether what a request failed with may be over after a pause:
// told is the server's answer, nil if there was none.
func passing(told *client.Error, answered bool) (pause time.Duration, passes bool) {
	if told == nil {
		return pauseOfAsks, answered
	}
	switch told.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if seconds, err := strconv.Atoi(told.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			return time.Duration(seconds) * time.Second, true
		}
		return pauseOfAsks, true
	}
	return 0, false
}
