package header

import (
	"strconv"
	"strings"
)

// AcceptsGzip reports whether an Accept-Encoding allows gzip (RFC 9110,
// section 12.5.3).
func AcceptsGzip(fields []string) bool {
	any := false
	for coding := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		name, params, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "gzip" && name != "x-gzip" && name != "*" {
			continue
		}
		wanted := true
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			weight, err := strconv.ParseFloat(q, 64)
			wanted = err == nil && weight > 0
		}
		if name != "*" {
			return wanted
		}
		any = wanted
	}
	return any
}
