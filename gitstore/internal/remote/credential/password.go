package credential

import (
	"context"
	"encoding/base64"
)

// Header is the value of an Authorization header, and the parts of it that must
// not be shown. The zero Header is none.
type Header struct {
	Value   string
	Secrets []string
}

// Anonymous has no credentials.
type Anonymous struct{}

// Header returns none.
func (Anonymous) Header(context.Context, bool) (Header, error) { return Header{}, nil }

// Password proves itself by user and password, or a token in its place.
type Password struct{ header followed[Header] }

// NewPassword follows the file of a password.
func NewPassword(user string, file File) *Password {
	parse := func(contents [][]byte) (Header, error) {
		password, err := parseLine(file, contents[0])
		if err != nil {
			return Header{}, err
		}
		pair := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		return Header{Value: "Basic " + pair, Secrets: []string{pair, password}}, nil
	}
	return &Password{followed[Header]{files: []File{file}, parse: parse}}
}

// Header returns the header; again has the file read even if it looks the same.
func (p *Password) Header(_ context.Context, again bool) (Header, error) { return p.header.get(again) }
