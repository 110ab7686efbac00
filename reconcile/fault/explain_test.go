package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"secretsync/reconcile/fault"
)

func TestEveryReasonIsExplainedOnce(t *testing.T) {
	seen := map[fault.Reason]int{}
	for _, e := range fault.Explanations {
		seen[e.Reason]++
		if found, ok := fault.Explain(e.Reason); !ok || found != e {
			t.Errorf("Explain(%s) is %v, %t", e.Reason, found, ok)
		}
		for what, text := range map[string]string{"meaning": e.Meaning, "cause": e.Cause, "remedy": e.Remedy} {
			if !strings.HasSuffix(text, ".") || strings.Contains(text, "|") || strings.Contains(text, "\n") {
				t.Errorf("the %s of %s is not a sentence that fits a table: %q", what, e.Reason, text)
			}
		}
	}
	for _, r := range declared(t) {
		if seen[r] != 1 {
			t.Errorf("reason %s is explained %d times", r, seen[r])
		}
		delete(seen, r)
	}
	for r := range seen {
		t.Errorf("%s is explained and is no reason", r)
	}
	if _, ok := fault.Explain("synced"); ok {
		t.Error("a word in other case is taken for a reason")
	}
}

// declared reads the reasons from the source: a new one is not to be forgotten.
func declared(t *testing.T) (reasons []fault.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, fault.Reason(value))
		}
		return true
	})
	if len(reasons) < 20 {
		t.Fatalf("only %d reasons were found in the source", len(reasons))
	}
	return reasons
}
