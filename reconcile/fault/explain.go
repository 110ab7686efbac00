package fault

import (
	"fmt"
	"strings"
)

// Explanation is what a person should know of a reason, beside the message,
// which names the case at hand.
type Explanation struct {
	Reason Reason
	State  State  // of a target that stands so
	Who    Mender // who ends it
	// Meaning, Cause and Remedy are whole sentences, in Markdown without blocks.
	Meaning, Cause, Remedy string
}

// Mender is who ends what a reason says.
type Mender string

// Those who can.
const (
	Nobody   Mender = "nothing is to be done"
	Itself   Mender = "it ends by itself once the cause is gone"
	Author   Mender = "who writes the definition, or the value"
	Operator Mender = "who runs the server, the vault or the cluster"
)

// Explain returns what there is to know of a reason; false for a word that is
// none. Case counts.
func Explain(r Reason) (Explanation, bool) {
	for _, e := range Explanations {
		if e.Reason == r {
			return e, true
		}
	}
	return Explanation{}, false
}

// String is the explanation as a terminal shows it.
func (e Explanation) String() string {
	return fmt.Sprintf("%s (%s; %s)\n\n%s\n\nCause: %s\n\nRemedy: %s\n", e.Reason, e.State, e.Who, plain(e.Meaning), plain(e.Cause), plain(e.Remedy))
}

// plain takes the marks off text that is set as code.
func plain(markdown string) string { return strings.ReplaceAll(markdown, "`", "") }

