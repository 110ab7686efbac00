package telemetry

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// answering is a collector that gives these answers in turn, and the last one on and on. It
// returns what the spans became, and the pauses between attempts.
func answering(t *testing.T, answers ...func(http.ResponseWriter)) (sent, dropped float64, pauses []time.Duration) {
	var posts []string
	c := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posts = append(posts, string(body))
		answers[min(len(posts), len(answers))-1](w)
	}))
	defer c.Close()
	tracing := start(t, Config{Endpoint: c.URL, Meter: prometheus.NewRegistry()})
	tracing.sender.pause = func(_ context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return nil
	}
	_, span := tracing.Tracer().Start(t.Context(), "span")
	span.End()
	tracing.flush()
	if len(posts) != len(pauses)+1 {
		t.Errorf("%d attempts with %d pauses", len(posts), len(pauses))
	}
	for _, p := range posts {
		if p != posts[0] {
			t.Error("something else was sent again")
		}
	}
	return testutil.ToFloat64(tracing.sender.spans.WithLabelValues("sent")), testutil.ToFloat64(tracing.sender.spans.WithLabelValues("dropped")), pauses
}

func status(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
	}
}

func TestABatchThatMayBeTakenLaterIsSentAgain(t *testing.T) {
	ok := status(200)
	cutOff := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	for name, c := range map[string]struct {
		answers []func(http.ResponseWriter)
		sent    bool
		pauses  []time.Duration // between half and one and a half of it; negative: exactly that
	}{
		"it is taken":                           {[]func(http.ResponseWriter){ok}, true, nil},
		"503 for a while":                       {[]func(http.ResponseWriter){status(503), status(503), status(503), ok}, true, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"429":                                   {[]func(http.ResponseWriter){status(429), ok}, true, []time.Duration{time.Second}},
		"502":                                   {[]func(http.ResponseWriter){status(502), ok}, true, []time.Duration{time.Second}},
		"504":                                   {[]func(http.ResponseWriter){status(504), ok}, true, []time.Duration{time.Second}},
		"the connection breaks":                 {[]func(http.ResponseWriter){cutOff, ok}, true, []time.Duration{time.Second}},
		"it says when":                          {[]func(http.ResponseWriter){status(429, "Retry-After: 7"), status(503, "Retry-After: 9"), ok}, true, []time.Duration{-7 * time.Second, -9 * time.Second}},
		"it says so of a time that is too late": {[]func(http.ResponseWriter){status(503, "Retry-After: 3600"), ok}, false, nil},
		"it says nothing that makes sense":      {[]func(http.ResponseWriter){status(503, "Retry-After: soon"), ok}, true, []time.Duration{time.Second}},
		"400":                                   {[]func(http.ResponseWriter){status(400), ok}, false, nil},
		"500":                                   {[]func(http.ResponseWriter){status(500), ok}, false, nil},
		"501":                                   {[]func(http.ResponseWriter){status(501), ok}, false, nil},
		"first it may be, then it may not":      {[]func(http.ResponseWriter){status(503), status(403), ok}, false, []time.Duration{time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			sent, dropped, pauses := answering(t, c.answers...)
			if want := map[bool]float64{true: 1}; sent != want[c.sent] || dropped != want[!c.sent] {
				t.Errorf("%v sent, %v dropped", sent, dropped)
			}
			if !slices.EqualFunc(pauses, c.pauses, func(got, want time.Duration) bool {
				return got == -want || got >= want/2 && got <= want+want/2
			}) {
				t.Errorf("it waits %v; want some %v", pauses, c.pauses)
			}
		})
	}
}

func TestWhatIsNeverTakenIsDroppedInTheEnd(t *testing.T) {
	sent, dropped, pauses := answering(t, status(503))
	total := time.Duration(0)
	for _, p := range pauses {
		total += p
	}
	if sent != 0 || dropped != 1 || total > keepTrying || total < keepTrying/3 {
		t.Errorf("%v sent, %v dropped, after %v in all: %v", sent, dropped, total, pauses)
	}
}

func TestWhatIsRetriedWhenTheCollectorIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	tracing := start(t, Config{Endpoint: "http://" + address})
	came := make(chan bool, 1)
	tracing.sender.pause = func(context.Context, time.Duration) error {
		if l, err = net.Listen("tcp", address); err != nil {
			return err
		}
		c := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came <- true })}}
		c.Start()
		t.Cleanup(c.Close)
		return nil
	}
	_, span := tracing.Tracer().Start(t.Context(), "span")
	span.End()
	tracing.flush()
	select {
	case <-came:
	default:
		t.Error("it was not sent when it could be")
	}
}

// TestWhoEndsDoesNotWait: the pause between two attempts ends with the program.
func TestWhoEndsDoesNotWait(t *testing.T) {
	asked := make(chan bool, 10)
	c := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "59")
		w.WriteHeader(503)
		asked <- true
	}))
	defer c.Close()
	tracing := start(t, Config{Endpoint: c.URL})
	_, span := tracing.Tracer().Start(t.Context(), "span")
	span.End()
	go tracing.flush()
	<-asked
	if err := tracing.Close(); err != nil { // within 10 s
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-1": 0, "1.5": 0, "99999999": 0, "soon": 0,
		"Thu, 26 Nov 2026 09:00:30 GMT": 30 * time.Second, "Thu, 26 Nov 2026 08:00:30 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q is %v; want %v", text, got, want)
		}
	}
}
