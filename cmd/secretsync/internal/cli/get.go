package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
)

func newGet() *cobra.Command {
	var out form
	var follow bool
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "get [NAME...]",
		Short: "List definitions, or show some, with what is live of them",
		Long: `List the tenant's definitions, or show those that are named, with what is live of
them. As json and yaml it is the server's answer, whole; what comes out can be
given to apply again. status says what is wrong with one, and what to do.`,
		Example: `  secretsync get
  secretsync get db-password -o yaml
  secretsync get --watch`,
		ValidArgsFunction: completeNames(0),
	}
	online(cmd, "a readonly key", func(s *session, names []string) error {
		if follow {
			return s.watchRows(names, out, interval)
		}
		secrets, err := s.secrets(names)
		if err != nil {
			return err
		}
		return s.printSecrets(secrets, out, len(names) == 1)
	})
	formFlag(cmd, &out, formTable, formWide, formJSON, formYAML, formName)
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "go on, and show each again that changes")
	intervalFlag(cmd, &interval)
	return cmd
}

func intervalFlag(cmd *cobra.Command, into *time.Duration) {
	cmd.Flags().DurationVar(into, "interval", 2*time.Second, "how often the server is asked what changed")
}

// secrets returns the definitions of these names, or all.
func (s *session) secrets(names []string) ([]client.Secret, error) {
	if len(names) == 0 {
		return s.AllSecrets(s.ctx, false)
	}
	var secrets []client.Secret
	for _, name := range names {
		secret, err := s.GetSecret(s.ctx, name, client.WaitOptions{})
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, *secret)
	}
	return secrets, nil
}

func (s *session) printSecrets(secrets []client.Secret, out form, one bool) error {
	switch out {
	case formJSON, formYAML:
		if one {
			return s.encode(out, secrets[0].Raw)
		}
		items := make([]json.RawMessage, len(secrets))
		for i := range secrets {
			items[i] = secrets[i].Raw
		}
		return s.encodeItems(out, items)
	case formName:
		for i := range secrets {
			if err := s.printf("%s\n", terminal.Line(secrets[i].Name)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(secrets) == 0 {
		_, err := fmt.Fprintln(s.err, "There is no definition yet. Make one with: secretsync create -f FILE")
		return err
	}
	table := secretTable(out)
	for i := range secrets {
		table.Rows = append(table.Rows, s.rowOf(&secrets[i], out))
	}
	return s.out.Print(table)
}

func secretTable(out form) *terminal.Table {
	t := &terminal.Table{Header: []string{"NAME", "PHASE", "SYNCED", "PATH", "AGE"}}
	if out == formWide {
		t.Header = append(t.Header, "VERSION", "COMMIT", "REASON", "TARGETS")
	}
	return t
}

func (s *session) rowOf(secret *client.Secret, out form) []terminal.Cell {
	synced, targets, version := 0, "", "-"
	for i, t := range secret.Status.SyncStatuses {
		if t.State == "Synced" {
			synced++
		}
		if i > 0 {
			targets += ","
		}
		targets += placeOf(t)
		if t.VaultVersion != nil {
			version = fmt.Sprint(*t.VaultVersion)
		}
	}
	row := []terminal.Cell{
		{Text: secret.Name}, phaseCell(secret.Status.Phase), {Text: fmt.Sprintf("%d/%d", synced, len(secret.Status.SyncStatuses))},
		{Text: secret.SecretPath}, {Text: s.age(secret.CreatedAt)},
	}
	if out == formWide {
		reason := ""
		for _, c := range secret.Status.Conditions {
			reason = c.Reason
		}
		row = append(row, terminal.Cell{Text: version}, terminal.Cell{Text: short(secret.ResourceVersion)}, terminal.Cell{Text: reason}, terminal.Cell{Text: targets})
	}
	return row
}

// placeOf names a copy.
func placeOf(t client.SyncStatus) string {
	return t.Cluster + "/" + t.Namespace + "/" + t.SecretName
}

// watchRows shows the definitions, and each again that changes, until it is
// interrupted.
func (s *session) watchRows(names []string, out form, interval time.Duration) error {
	first := true
	return s.watch(names, interval, func(changes []seen) error {
		var secrets []client.Secret
		for _, c := range changes {
			if c.now == nil {
				if out == formTable || out == formWide {
					if err := s.printf("%s is removed\n", terminal.Line(c.before.Name)); err != nil {
						return err
					}
				}
				continue
			}
			secrets = append(secrets, *c.now)
		}
		defer func() { first = false }()
		switch out {
		case formTable, formWide:
			if first {
				return s.printSecrets(secrets, out, false)
			}
			table := secretTable(out)
			for i := range secrets {
				table.Rows = append(table.Rows, s.rowOf(&secrets[i], out))
			}
			return s.out.PrintRows(table)
		case formName:
			return s.printSecrets(secrets, out, false)
		}
		for i := range secrets { // a stream: a document each
			if out == formYAML {
				if err := s.printf("---\n"); err != nil {
					return err
				}
			}
			if err := s.encode(out, secrets[i].Raw); err != nil {
				return err
			}
		}
		return nil
	})
}
