package decide

import (
	"fmt"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/kube/copies"
)

// copyStays says of a value that is gone altogether that its copy is not.
func copyStays(f *fault.Fault, c *copies.Copy) *fault.Fault {
	if f.Reason != fault.ReasonValueNotFound || c == nil {
		return f
	}
	stays := *f
	stays.Message += "; the copy of the last one stays as it is"
	return &stays
}

// What is told so often, and of so many at once, that it is made once.
var (
	copyLeft      = fault.Queued("the copy was deleted or lost its labels; it is put right")
	askingVersion = fault.Queued("the vault is being asked for the version")
	askingValue   = fault.Queued("the value is being read from the vault")
	askingAgain   = fault.Queued("the value is being read again from the vault")
)

func namespaceNotFound(in *Input) *fault.Fault {
	return fault.New(fault.Pending, fault.ReasonNamespaceNotFound, "namespace %s does not exist in cluster %s; it goes on as soon as somebody creates it", in.At.Namespace, in.Alias)
}

func namespaceEnds(in *Input) *fault.Fault {
	return fault.New(fault.Pending, fault.ReasonNamespaceTerminating, "namespace %s in cluster %s is being deleted; it goes on when it is there again", in.At.Namespace, in.Alias)
}

func notOwned(in *Input) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonNotOwned, "Secret %s in cluster %s exists and is not this definition's; it is not touched. Delete it, choose another secretName, or let it be taken over by annotating it: kubectl -n %s annotate secret %s %s=%s", in.At, in.Alias, in.At.Namespace, in.At.Name, copies.AnnotationAdopt, in.Owner)
}

func stillClaimed(in *Input) *fault.Fault {
	return fault.Queued("Secret %s in cluster %s is the copy of definition %s, and it is not known yet whether that still claims it: the namespaces that it selects, or the clusters of its targets, are not all known", in.At, in.Alias, fault.Clean(in.Seen.Copy.Name))
}

func newerFormat(in *Input) *fault.Fault {
	if len(in.Seen.Copy.Sharers()) > 0 {
		return fault.New(fault.Error, fault.ReasonNewerFormat, "what Secret %s in cluster %s carries, or the record of one of those who share it, is of %s, which a newer version of secretsync wrote, and this one knows format %d at most; it is left as it is. Run the newer version",
			in.At, in.Alias, in.Seen.Copy.Format, copies.KnownFormat)
	}
	return fault.New(fault.Error, fault.ReasonNewerFormat, "what Secret %s in cluster %s carries is of %s, which a newer version of secretsync wrote, and this one knows format %d at most; it is left as it is. Run the newer version, or take that annotation off: kubectl -n %s annotate secret %s %s-",
		in.At, in.Alias, in.Seen.Copy.Format, copies.KnownFormat, in.At.Namespace, in.At.Name, copies.AnnotationFormat)
}

func typeMismatch(in *Input, c *copies.Copy) *fault.Fault {
	because := fmt.Sprintf("is of type %s, not %s", fault.Clean(c.Type), kindOf(in.Type))
	switch {
	case c.Type != kindOf(in.Type):
	case c.Owned:
		because = "belongs to another object (it has an owner reference)"
	case c.Immutable:
		because = "is immutable"
	}
	return fault.New(fault.Error, fault.ReasonTypeMismatch, "Secret %s in cluster %s %s, so it is not taken over; delete it, or choose another secretName", in.At, in.Alias, because)
}

func terminating(in *Input, c *copies.Copy) *fault.Fault {
	return fault.New(fault.Pending, fault.ReasonSecretTerminating, "Secret %s in cluster %s is being deleted, and its finalizers keep it: %s; it is written anew when it is gone", in.At, in.Alias, fault.Clean(fmt.Sprint(c.Finalizers)))
}

func alteredFault(in *Input, c *copies.Copy) *fault.Fault {
	return fault.New(fault.Error, fault.ReasonAltered, "admission in cluster %s changes Secret %s as it is written: it %s. It is not written again and again; exempt Secrets with the label %s from that webhook or policy, and it is put right within %s", in.Alias, in.At, c.Altered, copies.LabelTenant, in.Interval)
}

func contended(in *Input, c *copies.Copy) *fault.Fault {
	who := "somebody"
	if m := in.Record.fight.manager(c); m != nil {
		who = "field manager " + fault.Clean(m.Name)
		if m.Second {
			who = "another server of secretsync that has the same definitions"
		}
	}
	return fault.New(fault.Error, fault.ReasonContended, "%s changes or deletes Secret %s in cluster %s again and again (%d times since %s); it is put right with growing pauses, %s at present. Have that stopped, or choose another secretName",
		who, in.At, in.Alias, in.Record.fight.count, in.Record.fight.began.UTC().Format(time.RFC3339), in.Record.fight.pause())
}

func throttled(in *Input) *fault.Fault {
	return fault.Transient(fault.Pending, fault.ReasonQueued, "cluster %s asks us to wait before it is written", in.Alias)
}

func fenced(in *Input) *fault.Fault {
	return fault.Queued("nothing is written for tenant %s till the server of its repository has answered this replica, which took the tenant over, or another replica has it; it goes on by itself", in.Owner.Tenant)
}
