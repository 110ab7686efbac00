package gitstore

// What taking in a commit may cost, in the bytes that package gitdir counts: a
// walk that takes more is given up, with pack.ErrOverBudget, and the tenant is
// told. It is some seconds of one processor, and more for each commit and each
// definition the tenant is allowed. At 1,000 definitions that is 4.3 GiB and 562
// KiB for each commit; a repository of 1,000 definitions of usual size takes some
// 50 MiB and 150 KiB, one with 10,000 some 0.5 GiB and 1.5 MiB, of 6.4 GiB and
// 4.9 MiB that it is allowed.
func workPerWalk(definitions int) int64   { return 4<<30 + 256<<10*int64(definitions) }
func workPerCommit(definitions int) int64 { return 64<<10 + 512*int64(definitions) }

// workPerRevision is what reading the definitions of one commit may cost, whatever
// history it has: of that of a walk some seventh, as anybody with a key can ask for
// it again and again.
func workPerRevision(definitions int) int64 { return 512<<20 + 128<<10*int64(definitions) }

const (
	// workPerName is that of a name that differs between two trees.
	workPerName = 128
	// workPerParsed is that of each byte that is parsed.
	workPerParsed = 16
	// workPerAnswer is what one read of somebody who waits may cost.
	workPerAnswer = 512 << 20
)

// mostTreeBytes is the size of a commit's trees up to which they are written to.
func mostTreeBytes(definitions int) int { return 4<<20 + 128*definitions }
