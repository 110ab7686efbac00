package reconcile

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// apply does one step in the cluster and settles its target.
func (c *cluster) apply(ctx context.Context, j *job) {
	client := c.client.Load()
	var uid types.UID
	var rv string
	var err error
	switch j.action {
	case look:
		c.inspect(ctx, client, j)
		return
	case create:
		uid, rv, err = client.create(ctx, j.secret())
	case update:
		uid, rv, err = client.update(ctx, j.target.key, j.copy, j.labels(), j.annotations(), j.value.data)
	case replace:
		uid, rv, err = c.replace(ctx, client, j)
	}
	if err != nil {
		c.failed(ctx, client, j, err)
		return
	}
	now := c.clock.Now()
	c.wrote(j.target.place, &record{
		owner: j.target.owner, stamp: j.want, commit: intern(j.commit), uid: uid, rv: rv,
		intact: true, labelled: true, hasLabels: true, hasAnnotations: true,
	})
	c.metrics.wrote(c.spec.Name, j.action)
	c.log.Debug("copy written", "tenant", j.target.owner.tenant, "definition", j.target.owner.name, "secret", j.target.key.String(), "action", j.action.String(), "why", j.why, "version", j.want.version, "commit", j.commit)
	j.settleSynced(now)
}

func (j *job) labels() map[string]string {
	return map[string]string{LabelManagedBy: managedBy, LabelTenant: j.target.owner.tenant, LabelName: j.target.owner.name}
}

func (j *job) annotations() map[string]string {
	return map[string]string{
		AnnotationCommit:       j.commit,
		AnnotationVaultPath:    j.want.path,
		AnnotationVaultVersion: strconv.Itoa(j.want.version),
		AnnotationVaultCreated: j.want.created,
		AnnotationHash:         j.want.data.String(),
	}
}

func (j *job) secret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   j.target.key.namespace,
			Name:        j.target.key.name,
			Labels:      j.labels(),
			Annotations: j.annotations(),
		},
		Type: corev1.SecretTypeOpaque,
		Data: j.value.data,
	}
}

// replace deletes a copy of ours that refuses updates and creates it anew, with
// what others wrote on it. It deletes exactly what was planned for.
func (c *cluster) replace(ctx context.Context, client *kubeClient, j *job) (types.UID, string, error) {
	old, err := client.secret(ctx, j.target.key)
	if err != nil {
		return "", "", err
	}
	if err := client.delete(ctx, j.target.key, j.copy.uid, j.copy.rv); err != nil {
		return "", "", err
	}
	s := j.secret()
	s.Labels = merged(old.Labels, s.Labels)
	s.Annotations = merged(old.Annotations, s.Annotations)
	// Once it is deleted, being told to stop is no reason to leave nothing there.
	return client.create(context.WithoutCancel(ctx), s)
}

func merged(theirs, ours map[string]string) map[string]string {
	both := make(map[string]string, len(theirs)+len(ours))
	maps.Copy(both, theirs)
	maps.Copy(both, ours)
	return both
}

// failed finds out what a refused write means.
func (c *cluster) failed(ctx context.Context, client *kubeClient, j *job, err error) {
	if ctx.Err() != nil {
		return
	}
	v := j.view
	switch refusalOf(err) {
	case refusedExists, refusedConflict, refusedGone:
		// It is not as the watch had told; what is it?
		c.inspect(ctx, client, j)
	case refusedNamespaceMissing:
		j.settle(namespaceNotFound(v))
	case refusedNamespaceEnds:
		j.settle(namespaceEnds(v))
	case refusedThrottled:
		c.throttle(retryAfter(err))
		f := queued("cluster %s asks us to wait before it is written", v.alias)
		f.again = true
		j.settle(f)
	case refusedCredential:
		c.doubt(err)
		j.settle(&fault{state: Error, reason: ReasonForbidden, message: fmt.Sprintf("cluster %s refuses our credentials; the operator must renew them", v.alias), again: true})
	case refusedForbidden:
		j.settle(forbidden("cluster %s refuses to have Secret %s written: %s", v.alias, v.place, serverSaid(err, j.sent())))
	default:
		c.doubt(err)
		j.settle(unreachable("cluster %s did not take Secret %s: %s; it is tried again by itself", v.alias, v.place, serverSaid(err, j.sent())))
	}
}

func (j *job) sent() map[string][]byte {
	if j.value == nil {
		return nil
	}
	return j.value.data
}

// inspect reads the one Secret that stands in a place, decides whose it is and
// lets the unit be planned anew with that.
func (c *cluster) inspect(ctx context.Context, client *kubeClient, j *job) {
	t := j.target
	s, err := client.secret(ctx, t.key)
	switch refusalOf(err) {
	case refusedNot:
	case refusedGone, refusedNamespaceMissing:
		c.found(t.place, nil, false)
		t.unit.retry(0)
		return
	default:
		if ctx.Err() == nil {
			c.failed(ctx, client, j, err)
		}
		return
	}
	seen := c.hasher.observe(s)
	taken, may := c.hasher.claimable(t.owner, s)
	switch {
	case seen.tenant == t.owner.tenant && (seen.labelled || seen.intact):
		// Also without the label by which we watch: the hash proves it the
		// tenant's, be it another definition's that has let go of it.
		c.found(t.place, seen, false)
		t.unit.retry(0)
	case may:
		c.log.Info("secret taken over", "tenant", t.owner.tenant, "definition", t.owner.name, "secret", t.key.String(), "adopted", !taken.intact)
		c.found(t.place, taken, false)
		t.unit.retry(0)
	case seen.labelled:
		c.found(t.place, seen, false)
		j.settle(notOwned(j.view))
	default:
		c.found(t.place, nil, true)
		j.settle(notOwned(j.view))
	}
}
