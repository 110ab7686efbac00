package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/httpapi/client"
)

// target is one as the command line says it: CLUSTER/NAMESPACE or
// CLUSTER/NAMESPACE/SECRET.
type target struct{ cluster, namespace, secret string }

func parseTarget(s string) (target, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return target{}, fmt.Errorf("%q is no target; write CLUSTER/NAMESPACE, or CLUSTER/NAMESPACE/SECRET", s)
	}
	return target{parts[0], parts[1], strings.Join(parts[2:], "")}, nil
}

func (t target) String() string {
	return strings.TrimSuffix(t.cluster+"/"+t.namespace+"/"+t.secret, "/")
}

// is reports whether a target of a definition of that name is meant.
func (t target) is(of client.Target, name string) bool {
	if t.cluster != of.Cluster || t.namespace != of.Namespace {
		return false
	}
	stands := of.SecretName
	if stands == "" {
		stands = name
	}
	return t.secret == "" || t.secret == stands
}

// rawTargets returns a definition's targets, each as the server said it, beside what is
// known of it here.
func rawTargets(secret *client.Secret) ([]json.RawMessage, error) {
	var whole struct{ Sync []json.RawMessage }
	if err := json.Unmarshal(secret.Raw, &whole); err != nil {
		return nil, err
	}
	if len(whole.Sync) != len(secret.Sync) {
		return nil, errors.New("the targets are not what this version of the program expects")
	}
	return whole.Sync, nil
}

// retarget changes the targets of a definition, whoever else changes it meanwhile.
func (s *session) retarget(name string, how *writeFlags, change func(secret *client.Secret, raw []json.RawMessage) ([]json.RawMessage, error)) error {
	made, err := s.again(name, func(stands *client.Secret) (*client.Change, error) {
		raw, err := rawTargets(stands)
		if err != nil {
			return nil, err
		}
		if raw, err = change(stands, raw); err != nil {
			return nil, err
		}
		if raw == nil {
			raw = []json.RawMessage{}
		}
		targets, err := json.Marshal(raw)
		if err != nil {
			return nil, err
		}
		return s.PatchSecret(s.ctx, name, object(map[string]json.RawMessage{"sync": targets}), how.options(etagOf(stands)))
	})
	if err != nil {
		return err
	}
	return s.tellChange(name, "is changed", made)
}

func newAddTarget() *cobra.Command {
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "add-target NAME CLUSTER/NAMESPACE[/SECRET]...",
		Short: "Have a definition synced to more places",
		Long: `Have a definition synced to more places, as a commit. The Secret bears the
definition's name where no other is said.`,
		Example: `  secretsync add-target db-password production/backend
  secretsync add-target db-password staging/backend/database-credentials`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: completeTargets,
	}
	online(cmd, "an admin key", func(s *session, args []string) error {
		return s.retarget(args[0], &how, func(_ *client.Secret, raw []json.RawMessage) ([]json.RawMessage, error) {
			for _, arg := range args[1:] {
				t, err := parseTarget(arg)
				if err != nil {
					return nil, err
				}
				fields := map[string]string{"cluster": t.cluster, "namespace": t.namespace}
				if t.secret != "" {
					fields["secretName"] = t.secret
				}
				encoded, err := json.Marshal(fields)
				if err != nil {
					return nil, err
				}
				raw = append(raw, encoded)
			}
			return raw, nil
		})
	})
	how.bind(cmd)
	return cmd
}

func newRemoveTarget() *cobra.Command {
	var how writeFlags
	cmd := &cobra.Command{
		Use:   "remove-target NAME CLUSTER/NAMESPACE[/SECRET]...",
		Short: "Have a definition no longer synced to places",
		Long: `Have a definition no longer synced to places, as a commit. The Secrets stay there,
unless the definition says otherwise (deletionPolicy).`,
		Example:           `  secretsync remove-target db-password production/backend`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: completeTargets,
	}
	online(cmd, "an admin key", func(s *session, args []string) error {
		return s.retarget(args[0], &how, func(secret *client.Secret, raw []json.RawMessage) ([]json.RawMessage, error) {
			gone := make([]bool, len(raw))
			for _, arg := range args[1:] {
				t, err := parseTarget(arg)
				if err != nil {
					return nil, err
				}
				found := false
				var places []string
				for i, of := range secret.Sync {
					places = append(places, target{of.Cluster, of.Namespace, of.SecretName}.String())
					if t.is(of, secret.Name) {
						gone[i], found = true, true
					}
				}
				if !found {
					return nil, &Exit{4, fmt.Errorf("%s has no target %s; it has %s", secret.Name, t, noneOr(places))}
				}
			}
			var kept []json.RawMessage
			for i := range raw {
				if !gone[i] {
					kept = append(kept, raw[i])
				}
			}
			return kept, nil
		})
	})
	how.bind(cmd)
	return cmd
}

func noneOr(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
