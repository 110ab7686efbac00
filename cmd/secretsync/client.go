package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/httpapi/client"
)

// clientFlags are those by which commands come to a running server.
type clientFlags struct {
	client.Client
	keyFile string
}

// keyVariable is where the key is taken from if no flag gives one.
const keyVariable = "SECRETSYNC_KEY"

// mostOfKeyFile is how many bytes of a file are read that should hold a key.
const mostOfKeyFile = 4 << 10

// bind adds the flags that say where the server is and what key to show it.
// role is what the key must be allowed, such as "an admin key".
func (c *clientFlags) bind(cmd *cobra.Command, role string) {
	cmd.Flags().StringVar(&c.URL, "url", "", "where the server is, such as https://secretsync.example.org")
	cmd.Flags().StringVar(&c.Tenant, "tenant", "", "the tenant to work in")
	cmd.Flags().StringVar(&c.keyFile, "key-file", "", "a file that holds "+role+" of the tenant (default the variable "+keyVariable+", which holds the key itself)")
	cmd.Flags().StringVar(&c.Key, "key", "", "the key itself: whoever can list the processes of this machine can read it here, so rather use one of the others")
	_ = cmd.MarkFlagRequired("url")
	_ = cmd.MarkFlagRequired("tenant")
	_ = cmd.MarkFlagFilename("key-file")
	cmd.MarkFlagsMutuallyExclusive("key", "key-file")
	cmd.PreRunE = func(*cobra.Command, []string) error { return c.readKey() }
}

func (c *clientFlags) readKey() error {
	if c.keyFile != "" {
		file, err := os.Open(c.keyFile)
		if err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
		defer file.Close()
		content, err := io.ReadAll(io.LimitReader(file, mostOfKeyFile+1))
		if err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
		c.Key = strings.TrimSpace(string(content))
		switch {
		case len(content) > mostOfKeyFile || strings.ContainsAny(c.Key, "\r\n"):
			return fmt.Errorf("--key-file: %s holds no key; it should hold one and nothing else", c.keyFile)
		case c.Key == "":
			return fmt.Errorf("--key-file: %s is empty", c.keyFile)
		}
		return nil
	}
	if c.Key == "" {
		c.Key = strings.TrimSpace(os.Getenv(keyVariable))
	}
	if c.Key == "" {
		return errors.New("there is no key; give one by --key-file FILE or by " + keyVariable)
	}
	return nil
}
