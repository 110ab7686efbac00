package httpapi

import (
	"bytes"
	"compress/gzip"
	"sync"
)

// gzipFrom is the length in bytes from which compression is worth its time.
const gzipFrom = 8 << 10

// Shared by all answers; nothing appends to them.
var (
	varyEncoding = []string{"Accept-Encoding"}
	gzipEncoding = []string{"gzip"}
)

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
