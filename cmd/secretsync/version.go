package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

// The Makefile sets these when it links. In what `go build` alone made they are
// empty, and what the Go tool recorded takes their place.
var (
	version string // a tag, or how far the commit is from one
	commit  string // the whole SHA
	date    string // of the commit, RFC 3339 in UTC
)

// build says which program this is.
type build struct {
	Version    string `json:"version"`
	Commit     string `json:"commit,omitempty"`
	CommitDate string `json:"commitDate,omitempty"`
	GoVersion  string `json:"goVersion"`
	Platform   string `json:"platform"`
}

func thisBuild() build {
	recorded, ok := debug.ReadBuildInfo()
	if !ok {
		recorded = new(debug.BuildInfo)
	}
	b := recordedBuild(recorded)
	if version != "" {
		b.Version, b.Commit, b.CommitDate = version, commit, date
	}
	b.GoVersion, b.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
	return b
}

// recordedBuild returns what the Go tool recorded of the source: a module's
// version, if it was built as one that was downloaded or from a commit, and the
// commit, if there was a checkout.
func recordedBuild(info *debug.BuildInfo) build {
	var b build
	dirty := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value
		case s.Key == "vcs.time":
			b.CommitDate = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	switch {
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		b.Version = info.Main.Version // which says +dirty itself
	case b.Commit != "":
		b.Version = b.Commit[:min(12, len(b.Commit))] + dirty
	default:
		b.Version = "unknown"
	}
	return b
}

// buildVersion returns the version alone.
func buildVersion() string { return thisBuild().Version }

func (b build) String() string {
	return fmt.Sprintf("secretsync %s (commit %s of %s, %s, %s)", b.Version,
		cmp.Or(b.Commit, "unknown"), cmp.Or(b.CommitDate, "an unknown date"), b.GoVersion, b.Platform)
}

// buildMetric tells dashboards which version each replica runs.
func buildMetric() prometheus.Collector {
	b := thisBuild()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "secretsync_build_info", Help: "Always 1; the labels say which program is running.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "goversion": b.GoVersion},
	})
	gauge.Set(1)
	return gauge
}

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Print the version of this program, the commit that it was built from and that
commit's date, and what it was built with and for.`,
		Example: `  secretsync version
  secretsync version -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch output {
			case "text":
				_, err := fmt.Fprintln(cmd.OutOrStdout(), thisBuild())
				return err
			case "json":
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(thisBuild())
			}
			return fmt.Errorf("--output: %q is no form of output; use text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", `"text" or "json"`)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
