package exchange

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"secretsync/httpapi/body"
	"secretsync/httpapi/problem"
)

// MaxBody is the greatest length of a request's body in bytes.
const MaxBody = 1 << 20

// Body reads the request's JSON body whole. A Content-Type that says something else is
// refused; without one the content decides.
func (x *Exchange) Body() ([]byte, error) {
	r := x.Request
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, problem.ErrEncoding
	}
	types := r.Header.Values("Content-Type")
	if len(types) > 1 || len(types) == 1 && !isJSON(types[0]) {
		return nil, problem.ErrMediaType
	}
	size := r.ContentLength
	if size < 0 || size > MaxBody {
		size = MaxBody
	}
	release, ok := x.desk.cfg.Shares.Of(x.Tenant.Name).Body(size)
	if !ok {
		return nil, problem.TooMany(time.Second, "too many request bodies of your tenant at once")
	}
	defer release()
	body, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, r.Body, MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, problem.ErrTooLarge
	}
	if err != nil {
		return nil, problem.ErrBody
	}
	return body, nil
}

func isJSON(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// Object reads the body as one JSON object.
func (x *Exchange) Object() (body.Object, error) {
	text, err := x.Body()
	if err != nil {
		return body.Object{}, err
	}
	return body.Parse(text)
}
