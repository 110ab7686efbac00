package findings

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"secretsync/reconcile/plan"
)

var report = Report{Root: ".", Definitions: 3, Version: "v1", Problems: []plan.Problem{
	{File: "secrets/a\nb.yaml", Level: plan.Error, Rule: plan.RuleNoDefinition, Message: "is named\nbadly: 100%"},
	{File: "secrets/db,x:y.yaml", Line: 4, Column: 3, Level: plan.Error, Rule: plan.RuleClaimedTwice, Message: "claims it", Related: &plan.Related{File: "secrets/api.yaml", Line: 5}},
	{File: "secrets/web.yaml", Level: plan.Warning, Rule: plan.RuleSimilarPath, Message: "looks like another"},
}}

func write(t *testing.T, r *Report, form string) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b, form); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEachFormIsAsItsReadersWantIt(t *testing.T) {
	for form, want := range map[string]string{
		"human": `"secrets/a\nb.yaml": is named badly: 100%
secrets/db,x:y.yaml:4: claims it
secrets/web.yaml: warning: looks like another
`,
		"github": `::error file=secrets/a%0Ab.yaml::is named%0Abadly: 100%25
::error file=secrets/db%2Cx%3Ay.yaml,line=4,col=3::claims it
::warning file=secrets/web.yaml::looks like another
`,
	} {
		if got := write(t, &report, form); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", form, got, want)
		}
	}
	if got := write(t, &Report{Root: "here", Definitions: 2, Problems: report.Problems[2:]}, "human"); got != "secrets/web.yaml: warning: looks like another\nhere: 2 definitions, no mistake\n" {
		t.Error(got)
	}
	var decoded struct {
		Definitions int
		Problems    []plan.Problem
	}
	if err := json.Unmarshal([]byte(write(t, &report, "json")), &decoded); err != nil || decoded.Definitions != 3 || decoded.Problems[1].Related.Line != 5 {
		t.Errorf("%v: %+v", err, decoded)
	}
	if got := write(t, new(Report), "json"); !strings.Contains(got, `"problems": []`) {
		t.Error(got)
	}
	if err := report.Write(os.Stderr, "xml"); err == nil || !strings.Contains(err.Error(), "human, json, sarif, github") {
		t.Error(err)
	}
}

// What the schema of SARIF 2.1.0 requires, and what GitHub's code scanning
// requires besides: https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
func TestSARIFHasWhatItsReadersRequire(t *testing.T) {
	for name, r := range map[string]*Report{"problems": &report, "none": {}} {
		var log map[string]any
		if err := json.Unmarshal([]byte(write(t, r, "sarif")), &log); err != nil {
			t.Fatal(err)
		}
		if log["version"] != "2.1.0" || !strings.HasSuffix(log["$schema"].(string), "sarif-2.1.0.json") {
			t.Errorf("%s: %v", name, log)
		}
		run := log["runs"].([]any)[0].(map[string]any)
		driver := run["tool"].(map[string]any)["driver"].(map[string]any)
		rules := driver["rules"].([]any)
		if driver["name"] != "secretsync" || len(rules) != len(plan.Rules) {
			t.Errorf("%s: %v", name, driver)
		}
		results, ok := run["results"].([]any)
		if !ok || len(results) != len(r.Problems) {
			t.Fatalf("%s: %v", name, run["results"])
		}
		for i, v := range results {
			result := v.(map[string]any)
			p := r.Problems[i]
			rule := rules[int(result["ruleIndex"].(float64))].(map[string]any)
			if result["ruleId"] != string(p.Rule) || rule["id"] != string(p.Rule) || result["level"] != string(p.Level) || result["message"].(map[string]any)["text"] != p.Message {
				t.Errorf("%v", result)
			}
			place := result["locations"].([]any)[0].(map[string]any)["physicalLocation"].(map[string]any)
			uri := place["artifactLocation"].(map[string]any)["uri"].(string)
			if line := place["region"].(map[string]any)["startLine"].(float64); line < 1 || strings.ContainsAny(uri, "\n ") || !strings.HasPrefix(uri, "secrets/") {
				t.Errorf("%v", place)
			}
		}
	}
}

// Azure Pipelines and, in an older form, GitHub's runners take a command from
// anywhere in a line; a terminal takes some from anywhere at all.
func TestNoNameIsACommandToWhoShowsTheLines(t *testing.T) {
	hostile := Report{Problems: []plan.Problem{{File: "secrets/##vso[task.setvariable variable=PATH]##[group]\x1b[2J\u202e.yaml", Level: plan.Error, Rule: plan.RuleNoDefinition, Message: "\"###vso[x\x1b\u202e\" is no name"}}}
	for _, form := range []string{"human", "github"} {
		got := write(t, &hostile, form)
		for _, bad := range []string{"##vso[", "##[", "\x1b", "\u202e"} {
			if strings.Contains(got, bad) {
				t.Errorf("%s: %q holds %q", form, got, bad)
			}
		}
	}
}
