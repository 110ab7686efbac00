// Package place owns which server the commands speak to, in which tenant and as whom:
// the flags and variables that say so, and the file in which a person's ways to servers
// are kept. A key that is kept there goes to no other server than the one it was kept
// for.
package place

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/httpapi/client"
)

// The variables that say where the server is and who asks.
const (
	URLVariable    = "SECRETSYNC_URL"
	TenantVariable = "SECRETSYNC_TENANT"
	KeyVariable    = "SECRETSYNC_KEY"
)

// mostOfKeyFile is how many bytes of a file are read that should hold a key.
const mostOfKeyFile = 4 << 10

// Flags say which server is spoken to, in which tenant and with which key. Each is
// taken from the first that says it:
//
//	           flag                       variable            context
//	server     --url                      SECRETSYNC_URL      url
//	tenant     --tenant                   SECRETSYNC_TENANT   tenant
//	key        --key-file                 SECRETSYNC_KEY      key, for that very server and tenant alone
//
// The context is that of --context, or else the current one. A key in a context is
// never shown to another server than that of the context. With --context the
// variables don't count.
type Flags struct {
	url, tenant, context, keyFile, key string
}

// Given returns flags of these values.
func Given(url, tenant, context, keyFile string) *Flags {
	return &Flags{url: url, tenant: tenant, context: context, keyFile: keyFile}
}

// Bind adds the flags to a command. role is what the key must be allowed, such as "an
// admin key".
func (p *Flags) Bind(cmd *cobra.Command, role string) {
	p.BindServer(cmd, role)
	cmd.Flags().StringVar(&p.tenant, "tenant", "", "the tenant to work in (default "+TenantVariable+", or that of the context)")
	cmd.Flags().StringVar(&p.key, "key", "", "the key itself")
	_ = cmd.Flags().MarkHidden("key")
	// Not as a deprecated flag, of which cobra warns on the standard output.
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		if cmd.Flags().Changed("key") {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: --key will go: whoever can list the processes of this machine can read the key there; log in with secretsync login, or use --key-file or %s\n", KeyVariable)
		}
	}
	cmd.MarkFlagsMutuallyExclusive("key", "key-file")
}

// BindServer adds those that say nothing of the tenant, for a command that has a flag
// of that name already; [Flags.Within] hands it over.
func (p *Flags) BindServer(cmd *cobra.Command, role string) {
	flags := cmd.Flags()
	flags.StringVar(&p.url, "url", "", "where the server is, such as https://secretsync.example.org (default "+URLVariable+", or that of the context)")
	flags.StringVar(&p.context, "context", "", "the context to use (default the current one; see secretsync login)")
	flags.StringVar(&p.keyFile, "key-file", "", "a file that holds "+role+" of the tenant (default "+KeyVariable+", which holds the key itself, or that of the context)")
	_ = cmd.MarkFlagFilename("key-file")
	_ = cmd.RegisterFlagCompletionFunc("context", CompleteContexts)
}

// Within sets the tenant.
func (p *Flags) Within(tenant string) { p.tenant = tenant }

// Named reports whether a flag says which server it is.
func (p *Flags) Named() bool { return p.url != "" || p.context != "" }

// Client returns what speaks to the server.
func (p *Flags) Client() (*client.Client, error) {
	url, tenant, key := p.url, p.tenant, p.key
	if p.keyFile != "" {
		var err error
		if key, err = readKeyFile(p.keyFile); err != nil {
			return nil, err
		}
	}
	if p.context == "" {
		take(&url, os.Getenv(URLVariable))
		take(&tenant, os.Getenv(TenantVariable))
		take(&key, strings.TrimSpace(os.Getenv(KeyVariable)))
	}
	if url == "" || tenant == "" || key == "" || p.context != "" {
		if err := p.fill(&url, &tenant, &key); err != nil {
			return nil, err
		}
	}
	return &client.Client{URL: url, Tenant: tenant, Key: key}, nil
}

func take(into *string, otherwise string) {
	if *into == "" {
		*into = otherwise
	}
}

// fill takes what is not said yet from a context.
func (p *Flags) fill(url, tenant, key *string) error {
	file, err := Load()
	if err != nil {
		return err
	}
	used, ok := file.Find(p.context)
	if !ok && p.context != "" {
		return fmt.Errorf("--context: there is no context %q; there is %s", p.context, file.List())
	}
	take(url, used.URL)
	if *url == "" {
		return errors.New("which server? Log in once with: secretsync login URL --tenant TENANT; or give --url, or " + URLVariable)
	}
	there := func(c Context) bool { return trimURL(c.URL) == trimURL(*url) }
	if there(used) {
		take(tenant, used.Tenant)
	}
	if *tenant == "" {
		return errors.New("which tenant? Give --tenant, or " + TenantVariable)
	}
	// Several tenants of a server are several contexts: the key is that tenant's.
	for _, c := range append([]Context{used}, file.Contexts...) {
		if p.context == "" && there(c) && c.Tenant == *tenant || p.context != "" && c.Name == p.context && there(c) && c.Tenant == *tenant {
			take(key, c.Key)
		}
	}
	if *key == "" {
		return fmt.Errorf("there is no key for tenant %s of %s; log in with: secretsync login %[2]s --tenant %[1]s, or give --key-file FILE or %[3]s", *tenant, *url, KeyVariable)
	}
	return nil
}

func trimURL(url string) string { return strings.TrimRight(url, "/") }

// readKeyFile returns the key that a file holds.
func readKeyFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--key-file: %w", err)
	}
	defer file.Close()
	key, err := ReadKey(file)
	if err != nil {
		return "", fmt.Errorf("--key-file: %s %w", path, err)
	}
	return key, nil
}

// ReadKey reads a key and nothing else.
func ReadKey(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, mostOfKeyFile+1))
	if err != nil {
		return "", fmt.Errorf("can't be read: %w", err)
	}
	key := strings.TrimSpace(string(content))
	switch {
	case len(content) > mostOfKeyFile || strings.ContainsAny(key, "\r\n"):
		return "", errors.New("holds no key; it should hold one and nothing else")
	case key == "":
		return "", errors.New("is empty")
	}
	return key, nil
}

// CompleteContexts completes the name of a context.
func CompleteContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, err := Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}
