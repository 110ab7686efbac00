package plan_test

import (
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/plan"
)

func TestACopyGoesWhereBeforeAndAfterSaySo(t *testing.T) {
	yes := true
	deletes := &definition.Shape{DeletionPolicy: definition.Delete}
	for name, test := range map[string]struct {
		from, to *definition.Shape
		removed  bool
		brake    string
		want     string
		stands   *plan.Copy // nil: not known
	}{
		"the target goes":                                         {deletes, deletes, false, "", "delete production/default/db db db", nil},
		"the definition goes":                                     {deletes, nil, true, "", "delete production/default/db db db", nil},
		"it is to stay":                                           {nil, nil, false, "", "stop production/default/db db db", nil},
		"it is to stay from now on":                               {deletes, nil, false, "", "stop production/default/db db db", nil},
		"it was to stay till now":                                 {nil, deletes, false, "", "stop production/default/db db db", nil},
		"its definition is suspended":                             {deletes, &definition.Shape{DeletionPolicy: definition.Delete, Suspend: &yes}, false, "", "stop production/default/db db db", nil},
		"the Secret is shared":                                    {&definition.Shape{DeletionPolicy: definition.Delete, Mode: definition.ModeMerge}, nil, true, "", "delete production/default/db db db", nil},
		"the Secret is shared from now on":                        {deletes, &definition.Shape{DeletionPolicy: definition.Delete, Mode: definition.ModeMerge}, false, "", "stop production/default/db db db", nil},
		"it would be more than are allowed":                       {deletes, deletes, false, "too many", "delete production/default/db db db held DeletionHeld", nil},
		"it was to stay till now, and the copy says that it goes": {nil, deletes, false, "", "delete production/default/db db db", &plan.Copy{Definition: "db", Goes: true}},
		"it was to go, and the copy does not say so":              {deletes, deletes, false, "", "stop production/default/db db db", &plan.Copy{Definition: "db"}},
		"it was to stay, and the copy says that it goes":          {nil, nil, true, "", "stop production/default/db db db", &plan.Copy{Definition: "db", Goes: true}},
		"another definition's copy stands there":                  {deletes, deletes, false, "", "stop production/default/db db db", &plan.Copy{Definition: "web", Goes: true}},
		"none stands there":                                       {deletes, deletes, false, "", "stop production/default/db db db", &plan.Copy{}},
	} {
		t.Run(name, func(t *testing.T) {
			to := files{"db": "db"}
			if test.removed {
				to = files{}
			}
			in := plan.Input{From: setOf(t, files{"db": "db production/default"}), To: setOf(t, to), Reach: acme(t), Brake: func(copies int) string {
				if copies != 1 {
					t.Errorf("asked for %d copies", copies)
				}
				return test.brake
			}}
			if test.stands != nil {
				in.Copy = func(definition.Place, definition.Name) (plan.Copy, bool) { return *test.stands, true }
			}
			in.From.Definitions[0].Shape = test.from
			if !test.removed {
				in.To.Definitions[0].Shape = test.to
			}
			p := plan.Make(in)
			if got := told(p); len(got) != 1 || strings.TrimSpace(got[0]) != test.want {
				t.Fatalf("%q", got)
			}
			deleted := strings.HasPrefix(test.want, "delete")
			if deleted != (p.Summary.Delete == 1) || deleted == (p.Summary.Stop == 1) || deleted != strings.Contains(p.Headline(), "to delete (Secrets go)") || !p.Changes() || p.Failing() != "" {
				t.Errorf("%+v: %s; failing %q", p.Summary, p.Headline(), p.Failing())
			}
		})
	}
}

// What is refused may mean a place by another name of its cluster, so nothing goes there.
func TestACopyStaysWhereARefusedTargetMayMeanIt(t *testing.T) {
	deletes := func(targets string) string {
		return "name: db\nsecretPath: db\ndeletionPolicy: Delete\nsync:\n" + targets
	}
	const here, nowhere = "- {cluster: production, namespace: default}\n", "- {cluster: nowhere, namespace: default}\n"
	in := plan.Input{From: setOf(t, files{"db": deletes(here)}), To: setOf(t, files{"db": deletes(nowhere)}), Reach: acme(t)}
	want := []string{"create nowhere/default/db db db held ClusterNotFound", "stop production/default/db db db"}
	if got := told(plan.Make(in)); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

// One that waited for a Secret as a whole comes to share its Secrets, and loses the target
// in the same change: the copy of the other goes if nobody else wants the Secret.
func TestOneThatComesToShareLetsGoOfTheCopyItWaitedFor(t *testing.T) {
	const here, elsewhere = "h production/default/x", "h staging/b"
	for name, test := range map[string]struct{ to, want string }{
		"who has it keeps it":       {here, "stop production/default/x db d"},
		"it is nobody's after that": {elsewhere, "delete production/default/x db d"},
	} {
		t.Run(name, func(t *testing.T) {
			from := files{"db": "d production/default/x", "has": test.to}
			in := plan.Input{From: setOf(t, from), To: setOf(t, files{"db": "d staging/a", "has": test.to}), Reach: acme(t), Copy: func(definition.Place, definition.Name) (plan.Copy, bool) {
				return plan.Copy{Definition: "has", Goes: true}, true
			}}
			in.To.Definitions[0].Shape = &definition.Shape{Mode: definition.ModeMerge, DeletionPolicy: definition.Delete}
			for _, set := range []*definition.Set{&in.From, &in.To} {
				set.Definitions[1].Shape = &definition.Shape{DeletionPolicy: definition.Delete}
			}
			if got, want := told(plan.Make(in)), []string{test.want, "create staging/a/db db d"}; !slices.Equal(got, want) {
				t.Errorf("%q, not %q", got, want)
			}
		})
	}
}

// Who waits for a place lets go of it, and the copy that another one left there goes.
func TestTheCopyOfAnotherGoesAsThatOneSays(t *testing.T) {
	for name, test := range map[string]struct {
		shape *definition.Shape // of the other one; it has the place no more
		want  string
	}{
		"with its target": {&definition.Shape{DeletionPolicy: definition.Delete}, "delete production/default/x waits w"},
		"it is to stay":   {nil, "stop production/default/x waits w"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := setOf(t, files{"had": "h staging/a", "waits": "w production/default/x"}), setOf(t, files{"had": "h staging/a"})
			from.Definitions[0].Shape, to.Definitions[0].Shape = test.shape, test.shape
			p := plan.Make(plan.Input{From: from, To: to, Reach: acme(t), Copy: func(definition.Place, definition.Name) (plan.Copy, bool) {
				return plan.Copy{Definition: "had", Goes: true}, true
			}})
			if got := told(p); len(got) != 1 || got[0] != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}
