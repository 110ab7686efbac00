package httpapi

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"strings"
	"sync"
)

// gzipFrom is the length in bytes from which compression is worth its time.
const gzipFrom = 8 << 10

// Shared by all answers; nothing appends to them.
var (
	varyEncoding = []string{"Accept-Encoding"}
	gzipEncoding = []string{"gzip"}
)

// acceptsGzip reports whether an Accept-Encoding allows gzip (RFC 9110,
// section 12.5.3).
func acceptsGzip(fields []string) bool {
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

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return w
}}

func compress(b []byte) []byte {
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(b)/4))
	w.Reset(out)
	w.Write(b) // a buffer takes everything
	w.Close()
	return out.Bytes()
}
