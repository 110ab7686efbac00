// Package problemtest is for tests of what parses requests.
package problemtest

import (
	"net/http"
	"strings"
	"testing"

	"secretsync/httpapi/problem"
)

// RefusedWell fails unless err is a 400 that says something.
func RefusedWell(t *testing.T, err error) {
	t.Helper()
	if p := problem.Of(err); p.Status != http.StatusBadRequest || p.Sentence == "" || strings.ContainsAny(p.Sentence, "\n\r\x00") {
		t.Errorf("refused with %d %q (%v); want a 400 of one line", p.Status, p.Sentence, err)
	}
}
