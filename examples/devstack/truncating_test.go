package devstack

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What is flushed after the cut must not reach a connection that was taken away:
// net/http panics then.
func TestNothingIsFlushedAfterTheCut(t *testing.T) {
	flushed := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cut := &truncating{ResponseWriter: w, left: 1}
		if err := http.NewResponseController(cut).Flush(); err != nil {
			t.Error(err)
		}
		cut.Write([]byte("xx"))
		go func() { flushed <- http.NewResponseController(cut).Flush() }()
	}))
	defer server.Close()
	if response, err := http.Get(server.URL); err == nil {
		response.Body.Close()
	}
	if err := <-flushed; err != errTruncated {
		t.Error(err)
	}
}
