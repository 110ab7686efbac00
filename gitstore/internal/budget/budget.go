// Package budget says what reading a repository may cost, in the bytes that package
// pack counts, so that no push costs us much more than it cost who made it.
package budget

// PerWalk is what taking in a commit may cost, besides [PerCommit] for each commit on
// the way: a walk that takes more is given up, with pack.ErrOverBudget, and the tenant
// is told. It is some seconds of one processor, and more for each definition the tenant
// is allowed. At 1,000 definitions that is 4.3 GiB and 562 KiB for each commit; a
// repository of 1,000 definitions of usual size takes some 50 MiB and 150 KiB, one with
// 10,000 some 0.5 GiB and 1.5 MiB, of 6.4 GiB and 4.9 MiB that it is allowed.
func PerWalk(definitions int) int64 { return 4<<30 + 256<<10*int64(definitions) }

// PerCommit is what each commit on the way of a walk may cost.
func PerCommit(definitions int) int64 { return 64<<10 + 512*int64(definitions) }

// PerRevision is what reading the definitions of one commit may cost, whatever
// history it has: of that of a walk some seventh, as anybody with a key can ask for
// it again and again.
func PerRevision(definitions int) int64 { return 512<<20 + 128<<10*int64(definitions) }

const (
	// PerName is that of a name that differs between two trees.
	PerName = 128
	// PerParsed is that of each byte that is parsed.
	PerParsed = 16
	// PerAnswer is what one read of somebody who waits may cost.
	PerAnswer = 512 << 20
)

// MostTreeBytes is the size of a commit's trees up to which they are written to.
func MostTreeBytes(definitions int) int { return 4<<20 + 128*definitions }
