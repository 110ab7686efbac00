package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli/terminal"
	"secretsync/httpapi/client"
	"secretsync/reconcile/fault"
)

func newStatus() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Say what is wrong, worst first, and what to do about it",
		Long: `Say at a glance how the tenant is: what is wrong first, with its cause and what to
do about it; or how the definitions are that are named, with each target. The exit
code is 0 if all is well, and 2 if something is wrong or still to be done.`,
		Example: `  secretsync status
  secretsync status db-password`,
		ValidArgsFunction: completeNames(0),
	}
	online(cmd, "a readonly key", func(s *session, names []string) error {
		r := &report{session: s, most: most, remedies: map[string]bool{}}
		if len(names) == 0 {
			return r.ofTenant()
		}
		secrets, err := s.secrets(names)
		if err != nil {
			return err
		}
		for i := range secrets {
			if err := r.ofSecret(&secrets[i], true); err != nil {
				return err
			}
		}
		return r.outcome()
	})
	cmd.Flags().IntVar(&most, "most", 20, "of how many definitions that are not well all is told; 0 is all")
	return cmd
}

// report is what status says. Each remedy is told once.
type report struct {
	*session
	most     int
	wrong    bool
	remedies map[string]bool // by reason, those that were told
}

func (r *report) outcome() error {
	if r.wrong {
		return answeredNo
	}
	return nil
}

// rank orders phases, the worst first.
func rank(phase string) int {
	if i := slices.Index([]string{"Failed", "Degraded", "Pending", "Active"}, phase); i >= 0 {
		return i
	}
	return 0
}

func (r *report) ofTenant() error {
	tenant, err := r.GetTenant(r.ctx)
	if err != nil {
		return err
	}
	clusters, err := r.ListClusters(r.ctx)
	if err != nil {
		return err
	}
	secrets, err := r.AllSecrets(r.ctx, false)
	if err != nil {
		return err
	}
	if err := r.head(tenant, clusters.Items); err != nil {
		return err
	}
	counts := map[string]int{}
	for i := range secrets {
		counts[secrets[i].Status.Phase]++
	}
	slices.SortStableFunc(secrets, func(a, b client.Secret) int { return rank(a.Status.Phase) - rank(b.Status.Phase) })
	told := 0
	for i := range secrets {
		if secrets[i].Status.Phase == "Active" {
			continue
		}
		if r.wrong = true; r.most > 0 && told >= r.most {
			continue
		}
		told++
		if err := r.ofSecret(&secrets[i], false); err != nil {
			return err
		}
	}
	if more := len(secrets) - counts["Active"] - told; more > 0 {
		if err := r.printf("and %d more that are not well (--most 0 tells of all)\n", more); err != nil {
			return err
		}
	}
	if err := r.printf("%s: %s\n", count(len(secrets), "definition"), countsOf(counts)); err != nil {
		return err
	}
	return r.outcome()
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func countsOf(counts map[string]int) string {
	var parts []string
	for _, phase := range []string{"Failed", "Degraded", "Pending", "Active"} {
		if counts[phase] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[phase], phase))
		}
	}
	return noneOr(parts)
}

// head tells how the tenant is as a whole.
func (r *report) head(tenant *client.Tenant, clusters []client.Cluster) error {
	phase := tenant.Status.Phase
	if err := r.printf("tenant %s: ", terminal.Line(tenant.Name)); err != nil {
		return err
	}
	if err := r.out.Paint(styleOf(phase), phase); err != nil {
		return err
	}
	if err := r.printf(", at commit %s\n", cmp.Or(short(tenant.ResourceVersion), "none yet")); err != nil {
		return err
	}
	r.wrong = r.wrong || phase != "Active"
	if remote := tenant.Repository; remote != nil {
		if err := r.printf("repository %s, fetched %s\n", terminal.Line(remote.URL), r.ago(remote.FetchedAt)); err != nil {
			return err
		}
		if remote.Problem != "" {
			if err := r.bad("the repository is not followed now: " + remote.Problem); err != nil {
				return err
			}
		}
	}
	for _, problem := range tenant.Status.Problems {
		if err := r.bad(problem); err != nil {
			return err
		}
	}
	for _, c := range clusters {
		if c.Status.Phase != "Running" {
			if err := r.bad("cluster " + c.Name + " is " + c.Status.Phase); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *report) bad(text string) error {
	r.wrong = true
	return r.out.Paint(terminal.Red, "! "+terminal.Line(text)+"\n")
}

// ofSecret tells how a definition is: of one that is named each target, else those
// that are not well.
func (r *report) ofSecret(secret *client.Secret, all bool) error {
	if err := r.printf("%s: ", terminal.Line(secret.Name)); err != nil {
		return err
	}
	if err := r.out.Paint(styleOf(secret.Status.Phase), secret.Status.Phase); err != nil {
		return err
	}
	if err := r.printf("\n"); err != nil {
		return err
	}
	r.wrong = r.wrong || secret.Status.Phase != "Active"
	told := false
	for _, t := range secret.Status.SyncStatuses {
		if t.State == "Synced" {
			if all {
				if err := r.ofSynced(t); err != nil {
					return err
				}
			}
			continue
		}
		told = true
		if err := r.ofTarget(placeOf(t), t.State, t.Reason, t.Message); err != nil {
			return err
		}
	}
	for _, c := range secret.Status.Conditions {
		// What is of no target, such as a file that is invalid.
		if c.Status != "True" && (!told || c.Reason == "InvalidDefinition") {
			if err := r.ofTarget("", "Error", c.Reason, c.Message); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *report) ofSynced(t client.SyncStatus) error {
	if err := r.printf("  %s: ", terminal.Line(placeOf(t))); err != nil {
		return err
	}
	if err := r.out.Paint(terminal.Green, t.State); err != nil {
		return err
	}
	version := ""
	if t.VaultVersion != nil {
		version = fmt.Sprintf(", version %d of the value", *t.VaultVersion)
	}
	return r.printf("%s, from commit %s, looked at %s\n", version, cmp.Or(short(t.Commit), "none"), r.ago(t.LastSyncTime))
}

func (r *report) ofTarget(place, state, reason, message string) error {
	if err := r.printf("  "); err != nil {
		return err
	}
	if place != "" {
		if err := r.printf("%s: ", terminal.Line(place)); err != nil {
			return err
		}
	}
	style := terminal.Red
	if state == "Pending" {
		style = terminal.Yellow
	}
	if err := r.out.Paint(style, reason); err != nil {
		return err
	}
	if message != "" {
		message = ": " + terminal.Line(message)
	}
	if err := r.printf("%s\n", message); err != nil {
		return err
	}
	if r.remedies[reason] {
		return nil
	}
	r.remedies[reason] = true
	for _, e := range fault.Explanations {
		if string(e.Reason) == reason {
			return r.printf("    What to do: %s\n", strings.ReplaceAll(e.Remedy, "`", ""))
		}
	}
	return nil
}
