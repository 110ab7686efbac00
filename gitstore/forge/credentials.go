package forge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
)

// Credentials give the token for a request, at each request anew.
type Credentials interface {
	// Token returns what opens the API now. Bitbucket and Azure DevOps take
	// name:token as well.
	Token(context.Context) (string, error)
}

// TokenFile is a file that holds a token and nothing else. It is read for each
// request, so that a token that was replaced is in force at once.
type TokenFile string

const maxTokenFile = 16 << 10

// Token reads the file. Its errors name the file and never what it holds.
func (f TokenFile) Token(context.Context) (string, error) {
	content, err := readSecret(string(f))
	return string(content), err
}

// readSecret reads a file that holds one secret: without the white space around
// it, which editors leave there.
func readSecret(path string) ([]byte, error) {
	content, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	content = bytes.TrimSpace(content)
	switch {
	case len(content) == 0:
		return nil, fmt.Errorf("%s: is empty", path)
	case len(content) > maxTokenFile:
		return nil, fmt.Errorf("%s: is over %d bytes; it should hold a token and nothing else", path, maxTokenFile)
	case bytes.ContainsFunc(content, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, fmt.Errorf("%s: has more than one line, or control characters; it should hold a token and nothing else", path)
	}
	return content, nil
}

// readBounded reads a file of secrets, and of one that is no such file not much more
// than it may hold.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxTokenFile+1))
}
