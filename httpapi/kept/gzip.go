package kept

import (
	"bytes"
	"compress/gzip"
	"sync"
)

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return w
}}

// Compress returns what gzip makes of b, fast rather than small.
func Compress(b []byte) []byte {
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(b)/4))
	w.Reset(out)
	w.Write(b) // a buffer takes everything
	w.Close()
	return out.Bytes()
}