// Explanations are those of all reasons: what is right first, then what ends by
// itself, then what wants a person.
var Explanations = []Explanation{
	{ReasonSynced, Synced, Nobody,
		"The Secret stands in the cluster and holds the value that the vault had when it was last asked.",
		"`lastSyncTime` says when that was, `vaultVersion` which version it is, `commit` which commit it was written for.",
		"None is needed."},
	{ReasonQueued, Pending, Itself,
		"Something was decided or asked for and is not done yet: the value is being read, the Secret is being written, or its turn has not come.",
		"A new or changed definition, a new version in the vault, a repair, or a start of the server; the message says which. It lasts longer where the vault or the cluster asks for patience (429), or an admission webhook is slow.",
		"None as a rule. If it lasts, look at `secretsync_queue_oldest_seconds`, and at the request limits of the vault and the cluster."},
	{ReasonNamespaceNotFound, Pending, Itself,
		"The namespace of the target does not exist in the cluster.",
		"It was not created yet, or its name is mistyped.",
		"Create the namespace, and the Secret is there at once; or mend `namespace`."},
	{ReasonNamespaceTerminating, Pending, Itself,
		"The namespace is being deleted, and nothing can be created in it.",
		"Somebody deleted it. It can stay so for long if finalizers of what is in it are not removed.",
		"Wait till it is gone and there again, or remove the target."},
	{ReasonSuspended, Pending, Author,
		"Nothing is written for this target: its definition says `suspend: true`, or the operator suspended the tenant. The message tells how the copy differs from what it would be.",
		"Somebody wants the copies left alone for a while, such as during an incident or a move.",
		"Take `suspend` away, or have the operator resume the tenant; what is missing is written at once."},
	{ReasonDeletionHeld, Pending, Operator,
		"More copies would be deleted than the tenant's brake lets go by itself, so none is. Everything else goes on.",
		"Targets or definitions with `deletionPolicy: Delete` were removed, or namespaces no longer match a selector: on purpose, or by accident.",
		"Look at the list: `secretsync deletions`. If all of it should go, an admin releases just that list: `secretsync deletions --release ID`. If not, bring the definitions back."},
	{ReasonSecretTerminating, Pending, Operator,
		"The Secret that stands there is being deleted, or would have to be, and its finalizers keep it.",
		"Somebody put a finalizer on the copy, and its controller does not remove it.",
		"Have that controller do its work, or remove the finalizer: `kubectl -n NAMESPACE patch secret NAME --type=merge -p '{\"metadata\":{\"finalizers\":null}}'`. The Secret is written anew as soon as it is gone."},
	{ReasonClusterUnreachable, Error, Itself,
		"The cluster does not answer, or the kubeconfig the operator gave can't be used. Copies there stay as they are and go on being used.",
		"The API server is down, the network is cut, a certificate or token has expired, or a credential plugin hangs. The operator finds the details in the log.",
		"It goes on within seconds after the cluster can be reached. The operator looks at `secretsync_cluster_up` and the log."},
	{ReasonVaultUnavailable, Error, Itself,
		"The vault does not answer, is sealed, or answers with errors of its own. Copies stay as they are and go on being used.",
		"The vault is sealed, down, overloaded or can't be reached over the network.",
		"Unseal or mend it; everything is asked anew within seconds after that."},
	{ReasonValueNotFound, Pending, Author,
		"There is no value at `secretPath` in the tenant's part of the vault. Nothing is written; a copy that stands stays.",
		"It was not written yet, or the path is mistyped.",
		"Write the value (`vault kv put`), or mend `secretPath`. It is noticed within the polling interval, or at once after `POST …/sync`."},
	{ReasonValueDeleted, Error, Author,
		"The newest version of the value is deleted or destroyed in the vault. The last copy stays as it is, so that nothing breaks.",
		"Somebody ran `vault kv delete` or `destroy`, or the version's `delete_version_after` has passed.",
		"Undelete it or write a new version; or remove the definition if the value is not needed any more."},
	{ReasonInvalidKey, Error, Author,
		"The value has a key that Kubernetes does not allow in a Secret, does not fit the Secret's `type`, or can't be decoded as `data` says. Nothing is written, and no key is renamed or left out.",
		"Kubernetes allows letters, digits, `-`, `_` and `.`, at most 253 of them. A type needs its keys: `tls.crt` and `tls.key` that belong together, a `.dockerconfigjson` as docker writes it, and so on; the message says what is missing.",
		"Mend the value in the vault, or `type` and `data` in the definition. The last copy stays till then."},
	{ReasonKeyNotFound, Error, Author,
		"`data` names a key of the value, or a field in it, that is not there. Nothing is written.",
		"It is mistyped, or the value was written without it.",
		"Write the value with that key, or mend `data`; the message names the keys there are. The last copy stays till then."},
	{ReasonTemplateFailed, Error, Author,
		"A template of `data` fails with this value, or wants more time or text than it may have. Nothing is written.",
		"It names a key that the value lacks, hands a function what that can't use, or loops too much. The message names the line.",
		"Mend the template or the value. The last copy stays till then."},
	{ReasonValueTooLarge, Error, Author,
		"The value is larger than the 1 MiB that a Secret can hold. Nothing is written.",
		"A file or a bundle grew, or several values were put at one path.",
		"Split it into several paths, with a definition each. The last copy stays till then."},
	{ReasonNotOwned, Error, Author,
		"A Secret of that name exists and is not this definition's. It is never touched.",
		"A person, a chart or another controller made it, or another tenant's definition did.",
		"Delete it, choose another `secretName`, or hand it over by the annotation `secretsync.dev/adopt: TENANT/DEFINITION` on it; the message has the whole command."},
	{ReasonTypeMismatch, Error, Author,
		"The Secret may be taken over, but is of another type, immutable, or belongs to another object. It is not touched.",
		"To take it over it would have to be deleted and made anew, which would break who uses it.",
		"Delete it yourself when that is safe, or choose another `secretName`."},
	{ReasonTargetConflict, Error, Author,
		"Another definition, or another target of this one, is to be the same Secret. The one that holds it keeps it.",
		"Two files name one place: one cluster, namespace and Secret name. A cluster may have two names and is still one.",
		"Remove the target from one of the two. The other is synced as soon as the place is free."},
	{ReasonNewerFormat, Error, Operator,
		"A newer version of secretsync wrote the Secret that stands there, in a way that this one does not know. It is left as it is: not written, not deleted, and no orphan.",
		"The server was put back to an older version, or a newer one serves the same cluster. The Secret's annotation `secretsync.dev/format` says which format it is.",
		"Run the newer version. To stay with this one, take the annotation off the copies: `kubectl annotate secrets -A -l app.kubernetes.io/managed-by=secretsync secretsync.dev/format-`. Those that are not right by the rules of this version are then written anew, once."},
	{ReasonKeyConflict, Error, Author,
		"The definition says `mode: Merge`, and something that it asks for in the shared Secret is another's: a key, a label or an annotation. That is left alone; the rest is synced.",
		"Somebody made it before the definition asked for it, declared it by server-side apply since, or another definition has it; the message names the field manager or the definition.",
		"Remove it from the Secret or from the definition, or let the definition take it over by the annotation `secretsync.dev/adopt: TENANT/DEFINITION`; the message has the whole command."},
	{ReasonTooManyNamespaces, Error, Author,
		"A `namespaceSelector` matches more namespaces than one target may have, or than those of the tenant may have together. No copy is added for it; those that it has go on. After a start of the server, or where another replica takes over, a target for which there is no room has none: its copies stay, and are not brought up to date.",
		"The selector is wider than was meant, or the cluster has grown.",
		"Make the selector narrower; split the target into several, where it is too many for one; or have the operator raise `selectedNamespaces`, where it is too many for the tenant. The message says which."},
	{ReasonAltered, Error, Operator,
		"The cluster changes what is written as it is written. That is told and not fought, since writing again would change nothing.",
		"A mutating admission webhook or policy adds, removes or overrides something in Secrets.",
		"Exempt Secrets with the label `secretsync.dev/tenant` from it. It is tried again within the polling interval."},
	{ReasonContended, Error, Operator,
		"Somebody changes or deletes the copy again and again. It is put right with growing pauses, of five minutes at most.",
		"Another controller manages the same Secret, such as a second secretsync, a GitOps tool or a replicator; the message names its field manager.",
		"Stop that controller from managing the Secret, or choose another `secretName`."},
	{ReasonForbidden, Error, Operator,
		"The cluster says no to the server's user.",
		"A right of `examples/rbac.yaml` is missing, a quota is used up, or an admission webhook or policy refuses the Secret; the message names what.",
		"Allow what the message names. It is tried again at the polling interval."},
	{ReasonVaultForbidden, Error, Operator,
		"The vault says no: to the login, or to reading the path. The last copy stays.",
		"The policy of the tenant's role does not allow `read` on the path, the role, its secret id or its token is not valid any more, or the mount is not there.",
		"Allow what the message names. A changed policy takes effect with a fresh login, which is tried within the polling interval."},
	{ReasonClusterNotFound, Error, Author,
		"The definition names a cluster that the operator has not registered for the tenant.",
		"The name is mistyped, or the cluster was taken out of the configuration.",
		"`GET /api/v1/tenants/TENANT/clusters` lists the names there are. Mend the name, or have the operator register the cluster."},
	{ReasonNamespaceNotAllowed, Error, Author,
		"The operator has not granted the tenant this namespace of the cluster.",
		"The patterns in the tenant's configuration don't match it. `kube-system`, `kube-public`, `kube-node-lease` and the namespace in which the server keeps its own keys match no pattern, only their own names.",
		"Choose another namespace, or have the operator grant it."},
	{ReasonInvalidDefinition, Error, Author,
		"The file at HEAD is no valid definition. Its last valid version goes on being synced.",
		"The message names file, line and cause.",
		"Mend the file in Git; `secretsync validate` checks it before it is pushed."},
	{ReasonInternalError, Error, Itself,
		"A mistake in the server itself ended one pass over this one copy. Nothing else is affected.",
		"The server's log holds the stack.",
		"It is tried again by itself. Report it, with the stack."},
}
