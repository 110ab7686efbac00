// Package condition is what ails a repository, and who is told of it: faults, which
// keep it from being used and are over when their cause is; problems, which people have
// to mend, in sentences that say how; and complaints, which are for the log alone.
//
// Each is told once, till it is another one: the tenant and the metrics see what holds
// now, the operator's log when that began and ended.
package condition
