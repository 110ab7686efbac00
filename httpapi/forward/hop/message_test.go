package hop

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func all(string) bool { return true }

// heard is the other end of what a test writes.
func heard(b []byte) *served {
	return &served{service: &service{takeIn: func(ctx context.Context, _ http.Header) context.Context { return ctx }}, ctx: context.Background(), in: bufio.NewReaderSize(bytes.NewReader(b), linkBuffer)}
}

func TestARequestIsReadAsItWasWritten(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"a read":            httptest.NewRequest("GET", "/a%2Fb?x=1;y&z=%zz", nil),
		"a write":           httptest.NewRequest("PATCH", "http://host.example/a", strings.NewReader("the body")),
		"the largest body":  httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("b", MaxBody))),
		"a very large line": httptest.NewRequest("GET", "/"+strings.Repeat("p", 20<<10), nil),
	} {
		t.Run(name, func(t *testing.T) {
			r.Header = http.Header{"A": {"1", "2"}, "B": {""}, "Long": {strings.Repeat("l", 9000)}, "Te": {"x"}, "Connection": {"close, named"}, "Named": {"x"}}
			b := AppendRequest(nil, r, func(name string) bool { return name != "Own" }, Line{"Own", "o"}, Line{"A", "3"})
			var err error
			want := ""
			if r.ContentLength > 0 {
				body, _ := io.ReadAll(r.Body)
				want = string(body)
				if b, err = AppendBody(b, bytes.NewReader(body), len(body)); err != nil {
					t.Fatal(err)
				}
			}
			c := heard(b)
			got, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			defer c.cancel()
			if got.Method != r.Method || got.Host != r.Host || got.URL.RequestURI() != r.URL.RequestURI() {
				t.Errorf("%s %s of %s", got.Method, got.RequestURI, got.Host)
			}
			if header := (http.Header{"A": {"1", "2", "3"}, "B": {""}, "Long": r.Header["Long"], "Own": {"o"}}); !reflect.DeepEqual(got.Header, header) {
				t.Errorf("%v", got.Header)
			}
			body, _ := io.ReadAll(got.Body)
			if string(body) != want || got.ContentLength != int64(len(want)) {
				t.Errorf("%d bytes of %d", len(body), got.ContentLength)
			}
		})
	}
}

func TestWhatIsNoRequestIsNotTakenForOne(t *testing.T) {
	right := AppendRequest(nil, httptest.NewRequest("GET", "/path", nil), all)
	if _, err := heard(right).read(); err != nil {
		t.Fatal(err)
	}
	for n := range right {
		if _, err := heard(right[:n]).read(); err == nil || n > 0 && err == io.EOF {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	for name, spoil := range map[string]func([]byte){
		"another kind":          func(b []byte) { b[0] = byte(answer) },
		"too large a head":      func(b []byte) { b[1] = 1 },
		"too large a body":      func(b []byte) { b[6] = 1 },
		"a head that ends late": func(b []byte) { b[4]-- },
		"more lines than fit":   func(b []byte) { b[len(b)-2] = 0xff },
		"a text without an end": func(b []byte) { b[prefixSize] = 0xff },
	} {
		b := bytes.Clone(right)
		spoil(b)
		if r, err := heard(b).read(); err == nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// FuzzRequest: whatever comes, it is read or refused.
func FuzzRequest(f *testing.F) {
	f.Add(AppendRequest(nil, httptest.NewRequest("GET", "/path?query", nil), all, Line{"A", "b"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := heard(b)
		r, err := c.read()
		if err != nil {
			return
		}
		defer c.cancel()
		again, err := heard(AppendRequest(nil, r, all)).read()
		if r.ContentLength == 0 && (err != nil || again.Method != r.Method || again.Host != r.Host) {
			t.Errorf("%v is read as %v, %v", r, again, err)
		}
	})
}

// FuzzAnswer: the same of answers.
func FuzzAnswer(f *testing.F) {
	whole := func(kinds ...kind) (all []byte) {
		for i, k := range kinds {
			head := []byte{0, 200, 0, 1, 1, 'A', 1, 'b'}
			if i > 0 {
				head = nil
			}
			b := append(append(append([]byte{}, blank[:]...), head...), "some body"...)
			seal(b, k, len(head))
			all = append(all, b...)
		}
		return all
	}
	f.Add(whole(answer))
	f.Add(whole(begun, piece, last))
	f.Add(whole(begun, begun))
	f.Add(whole(bye))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &Link{Conn: deaf{}, in: bufio.NewReaderSize(bytes.NewReader(b), linkBuffer)}
		a, err := l.Ask(nil)
		if err != nil {
			return
		}
		h := http.Header{}
		if err := a.Header(h); err != nil {
			return
		}
		var body bytes.Buffer
		if err := l.Body(a, &body); err == nil && body.Len() > len(b) {
			t.Errorf("%d bytes of %d", body.Len(), len(b))
		}
	})
}

// deaf takes what is written, and does nothing.
type deaf struct{ net.Conn }

func (deaf) Write(b []byte) (int, error) { return len(b), nil }
