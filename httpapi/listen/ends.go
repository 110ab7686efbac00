package listen

import (
	"crypto/x509"
	"slices"
	"time"
)

// Ends is when the certificate that is served is good no more: the first end of those that it is presented with. Which of them
// a client needs only the client knows.
func (c *Certificate) Ends() time.Time {
	return slices.MinFunc(c.chain(), byEnd).NotAfter
}

// chain returns the certificates that are presented. The first is that of the key, which was read before; what else is broken is
// left out, as it is of no use to anybody.
func (c *Certificate) chain() (chain []*x509.Certificate) {
	for _, der := range c.get().Certificate {
		if parsed, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, parsed)
		}
	}
	return chain
}

// Ends is when the other end takes this one's certificate no more, as far as it has the same authority, whose end counts as well.
// One that is never taken ends as if it stood alone: [Pair.Check] says why.
func (p Pair) Ends() time.Time {
	presented := p.Own.chain()
	for _, c := range slices.SortedFunc(slices.Values(append(presented, p.Authority.get().certificates...)), byEndLastFirst) {
		if p.takenAt(c.NotAfter) == nil {
			return c.NotAfter
		}
	}
	return p.Own.Ends()
}

func byEnd(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }

func byEndLastFirst(a, b *x509.Certificate) int { return byEnd(b, a) }
