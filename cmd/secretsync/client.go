package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// client is how commands come to a running server.
type client struct {
	url, tenant, key, keyFile string
}

// bind adds the flags that say where the server is and what key to show it.
func (c *client) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.url, "url", "", "where the server is, such as https://secretsync.example.org")
	cmd.Flags().StringVar(&c.tenant, "tenant", "", "the tenant to work in")
	cmd.Flags().StringVar(&c.key, "key", "", "an admin key of the tenant")
	cmd.Flags().StringVar(&c.keyFile, "key-file", "", "a file that holds the key")
	_ = cmd.MarkFlagRequired("url")
	_ = cmd.MarkFlagRequired("tenant")
	_ = cmd.MarkFlagFilename("key-file")
	cmd.PreRunE = func(*cobra.Command, []string) error { return c.readKey() }
}

func (c *client) readKey() error {
	if (c.key == "") == (c.keyFile == "") {
		return errors.New("give the key by --key-file, or by --key where nobody else sees the command line")
	}
	if c.keyFile == "" {
		return nil
	}
	content, err := os.ReadFile(c.keyFile)
	if err != nil {
		return fmt.Errorf("--key-file: %w", err)
	}
	c.key = strings.TrimSpace(string(content))
	return nil
}

// call makes one request below the tenant's path and decodes the answer into out
// unless that is nil. An answer that is
// an error becomes one, in the server's words.
func (c *client) call(ctx context.Context, method, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.url, "/")+"/api/v1/tenants/"+c.tenant+path, nil)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return err
	}
	if response.StatusCode >= 400 {
		var answer struct{ Error string }
		if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
			return fmt.Errorf("%s %s: the server answers %s", method, path, response.Status)
		}
		return errors.New(answer.Error)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}
