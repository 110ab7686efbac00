package copies

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Answered makes a record of what the server answered to the write of a whole copy with:
// the metadata of the Secret that stands now. What became of the data it does not say.
func (s *Sent) Answered(m *metav1.ObjectMeta) *Copy {
	r := described(m)
	r.Manager = nil
	r.Type = Intern(s.kind())
	r.Digest = s.digest
	if !r.Watched {
		r.Owner = s.Owner
	}
	r.Intact = r.Owner == s.Owner && s.MadeOf(m)
	r.Altered = s.alteredMeta(m).orNil()
	return r
}

// MadeOf reports whether a Secret bears the hash that was sent.
func (s *Sent) MadeOf(m *metav1.ObjectMeta) bool {
	return m.Annotations[AnnotationHash] == s.annotations[AnnotationHash]
}

// Became reports whether a Secret, as it was read, holds just the data that were sent.
func (s *Sent) Became(r *Copy) bool {
	return r.Intact && s.digest == r.Digest
}

// Wrote makes a record of what stands by a write of ours, as it was read after it or
// answered to it as a whole. Of a Secret that several share it is the one of all of it:
// [Copy.PartOf] has the share.
func (v Reader) Wrote(s *Sent, got *corev1.Secret) *Copy {
	if !s.Part {
		r := v.Read(got, s.Owner)
		r.Owner, r.Manager, r.Altered = s.Owner, nil, s.AlteredBy(got)
		return r
	}
	r := v.Read(got)
	r.Manager = nil
	if r.shared == nil {
		r.shared = &sharing{parts: make(map[Owner]*Copy)} // admission made it somebody's copy
	}
	p := r.shared.parts[s.Owner]
	if p == nil { // admission took the record away
		own := *r
		p = &own
		p.Owner, p.Part, p.Stamp = s.Owner, true, s.Stamp
		r.shared.parts[s.Owner] = p
	}
	p.Manager, p.Altered = nil, s.AlteredBy(got)
	return r
}
