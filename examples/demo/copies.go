package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// copyAt is where a Secret stands.
type copyAt struct{ cluster, namespace, name string }

func (at copyAt) String() string { return at.cluster + "/" + at.namespace + "/" + at.name }

// awaitCopies returns when all of the Secrets have that password, and no other keys than they should.
func (d *demo) awaitCopies(ctx context.Context, password string, copies ...copyAt) error {
	for _, at := range copies {
		seen := "it is not there"
		err := await(ctx, func(ctx context.Context) (bool, error) {
			secrets := d.stack.Cluster(at.cluster).Admin.CoreV1().Secrets(at.namespace)
			found, err := secrets.Get(ctx, at.name, meta.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			seen = fmt.Sprintf("it has the keys %v, not the values wanted", slices.Sorted(maps.Keys(found.Data)))
			return len(found.Data) == 2 && len(found.Data["username"]) > 0 && string(found.Data["password"]) == password, nil
		})
		if err != nil {
			return fmt.Errorf("%s: %s: %w", at, seen, err)
		}
		fmt.Printf("%s is right\n", at)
	}
	return nil
}

// spoil overwrites the password of a copy, as somebody with kubectl might.
func (d *demo) spoil(ctx context.Context, at copyAt) error {
	secrets := d.stack.Cluster(at.cluster).Admin.CoreV1().Secrets(at.namespace)
	found, err := secrets.Get(ctx, at.name, meta.GetOptions{})
	if err != nil {
		return err
	}
	found.Data["password"] = []byte("guessed")
	_, err = secrets.Update(ctx, found, meta.UpdateOptions{})
	return err
}

// showSecrets prints the copies of each cluster with masked values.
func (d *demo) showSecrets(ctx context.Context) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLUSTER\tNAMESPACE\tSECRET\tDATA\tVAULT VERSION\tCOMMIT")
	count := 0
	for _, cluster := range d.stack.Clusters() {
		secrets, err := cluster.Admin.CoreV1().Secrets("").List(ctx, meta.ListOptions{LabelSelector: "secretsync.dev/tenant=" + tenant})
		if err != nil {
			return err
		}
		for _, s := range secrets.Items {
			count++
			var data []string
			for _, key := range slices.Sorted(maps.Keys(s.Data)) {
				data = append(data, key+"="+strings.Repeat("*", 8))
			}
			commit := s.Annotations["secretsync.dev/commit"]
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", cluster.Name, s.Namespace, s.Name, strings.Join(data, " "),
				s.Annotations["secretsync.dev/vault-version"], commit[:min(len(commit), 10)])
		}
	}
	table.Flush()
	// Two in production; in staging the two pushed, and the one whose definition was deleted.
	if count != 5 {
		return fmt.Errorf("%d Secrets; want 5", count)
	}
	return nil
}
