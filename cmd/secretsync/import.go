package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"secretsync/cmd/secretsync/internal/cli"
	"secretsync/cmd/secretsync/internal/migrate"
	"secretsync/gitstore"
	"secretsync/gitstore/definition"
	"secretsync/gitstore/definition/edit"
	"secretsync/gitstore/definition/parse"
)

// maxImport bounds what is read at once; a cluster's resources are far below it.
const maxImport = 256 << 20

// importOptions is what the command line of import says.
type importOptions struct {
	tenant, cluster, mount, prefix string
	namespace, vaultNamespace      string
	vaultAddress                   string
	out, handover, output          string
	dryRun, force                  bool
}

func newImport() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import --tenant TENANT --cluster CLUSTER --mount MOUNT FILE|FOLDER|-...",
		Short: "Turn resources of External Secrets and Vault Secrets Operator into definitions",
		Long: `Read resources of External Secrets Operator (ExternalSecret, ClusterExternalSecret,
SecretStore, ClusterSecretStore) and of Vault Secrets Operator (VaultStaticSecret,
VaultAuth, VaultConnection), and write a definition for each value they copy, with
a target for each Secret. They come from files, from the .yaml, .yml and .json
files of folders, or from the standard input, as YAML of many documents, as Lists
or as JSON. Nothing but files is read and written.

Type, labels, annotations, single keys, templates and restarts come along where
they mean the same. A resource becomes a definition only if the Secret would hold
the same keys and values. What does not come along is told, each with file, line, reason and what
to do: "refused" is in no definition, "left" is missing from one, and "note" is
good to know. A definition of the same content gets more targets and stays else
as it is; no other file that differs is overwritten without --force.

Besides it tells which Vault policy the tenant's login needs, and the commands
that hand the live Secrets over without a gap: to be run when the definitions are
pushed.

The exit code is 0 if all was carried over, 2 if something was refused or left,
and 1 if something failed: what was given can't be read, or a file differs. Then
nothing is written.`,
		Example: `  kubectl get externalsecrets,clusterexternalsecrets,secretstores,clustersecretstores -A -o yaml |
    secretsync import --tenant acme --cluster production --mount secret --prefix acme --out acme-secrets -
  secretsync import --tenant acme --cluster production --mount secret --dry-run manifests/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.tenant, "tenant", "", "the tenant the definitions are for")
	flags.StringVar(&o.cluster, "cluster", "", "how the tenant's definitions call the cluster the resources are in")
	flags.StringVar(&o.mount, "mount", "", "the tenant's KV v2 mount")
	flags.StringVar(&o.prefix, "prefix", "", "the tenant's prefix in the mount")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "the namespace of resources that name none")
	flags.StringVar(&o.vaultAddress, "vault-address", "", "the tenant's vault, where resources are of several")
	flags.StringVar(&o.vaultNamespace, "vault-namespace", "", "the tenant's namespace of Vault Enterprise")
	flags.StringVar(&o.out, "out", ".", "the checkout to write into; the files go to secrets/ in it")
	flags.StringVar(&o.handover, "adopt-commands", "", "a file to write the commands of the handover to (default the standard output)")
	flags.StringVar(&o.output, "output", "text", `"text" or "json"`)
	flags.BoolVar(&o.dryRun, "dry-run", false, "write no file")
	flags.BoolVar(&o.force, "force", false, "overwrite files that differ")
	for _, flag := range []string{"tenant", "cluster", "mount"} {
		_ = cmd.MarkFlagRequired(flag)
	}
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *importOptions) run(cmd *cobra.Command, args []string) error {
	options, err := o.options()
	if err != nil {
		return err
	}
	resources, err := readResources(args, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if options.Existing, err = readDefinitions(o.out); err != nil {
		return err
	}
	plan := migrate.Convert(resources, options)
	files, err := o.files(plan)
	if err != nil {
		return err
	}
	if !o.dryRun {
		if err := writeAll(files); err != nil {
			return err
		}
	}
	if err := o.print(cmd.OutOrStdout(), plan, files); err != nil {
		return err
	}
	if !plan.Complete() {
		return &cli.Exit{Code: 2, Err: cli.ErrReported}
	}
	return nil
}

// options checks the command line.
func (o *importOptions) options() (migrate.Options, error) {
	var options migrate.Options
	tenant, err := gitstore.ParseTenantName(o.tenant)
	if err != nil {
		return options, fmt.Errorf("--tenant: %w", err)
	}
	options.Tenant = tenant.String()
	if options.Cluster, err = definition.ParseClusterName(o.cluster); err != nil {
		return options, fmt.Errorf("--cluster: %w", err)
	}
	if o.namespace != "" {
		if options.Namespace, err = definition.ParseNamespace(o.namespace); err != nil {
			return options, fmt.Errorf("--namespace: %w", err)
		}
	}
	options.Mount, options.Prefix = strings.Trim(o.mount, "/"), strings.Trim(o.prefix, "/")
	for flag, path := range map[string]string{"--mount": options.Mount, "--prefix": options.Prefix} {
		if _, err := definition.ParseSecretPath(path); err != nil && (path != "" || flag == "--mount") {
			return options, fmt.Errorf("%s: %s is no path in Vault such as team/kv", flag, definition.Quote(path))
		}
	}
	options.VaultNamespace, options.VaultAddress = strings.Trim(o.vaultNamespace, "/"), strings.TrimRight(o.vaultAddress, "/")
	if o.output != "text" && o.output != "json" {
		return options, fmt.Errorf("--output: %q is no form of output; use text or json", o.output)
	}
	return options, nil
}

// readResources reads what the arguments name.
func readResources(args []string, stdin io.Reader) ([]*migrate.Resource, error) {
	var all []*migrate.Resource
	var failed []error
	read := func(name string, in io.Reader) {
		text, err := io.ReadAll(io.LimitReader(in, maxImport+1))
		switch {
		case err != nil:
			failed = append(failed, err)
			return
		case len(text) > maxImport:
			failed = append(failed, fmt.Errorf("%s: is larger than %d MiB; give it in parts", name, maxImport>>20))
			return
		}
		resources, err := migrate.Read(name, text)
		all, failed = append(all, resources...), append(failed, err)
	}
	for _, arg := range args {
		if arg == "-" {
			read("stdin", stdin)
			continue
		}
		paths, err := filesOf(arg)
		failed = append(failed, err)
		for _, path := range paths {
			file, err := os.Open(path)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			read(path, file)
			file.Close()
		}
	}
	return all, errors.Join(failed...)
}

// filesOf returns the file, or the files of the folder that may hold resources.
func filesOf(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{arg}, nil
	}
	var paths []string
	err = filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != arg && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.Type().IsRegular() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			paths = append(paths, path)
		}
		return nil
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s: holds no .yaml, .yml or .json file", arg)
	}
	return paths, err
}

// readDefinitions reads the valid definitions of a checkout, which may be yet to
// be made. What is wrong with others secretsync validate tells.
func readDefinitions(root string) ([]definition.Definition, error) {
	entries, err := os.ReadDir(filepath.Join(root, definition.Folder))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("--out: %w", err)
	}
	var all []definition.Definition
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, definition.Folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("--out: %w", err)
		}
		if d, err := parse.File(definition.Folder+"/"+entry.Name(), content); err == nil {
			all = append(all, d)
		}
	}
	return all, nil
}

// importedFile is one file of the result.
type importedFile struct {
	path    string
	content []byte
	mode    fs.FileMode
	state   string // what is done with it
}

const (
	stateNew       = "new"
	stateUnchanged = "unchanged"
	stateExtended  = "extended" // a definition that gets more targets, and is else as it was
	stateReplaced  = "replaced"
)

// encode returns a definition's file: a new one, or the one that is there with
// more targets.
func encode(d definition.Definition, there []byte) (content []byte, extends bool, err error) {
	if old, err := parse.File(definition.Folder+"/"+d.Name.String()+definition.FileSuffix, there); err != nil || old.SecretPath != d.SecretPath {
		return edit.Encode(d), false, nil
	}
	content, err = edit.File(there, definition.To(d))
	return content, true, err
}

// files encodes the plan and compares it with what is there.
func (o *importOptions) files(plan *migrate.Plan) ([]importedFile, error) {
	var files []importedFile
	var failed []error
	add := func(path string, mode fs.FileMode, make func(there []byte) (content []byte, extends bool, err error)) {
		there, err := os.ReadFile(path)
		absent := errors.Is(err, fs.ErrNotExist)
		if err != nil && !absent {
			failed = append(failed, err)
			return
		}
		content, extends, err := make(there)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", path, err))
			return
		}
		f := importedFile{path: path, content: content, mode: mode, state: stateReplaced}
		switch {
		case absent:
			f.state = stateNew
		case bytes.Equal(there, content):
			f.state = stateUnchanged
		case extends:
			f.state = stateExtended
		case !o.force && !o.dryRun:
			failed = append(failed, fmt.Errorf("%s: is there and differs; compare it with --dry-run --output json, and overwrite it by --force", path))
		}
		files = append(files, f)
	}
	for _, carried := range plan.Definitions {
		d := carried.Definition
		add(filepath.Join(o.out, definition.Folder, d.Name.String()+definition.FileSuffix), 0o644, func(there []byte) ([]byte, bool, error) { return encode(d, there) })
	}
	if script := plan.Handover(); o.handover != "" && script != "" {
		add(o.handover, 0o755, func([]byte) ([]byte, bool, error) { return []byte(script), false, nil })
	}
	return files, errors.Join(failed...)
}

func writeAll(files []importedFile) error {
	for _, f := range files {
		if f.state == stateUnchanged {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.path, f.content, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func (o *importOptions) print(out io.Writer, plan *migrate.Plan, files []importedFile) error {
	if o.output == "json" {
		return o.printJSON(out, plan, files)
	}
	var b strings.Builder
	for i, carried := range plan.Definitions {
		fmt.Fprintf(&b, "%s: %s: %s to %d targets\n", files[i].path, files[i].state, carried.Definition.SecretPath, len(carried.Definition.Sync))
	}
	for _, f := range plan.Findings {
		fmt.Fprintln(&b, f)
	}
	refused, left, passed := count(plan.Findings, migrate.Refused), count(plan.Findings, migrate.Left), 0
	for _, n := range plan.Passed {
		passed += n
	}
	fmt.Fprintf(&b, "%d definitions; %d refused, %d left", len(plan.Definitions), refused, left)
	if passed > 0 {
		fmt.Fprintf(&b, "; %d resources of other kinds passed over: %s", passed, strings.Join(slices.Sorted(maps.Keys(plan.Passed)), ", "))
	}
	b.WriteString("\n")
	if policy := plan.Policy(); policy != "" {
		fmt.Fprintf(&b, "\n# The policy that tenant %s needs in Vault:\n%s", o.tenant, policy)
	}
	if script := plan.Handover(); script != "" && o.handover == "" {
		fmt.Fprintf(&b, "\n%s", script)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func count(findings []migrate.Finding, w migrate.Weight) (n int) {
	for _, f := range findings {
		if f.Weight == w {
			n++
		}
	}
	return n
}

// importedDefinition is a definition in the JSON output.
type importedDefinition struct {
	File       string   `json:"file"`
	State      string   `json:"state"`
	Name       string   `json:"name"`
	SecretPath string   `json:"secretPath"`
	Content    string   `json:"content"`
	From       []string `json:"from"`
}

func (o *importOptions) printJSON(out io.Writer, plan *migrate.Plan, files []importedFile) error {
	answer := struct {
		Definitions   []importedDefinition `json:"definitions"`
		Findings      []migrate.Finding    `json:"findings"`
		PassedOver    map[string]int       `json:"passedOver"` // by kind
		VaultPolicy   string               `json:"vaultPolicy"`
		AdoptCommands string               `json:"adoptCommands"`
	}{Definitions: []importedDefinition{}, Findings: append([]migrate.Finding{}, plan.Findings...), PassedOver: plan.Passed,
		VaultPolicy: plan.Policy(), AdoptCommands: plan.Handover()}
	for i, carried := range plan.Definitions {
		d := carried.Definition
		answer.Definitions = append(answer.Definitions, importedDefinition{
			File: files[i].path, State: files[i].state, Name: d.Name.String(), SecretPath: d.SecretPath.String(), Content: string(files[i].content), From: carried.From})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(answer)
}
