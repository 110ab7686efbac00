// Package findings writes what is wrong with definitions in the forms in which
// people and forges read it: lines, JSON, SARIF 2.1.0 (which GitHub's code
// scanning and many editors take) and the workflow commands of GitHub's runners,
// which Gitea's and Forgejo's know as well.
//
// It guarantees that what a file is called or holds can't forge a line, a command
// or a place in any of them, and that the order is that of the problems.
package findings

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"secretsync/reconcile/plan"
)

// Report is what a check found.
type Report struct {
	Root        string // as it was given
	Definitions int
	Problems    []plan.Problem
	Version     string // of the program
}

// Mistakes counts the problems that have to be mended.
func (r *Report) Mistakes() (n int) {
	for i := range r.Problems {
		if r.Problems[i].Level == plan.Error {
			n++
		}
	}
	return n
}

// Forms are the names of the forms, the usual one first.
var Forms = []string{"human", "json", "sarif", "github"}

// Write writes the report in a form. One of another name is an error.
func (r *Report) Write(out io.Writer, form string) error {
	switch form {
	case "human":
		return r.writeHuman(out)
	case "json":
		return r.writeJSON(out)
	case "sarif":
		return r.writeSARIF(out)
	case "github":
		return r.writeGitHub(out)
	}
	return fmt.Errorf("--output: %q is no form of output; use one of %s", form, strings.Join(Forms, ", "))
}

func (r *Report) writeHuman(out io.Writer) error {
	var b strings.Builder
	for i := range r.Problems {
		p := r.Problems[i]
		if p.Level != plan.Error {
			p.Message = string(p.Level) + ": " + p.Message
		}
		fmt.Fprintln(&b, plan.Line(p.String()))
	}
	if r.Mistakes() == 0 {
		fmt.Fprintf(&b, "%s: %d definitions, no mistake\n", r.Root, r.Definitions)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) writeJSON(out io.Writer) error {
	problems := r.Problems
	if problems == nil {
		problems = []plan.Problem{}
	}
	return encode(out, struct {
		Definitions int            `json:"definitions"`
		Problems    []plan.Problem `json:"problems"`
	}{r.Definitions, problems})
}

func encode(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// What a workflow command takes for its own is escaped, as actions/toolkit does it.
var (
	commandData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// shown keeps line breaks, which are escaped; of the rest what a log can't be harmed by.
func shown(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = plan.Line(lines[i])
	}
	return strings.Join(lines, "\n")
}

func (r *Report) writeGitHub(out io.Writer) error {
	var b strings.Builder
	for i := range r.Problems {
		p := &r.Problems[i]
		fmt.Fprintf(&b, "::%s file=%s", p.Level, commandProperty.Replace(shown(p.File)))
		if p.Line > 0 {
			fmt.Fprintf(&b, ",line=%d", p.Line)
		}
		if p.Column > 0 {
			fmt.Fprintf(&b, ",col=%d", p.Column)
		}
		fmt.Fprintf(&b, "::%s\n", commandData.Replace(shown(p.Message)))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// The parts of SARIF 2.1.0 that are written here, named as the standard has them
// (OASIS, sarif-v2.1.0-os).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		Default          sarifDefault `json:"defaultConfiguration"`
	}
	sarifDefault struct {
		Level plan.Level `json:"level"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     plan.Level      `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
		Related   []sarifLocation `json:"relatedLocations,omitempty"`
	}
	sarifLocation struct {
		ID       int           `json:"id,omitempty"`
		Physical sarifPhysical `json:"physicalLocation"`
		Message  *sarifMessage `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI       string `json:"uri"`
		URIBaseID string `json:"uriBaseId"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

func (r *Report) writeSARIF(out io.Writer) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "secretsync", Version: r.Version}
	index := make(map[plan.Rule]int)
	for i, rule := range plan.Rules {
		index[rule.Rule] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: string(rule.Rule), ShortDescription: sarifMessage{rule.Says}, Default: sarifDefault{rule.Level}})
	}
	for i := range r.Problems {
		p := &r.Problems[i]
		result := sarifResult{
			RuleID: string(p.Rule), RuleIndex: index[p.Rule], Level: p.Level, Message: sarifMessage{p.Message},
			Locations: []sarifLocation{{Physical: physical(p.File, p.Line, p.Column)}},
		}
		if at := p.Related; at != nil {
			result.Related = []sarifLocation{{ID: 1, Physical: physical(at.File, at.Line, at.Column), Message: &sarifMessage{"the other place"}}}
		}
		run.Results = append(run.Results, result)
	}
	return encode(out, sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// physical is a place in a file. What is wrong with a file as a whole is shown at
// its first line: GitHub shows nothing without one.
func physical(file string, line, column int) sarifPhysical {
	return sarifPhysical{
		Artifact: sarifArtifact{URI: (&url.URL{Path: file}).String(), URIBaseID: "%SRCROOT%"},
		Region:   sarifRegion{StartLine: max(line, 1), StartColumn: column},
	}
}
