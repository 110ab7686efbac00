package copies

import (
	"math"
	"strconv"

	"secretsync/reconcile/kube/refusal"
)

// Format numbers the ways in which what we write on a Secret, or on a workload that
// is restarted, is to be read: our labels and annotations, what the hash is of, and
// what a mark means. AnnotationFormat says it.
//
//	AnnotationFormat   is                         what is done to the object
//	absent             1                          all that is right
//	1 … KnownFormat    that                       all that is right
//	more, or no number of a program newer than    nothing: it is neither written nor
//	                   this one, as far as known  deleted, and no orphan
//
// The number is raised only by a change that a program which does not know it would
// get wrong: would take a copy for edited, delete it, or restart for it. Annotations
// that may be overlooked are added without. Format 1 is never written down, so that
// copies which stood before there were formats stay as they are.
type Format uint16

// KnownFormat is the newest format that this program knows, and the one it writes.
const KnownFormat Format = 1

// unreadable stands for what is no number. Whoever writes that is newer, or a person.
const unreadable Format = math.MaxUint16

// ParseFormat reads AnnotationFormat.
func ParseFormat(annotations map[string]string) Format {
	text, ok := annotations[AnnotationFormat]
	if !ok {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return unreadable
	}
	return Format(n)
}

// Newer reports whether this program does not know the format.
func (f Format) Newer() bool { return f > KnownFormat }

func (f Format) String() string {
	if f == unreadable {
		return "another kind"
	}
	return "format " + strconv.Itoa(int(f))
}

// Refused says that an object of a newer format is not touched.
func (f Format) Refused() *refusal.Error {
	return &refusal.Error{Kind: refusal.Newer, Message: "its annotation " + AnnotationFormat + " says that what it carries is of " + f.String() + ", and this version of secretsync knows format " + strconv.Itoa(int(KnownFormat)) + " at most"}
}
