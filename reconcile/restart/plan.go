package restart

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Prefix is that of the annotations by which a workload remembers its copies.
const Prefix = "restart.secretsync.dev/"

// mostName is how long the part of an annotation's name after the '/' may be.
const mostName = 63

// Annotation is the one under which a workload remembers a Secret.
func Annotation(secret string) string {
	if len(secret) <= mostName {
		return Prefix + secret
	}
	sum := sha256.Sum256([]byte(secret))
	return Prefix + secret[:mostName-17] + "-" + hex.EncodeToString(sum[:8])
}

// copied is what is known of one copy that a workload uses.
type copied struct {
	hash string // of its data
	// changed is when this process saw its data change; zero: not.
	changed time.Time
}

// marks are the annotations to be set: on the workload, and of those the ones
// that restart it, on its pod template.
type marks struct{ own, template map[string]string }

// plan works out what is to be set on a workload that was made at created and
// bears there, for the copies it uses by their Secrets' names.
func plan(created time.Time, there map[string]string, copies map[string]copied) marks {
	m := marks{own: make(map[string]string), template: make(map[string]string)}
	for secret, c := range copies {
		name := Annotation(secret)
		noted, ok := there[name]
		if ok && noted == c.hash {
			continue
		}
		m.own[name] = c.hash
		if ok || c.changed.After(created) {
			m.template[name] = c.hash
		}
	}
	return m
}
