package exchange

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func newDesk(t *testing.T) *Desk {
	d, err := NewDesk(Config{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: prometheus.NewRegistry(),
		Serving: context.Background(), Leaving: func() bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Without a tracer a request costs what it did.
func TestWithoutATracerARequestHasNoSpan(t *testing.T) {
	d := newDesk(t)
	cost := func(extra ...string) float64 {
		r := httptest.NewRequest("GET", "/api/v1/tenants/acme", nil)
		for _, name := range extra {
			r.Header.Set(name, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		}
		w := httptest.NewRecorder()
		return testing.AllocsPerRun(100, func() {
			x := d.Begin(w, r, Caller{Trusted: true})
			if x.span != nil || x.Request != r {
				t.Error("it has a span")
			}
			x.End()
		})
	}
	if without, with := cost(), cost("Traceparent"); with != without {
		t.Errorf("%v allocations with a trace of the caller's, %v without", with, without)
	}
}

func TestAWarningIsOneField(t *testing.T) {
	if got := warning("a \"b\"\r\nX: \\é"); got != `299 secretsync "a bX: "` {
		t.Errorf("%q", got)
	}
	if got := warnings([]string{"a", "b", "a"}); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// What a handler writes itself is noted, and an answer that broke off ends the connection.
func TestAnAnswerThatBrokeOffEndsTheConnection(t *testing.T) {
	d := newDesk(t)
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("%v", v)
		}
	}()
	x := d.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), Caller{})
	defer x.End()
	if n, err := x.Stream().Write([]byte("half")); n != 4 || err != nil || x.Status() != 200 {
		t.Errorf("%d %v %d", n, err, x.Status())
	}
	x.CutOff(context.Canceled)
}

// Who was passed on has his answer before its line is written.
func TestWhoWasPassedOnDoesNotWaitForTheLog(t *testing.T) {
	d := newDesk(t)
	read := make(chan bool, 1)
	d.cfg.Log = slog.New(slog.NewTextHandler(writer(func([]byte) {
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Error("the line is written before the answer")
		}
	}), nil))
	d.Forwarding()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := d.Begin(w, r, Caller{})
		defer x.End()
		x.PassingOn()
		to := x.PassTo("another")
		to.Header().Set("Content-Length", "4")
		_, _ = to.Write([]byte("text"))
	}))
	defer s.Close()
	answer, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); string(text) != "text" || err != nil || answer.ContentLength != 4 {
		t.Errorf("%q %v", text, err)
	}
	read <- true
}

// writer tells of what is written.
type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
