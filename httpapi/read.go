package httpapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"secretsync/httpapi/body"
)

// MaxBody is the greatest length of a request's body in bytes.
const MaxBody = 1 << 20

// body reads the request's JSON body whole. A Content-Type that says something else is
// refused; without one the content decides.
func (x *exchange) body() ([]byte, error) {
	r := x.r
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errEncoding
	}
	types := r.Header.Values("Content-Type")
	if len(types) > 1 || len(types) == 1 && !isJSON(types[0]) {
		return nil, errMediaType
	}
	size := r.ContentLength
	if size < 0 || size > MaxBody {
		size = MaxBody
	}
	release, ok := x.s.shares.Of(x.tenant.Name).Body(size)
	if !ok {
		return nil, tooMany(time.Second, "too many request bodies of your tenant at once")
	}
	defer release()
	body, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, r.Body, MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errBody
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

// object reads the body as one JSON object.
func (x *exchange) object() (body.Object, error) {
	text, err := x.body()
	if err != nil {
		return body.Object{}, err
	}
	return body.Parse(text)
}
