package exchange

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"

	"secretsync/httpapi/apikey"
)

// requestID keeps a well-formed id that came in, and makes one else. Well
// formed is what can stand in a log line and in a commit's trailer as it is.
func requestID(h http.Header) string {
	if ids := h["X-Request-Id"]; len(ids) == 1 && wellFormedID(ids[0]) {
		return ids[0]
	}
	// It has to be unlike others, not unguessable.
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}

func wellFormedID(s string) bool {
	if len(s) == 0 || len(s) > 128 || strings.HasPrefix(s, apikey.TokenPrefix) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:/+=~@", rune(c)) {
			return false
		}
	}
	return true
}
