package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

// seen is a definition that is other than it was: before is nil of one that is new,
// now of one that is gone.
type seen struct{ before, now *client.Secret }

// watch tells what changes of these definitions, or of all, until it is interrupted;
// first of all that there is. A failure that may pass is told once, and outlasted.
func (s *session) watch(names []string, interval time.Duration, tell func([]seen) error) error {
	before := map[string]*client.Secret{}
	tick := time.NewTicker(max(interval, 100*time.Millisecond))
	defer tick.Stop()
	failing := false
	for first := true; ; first = false {
		secrets, err := s.stillThere(names, first)
		switch {
		case s.ctx.Err() != nil:
			return nil // it was asked to end
		case err != nil && (first || !passing(err)):
			return err
		case err != nil && !failing:
			failing = true
			_ = s.err.Paint(terminal.Yellow, "not now: "+err.Error()+"; going on\n")
		case err == nil:
			failing = false
			changes := compareSeen(before, secrets)
			if len(changes) > 0 || first {
				if err := tell(changes); err != nil {
					return err
				}
			}
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stillThere returns the definitions of these names, or all. Later on one that is not
// there any more is no failure.
func (s *session) stillThere(names []string, first bool) ([]client.Secret, error) {
	if len(names) == 0 || first {
		return s.secrets(names)
	}
	var secrets []client.Secret
	for _, name := range names {
		secret, err := s.GetSecret(s.ctx, name, client.WaitOptions{})
		switch {
		case client.StatusOf(err) == 404:
		case err != nil:
			return nil, err
		default:
			secrets = append(secrets, *secret)
		}
	}
	return secrets, nil
}

// passing reports whether a failure may be over by itself.
func passing(err error) bool {
	status := client.StatusOf(err)
	return status == 0 || status == 429 || status >= 500
}

// compareSeen returns what differs, and notes what is there now.
func compareSeen(before map[string]*client.Secret, secrets []client.Secret) (changes []seen) {
	now := make(map[string]bool, len(secrets))
	for i := range secrets {
		secret := &secrets[i]
		now[secret.Name] = true
		was := before[secret.Name]
		if was == nil || !bytes.Equal(standing(was), standing(secret)) {
			changes = append(changes, seen{was, secret})
		}
		before[secret.Name] = secret
	}
	for name, was := range before {
		if !now[name] {
			changes = append(changes, seen{was, nil})
			delete(before, name)
		}
	}
	return changes
}

// standing is what of a definition is worth telling when it changes: all but when a
// copy was last looked at.
func standing(secret *client.Secret) []byte {
	var b bytes.Buffer
	b.WriteString(secret.ResourceVersion + secret.Status.Phase)
	for _, c := range secret.Status.Conditions {
		b.WriteString("\x00" + c.Reason + "\x00" + c.Message)
	}
	for _, t := range secret.Status.SyncStatuses {
		b.WriteString("\x00" + standingTarget(t))
	}
	return b.Bytes()
}

func standingTarget(t client.SyncStatus) string {
	version := 0
	if t.VaultVersion != nil {
		version = *t.VaultVersion
	}
	return fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%d", placeOf(t), t.State, t.Reason, t.Message, version)
}

func newEvents() *cobra.Command {
	var interval, lasts time.Duration
	var all, past bool
	cmd := &cobra.Command{
		Use:   "events [NAME...]",
		Short: "Follow what changes: definitions, phases, and the reasons of targets",
		Long: `Follow what changes in the tenant, or of the definitions that are named, until it
is interrupted: a line for each definition that is added, changed or removed, and
for each target whose state or reason becomes another. Of definitions that are named
it begins with how each stood since the server began, of which the server keeps the
last twenty changes; with --past it ends there. Who changed a definition is in
history.`,
		Example: `  secretsync events
  secretsync events db-password --past`,
		ValidArgsFunction: completeNames(0),
	}
	online(cmd, "a readonly key", func(s *session, names []string) error {
		if lasts > 0 {
			ctx, cancel := context.WithTimeout(s.ctx, lasts)
			defer cancel()
			s.ctx = ctx
		}
		if past && len(names) == 0 {
			return errors.New("--past: name the definitions; of all there is what comes from now on")
		}
		if err := s.tellPast(names); err != nil || past {
			return err
		}
		first := !all
		return s.watch(names, interval, func(changes []seen) error {
			defer func() { first = false }()
			for _, c := range changes {
				if first {
					break
				}
				for _, line := range eventsOf(c) {
					if err := s.tellEvent(s.now(), line); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
	intervalFlag(cmd, &interval)
	cmd.Flags().DurationVar(&lasts, "timeout", 0, "end after this time (default when it is interrupted)")
	cmd.Flags().BoolVar(&all, "all", false, "begin with how every target stands")
	cmd.Flags().BoolVar(&past, "past", false, "only what was")
	cmd.MarkFlagsMutuallyExclusive("all", "past")
	cmd.MarkFlagsMutuallyExclusive("timeout", "past")
	return cmd
}

// event is one line: what it is of, how that stands, and in words.
type event struct{ of, state, text string }

// tellPast tells how definitions stood, the oldest first.
func (s *session) tellPast(names []string) error {
	for _, name := range names {
		told, err := s.GetTimeline(s.ctx, name)
		if err != nil {
			return err
		}
		for _, m := range slices.Backward(told.Items) {
			if err := s.tellEvent(m.Time, event{name, m.Phase, ", " + m.Reason + ": " + m.Message}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) tellEvent(at time.Time, e event) error {
	if err := s.printf("%s  %s  ", at.UTC().Format(time.RFC3339), terminal.Line(e.of)); err != nil {
		return err
	}
	if err := s.out.Paint(styleOf(e.state), e.state); err != nil {
		return err
	}
	return s.printf("%s\n", terminal.Line(e.text))
}

// eventsOf says what is other.
func eventsOf(c seen) (events []event) {
	switch {
	case c.now == nil:
		return []event{{c.before.Name, "", "removed"}}
	case c.before == nil:
		events = append(events, event{c.now.Name, "", "added by commit " + short(c.now.ResourceVersion)})
	case c.before.ResourceVersion != c.now.ResourceVersion:
		events = append(events, event{c.now.Name, "", "changed by commit " + short(c.now.ResourceVersion)})
	}
	old := map[string]string{}
	if c.before != nil {
		for _, t := range c.before.Status.SyncStatuses {
			old[placeOf(t)] = standingTarget(t)
		}
	}
	for _, t := range c.now.Status.SyncStatuses {
		was, there := old[placeOf(t)]
		delete(old, placeOf(t))
		if there && was == standingTarget(t) {
			continue
		}
		text := ""
		if t.Reason != t.State {
			text = ", " + t.Reason
		}
		if t.Message != "" {
			text += ": " + t.Message
		}
		if t.VaultVersion != nil && t.State == "Synced" {
			text += fmt.Sprintf(", version %d of the value", *t.VaultVersion)
		}
		events = append(events, event{c.now.Name + " to " + placeOf(t), t.State, text})
	}
	if c.before != nil {
		for _, t := range c.before.Status.SyncStatuses {
			if _, gone := old[placeOf(t)]; gone {
				events = append(events, event{c.now.Name + " to " + placeOf(t), "", "no longer synced"})
			}
		}
	}
	if c.before == nil || c.before.Status.Phase != c.now.Status.Phase {
		events = append(events, event{c.now.Name, c.now.Status.Phase, ""})
	}
	return events
}
