package verify

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errDown = errors.New("down")

const aCommit = "1111111111111111111111111111111111111111"

// right is a target of which everything that is said is so.
func ofFormat(format string) func(*facts) {
	return func(f *facts) { f.secret.Annotations[annotationFormat] = format }
}

func right() *facts {
	created := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	at := Place{"production", "default", "db"}
	d := Definition{Name: "db", Path: "app/db", Places: []Place{at}}
	data := Digest(map[string][]byte{"password": []byte("one")})
	return &facts{
		owner:      definitionKey{"acme", "db"},
		definition: d,
		claim:      TargetClaim{Place: at, State: "Synced", Reason: "Synced", VaultVersion: 3, Commit: aCommit, LastSync: created},
		registered: true, granted: true, cluster: "production",
		value: Value{Found: true, Version: 3, Created: created, Data: data},
		secret: &Secret{
			Type:   "Opaque",
			Labels: map[string]string{labelManagedBy: "secretsync", labelTenant: "acme", labelName: "db", "theirs": "stays"},
			Annotations: map[string]string{
				annotationCommit: aCommit, annotationPath: "app/db", annotationVersion: "3", annotationCreated: created.Format(time.RFC3339Nano),
			},
			Data: data,
		},
		namespace:   Namespace{Exists: true},
		originKnown: true, origin: &d,
	}
}

// unsynced has a target said to stand in another way, without a copy.
func unsynced(state, reason string) func(*facts) {
	return func(f *facts) {
		f.claim = TargetClaim{Place: f.claim.Place, State: state, Reason: reason}
		f.secret, f.originKnown = nil, false
	}
}

func all(changes ...func(*facts)) func(*facts) {
	return func(f *facts) {
		for _, change := range changes {
			change(f)
		}
	}
}

func TestOfATargetEachLieIsFoundAndNoTruthIsOne(t *testing.T) {
	noValue := func(f *facts) { f.value = Value{} }
	gone := func(f *facts) { f.value.Gone, f.value.Data = true, nil }
	noCluster := func(f *facts) { f.clusterErr, f.secret, f.originKnown = errDown, nil, false }
	noVault := func(f *facts) { f.valueErr, f.value = errDown, Value{} }
	rival := func(f *facts) { f.rivals = []definitionKey{{"acme", "other"}} }
	keepsCopy := func(state, reason string) func(*facts) {
		return func(f *facts) { f.claim.State, f.claim.Reason = state, reason }
	}
	for name, c := range map[string]struct {
		change func(*facts)
		want   string // kinds
	}{
		"all is right":                                 {func(*facts) {}, ""},
		"neither version nor commit is told":           {func(f *facts) { f.claim.VaultVersion, f.claim.Commit = 0, "" }, ""},
		"the copy is absent":                           {func(f *facts) { f.secret, f.originKnown = nil, false }, "absent"},
		"the copy is of an older version, and says so": {func(f *facts) { f.value.Version = 4 }, "otherVersion"},
		"versions began again":                         {func(f *facts) { f.value.Created = f.value.Created.Add(time.Hour) }, "otherVersion"},
		"a key has another value":                      {func(f *facts) { f.secret.Data = Digest(map[string][]byte{"password": []byte("two")}) }, "otherData"},
		"a key is lacking":                             {func(f *facts) { f.secret.Data = nil }, "otherData"},
		"a key is too many":                            {func(f *facts) { f.secret.Data = Digest(map[string][]byte{"password": []byte("one"), "x": nil}) }, "otherData"},
		"the copy is of another path":                  {func(f *facts) { f.secret.Annotations[annotationPath] = "app/other" }, "otherPath"},
		"its commit didn't have the definition":        {func(f *facts) { f.origin = nil }, "otherCommit"},
		"its commit had another path":                  {func(f *facts) { d := f.definition; d.Path = "x"; f.origin = &d }, "otherCommit"},
		"its commit had another target":                {func(f *facts) { d := f.definition; d.Places = nil; f.origin = &d }, "otherCommit"},
		"its commit is known no more":                  {func(f *facts) { f.originKnown, f.origin = false, nil }, ""},
		"our label is gone":                            {func(f *facts) { delete(f.secret.Labels, labelManagedBy) }, "otherLabels"},
		"it is labelled as another definition's":       {func(f *facts) { f.secret.Labels[labelName] = "web" }, "otherLabels"},
		"it is of another type":                        {func(f *facts) { f.secret.Type = "kubernetes.io/tls" }, "otherType"},
		"another version is told than it bears":        {func(f *facts) { f.claim.VaultVersion = 2 }, "notBorne"},
		"another commit is told than it bears":         {func(f *facts) { f.claim.Commit = strings.Repeat("2", 40) }, "notBorne"},
		"synced without a value":                       {noValue, "unfounded"},
		"synced of a deleted value":                    {gone, "unfounded"},
		"synced of what can't be copied":               {func(f *facts) { f.value.Unfit = "ValueTooLarge" }, "unfounded"},
		"synced to a cluster that is not registered":   {func(f *facts) { f.registered = false }, "unfounded"},
		"synced to a namespace that is not granted":    {func(f *facts) { f.granted = false }, "unfounded"},
		"synced, and the cluster can't be seen":        {noCluster, ""},
		"synced, and the vault can't be seen":          {noVault, ""},
		"absent, and the vault can't be seen":          {all(noVault, func(f *facts) { f.secret = nil }), "absent"},
		"an error, and a version of no copy":           {all(keepsCopy("Error", "NotOwned"), rival, func(f *facts) { f.secret = nil }), "causeGone notBorne"},
		"queued, though nothing hinders":               {unsynced("Pending", "Queued"), "causeGone"},
		"queued behind a vault that is down":           {all(unsynced("Pending", "Queued"), noVault), ""},
		"no value, and there is none":                  {all(unsynced("Pending", "ValueNotFound"), noValue), ""},
		"no value, and there is one":                   {unsynced("Pending", "ValueNotFound"), "causeGone"},
		"no value, and it is deleted by now":           {all(unsynced("Pending", "ValueNotFound"), gone), ""},
		"a deleted value, and it is":                   {all(keepsCopy("Error", "ValueDeleted"), gone), ""},
		"a deleted value, and it was written anew":     {keepsCopy("Error", "ValueDeleted"), "causeGone"},
		"an invalid key, and there is one":             {all(unsynced("Error", "InvalidKey"), func(f *facts) { f.value.Unfit = "InvalidKey" }), ""},
		"an invalid key, and there is none":            {unsynced("Error", "InvalidKey"), "causeGone"},
		"too large, and it is not":                     {unsynced("Error", "ValueTooLarge"), "causeGone"},
		"not owned, and a foreign Secret stands":       {all(unsynced("Error", "NotOwned"), func(f *facts) { f.secret = &Secret{Type: "Opaque"} }), ""},
		"not owned, and none stands":                   {unsynced("Error", "NotOwned"), "causeGone"},
		"not owned, and it is ours":                    {keepsCopy("Error", "NotOwned"), "causeGone"},
		"a conflict, and there is one":                 {all(unsynced("Error", "TargetConflict"), rival), ""},
		"a conflict with one that has a share and is gone": {all(keepsCopy("Error", "TargetConflict"), func(f *facts) {
			f.secret.Labels = map[string]string{labelTenant: "acme"}
			f.secret.Annotations["gone"+recordSuffix] = "{}"
		}), ""},
		"a conflict with what only its copy tells of":   {all(keepsCopy("Error", "TargetConflict"), func(f *facts) { f.secret.Labels[labelTenant] = "umbrella" }), ""},
		"a conflict, and there is none":                 {unsynced("Error", "TargetConflict"), "causeGone"},
		"no cluster, and it is registered":              {unsynced("Error", "ClusterNotFound"), "causeGone"},
		"no cluster, and it is not":                     {all(unsynced("Error", "ClusterNotFound"), func(f *facts) { f.registered = false }), ""},
		"not granted, and it is":                        {unsynced("Error", "NamespaceNotAllowed"), "causeGone"},
		"not granted, and it is not":                    {all(unsynced("Error", "NamespaceNotAllowed"), func(f *facts) { f.granted = false }), ""},
		"no namespace, and it is there":                 {unsynced("Pending", "NamespaceNotFound"), "causeGone"},
		"no namespace, and there is none":               {all(unsynced("Pending", "NamespaceNotFound"), func(f *facts) { f.namespace = Namespace{} }), ""},
		"the namespace ends, and it does":               {all(unsynced("Pending", "NamespaceTerminating"), func(f *facts) { f.namespace.Terminating = true }), ""},
		"the namespace ends, and it stays":              {unsynced("Pending", "NamespaceTerminating"), "causeGone"},
		"unreachable, and it is":                        {all(unsynced("Error", "ClusterUnreachable"), noCluster), ""},
		"unreachable, and it answers":                   {keepsCopy("Error", "ClusterUnreachable"), "causeGone"},
		"forbidden, which only the cluster knows":       {unsynced("Error", "Forbidden"), ""},
		"the vault is unavailable, and it is":           {all(keepsCopy("Error", "VaultUnavailable"), noVault), ""},
		"the vault is unavailable, and it answers":      {keepsCopy("Error", "VaultUnavailable"), "causeGone"},
		"the vault forbids, and it doesn't":             {keepsCopy("Error", "VaultForbidden"), "causeGone"},
		"another type, and it is":                       {all(keepsCopy("Error", "TypeMismatch"), func(f *facts) { f.secret.Type = "x" }), ""},
		"immutable, and it is":                          {all(keepsCopy("Error", "TypeMismatch"), func(f *facts) { f.secret.Immutable = true }), ""},
		"another type, and it is none":                  {keepsCopy("Error", "TypeMismatch"), "causeGone"},
		"synced, of a format that is not known":         {ofFormat("2"), "unfounded"},
		"synced, of a format that is written down":      {ofFormat("1"), ""},
		"a newer format, and it is":                     {all(keepsCopy("Error", "NewerFormat"), ofFormat("2")), ""},
		"a newer format, and it is none":                {keepsCopy("Error", "NewerFormat"), "causeGone"},
		"a newer format, and none stands":               {unsynced("Error", "NewerFormat"), "causeGone"},
		"altered, and it is":                            {all(keepsCopy("Error", "Altered"), func(f *facts) { f.secret.Data = nil }), ""},
		"altered, and it is not":                        {keepsCopy("Error", "Altered"), "causeGone"},
		"a reason that can't be known from outside":     {keepsCopy("Error", "Contended"), ""},
		"a copy that stood is gone, whatever is said":   {all(unsynced("Error", "Contended"), func(f *facts) { f.claim.LastSync = f.value.Created }), "wiped"},
		"a copy that stood is gone, and is waited with": {all(unsynced("Pending", "Queued"), func(f *facts) { f.claim.LastSync = f.value.Created }), "wiped"},
		"it stood, and its value is deleted":            {all(unsynced("Error", "ValueDeleted"), gone, func(f *facts) { f.claim.LastSync = time.Unix(1, 0) }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := right()
			c.change(f)
			var kinds []string
			judgeTarget(f, func(kind Kind, found finding) {
				kinds = append(kinds, string(kind))
				if found.says == "" || found.finds == "" {
					t.Errorf("%s without words: %+v", kind, found)
				}
			})
			slices.Sort(kinds)
			if got := strings.Join(kinds, " "); got != c.want {
				t.Errorf("found %q; want %q", got, c.want)
			}
		})
	}
}

func TestOfADefinitionEachLieIsFoundAndNoTruthIsOne(t *testing.T) {
	one, two := Place{"c", "n", "one"}, Place{"c", "n", "two"}
	target := func(p Place, state string) TargetClaim { return TargetClaim{Place: p, State: state, Reason: state} }
	for name, c := range map[string]struct {
		invalid bool
		places  []Place
		claim   Claim
		want    string
	}{
		"active with all":            {places: []Place{one, two}, claim: Claim{Phase: "Active", Targets: []TargetClaim{target(one, "Synced"), target(two, "Synced")}}},
		"active without a target":    {claim: Claim{Phase: "Active"}},
		"degraded":                   {places: []Place{one, two}, claim: Claim{Phase: "Degraded", Targets: []TargetClaim{target(one, "Synced"), target(two, "Error")}}},
		"failed":                     {places: []Place{one, two}, claim: Claim{Phase: "Failed", Targets: []TargetClaim{target(one, "Pending"), target(two, "Error")}}},
		"pending":                    {places: []Place{one, two}, claim: Claim{Phase: "Pending", Targets: []TargetClaim{target(one, "Synced"), target(two, "Pending")}}},
		"active with a waiting one":  {places: []Place{one}, claim: Claim{Phase: "Active", Targets: []TargetClaim{target(one, "Pending")}}, want: "phase"},
		"active with a missing one":  {places: []Place{one, two}, claim: Claim{Phase: "Active", Targets: []TargetClaim{target(one, "Synced")}}, want: "missing c/n/two, phase"},
		"a target that is not there": {places: []Place{one}, claim: Claim{Phase: "Active", Targets: []TargetClaim{target(one, "Synced"), target(two, "Synced")}}, want: "surplus c/n/two"},
		"another path":               {claim: Claim{Path: "elsewhere", Phase: "Active"}, want: "otherPath"},
		"invalid, and it is":         {invalid: true, claim: Claim{Phase: "Failed", Reason: "InvalidDefinition"}},
		"invalid, and synced":        {invalid: true, places: []Place{one}, claim: Claim{Phase: "Degraded", Reason: "InvalidDefinition", Targets: []TargetClaim{target(one, "Synced")}}},
		"invalid, and it is not":     {claim: Claim{Phase: "Active", Reason: "InvalidDefinition"}, want: "causeGone"},
		"valid, and it is not":       {invalid: true, claim: Claim{Phase: "Failed", Reason: "Synced"}, want: "unfounded"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.claim.Sync == nil {
				c.claim.Sync = c.places
			}
			var got []string
			judgeWhole(Definition{Places: c.places, Invalid: c.invalid}, c.claim, func(p Place, kind Kind, _ finding) {
				what := string(kind)
				if p != (Place{}) {
					what += " " + p.String()
				}
				got = append(got, what)
			})
			if joined := strings.Join(got, ", "); joined != c.want {
				t.Errorf("found %q; want %q", joined, c.want)
			}
		})
	}
}

func TestAnAnswerOfTheVaultIsReadAsAValue(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	created := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	answer := func(data, deletion string, destroyed bool) string {
		return fmt.Sprintf(`{"data":{"data":%s,"metadata":{"version":2,"created_time":"2026-05-01T00:00:00Z","deletion_time":%q,"destroyed":%v}}}`, data, deletion, destroyed)
	}
	with := func(values map[string]string) Value {
		raw := make(map[string][]byte)
		for key, value := range values {
			raw[key] = []byte(value)
		}
		return Value{Found: true, Version: 2, Created: created, Data: Digest(raw)}
	}
	unfit := func(v Value, reason string) Value { v.Unfit = reason; return v }
	gone := Value{Found: true, Version: 2, Created: created, Gone: true}
	big := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		status int
		body   string
		want   Value
		fails  bool
	}{
		"text":                                {200, answer(`{"a":"<b>"}`, "", false), with(map[string]string{"a": "<b>"}), false},
		"numbers keep their digits":           {200, answer(`{"a":9007199254740993,"b":1.10}`, "", false), with(map[string]string{"a": "9007199254740993", "b": "1.10"}), false},
		"null is empty":                       {200, answer(`{"a":null}`, "", false), with(map[string]string{"a": ""}), false},
		"nested values are compact":           {200, answer(`{"a":{"c": [1, true], "b": "\u003c"}}`, "", false), with(map[string]string{"a": `{"b":"<","c":[1,true]}`}), false},
		"no value":                            {404, `{"errors":[]}`, Value{}, false},
		"a deleted one, with 404 and a body":  {404, answer(`null`, "2026-05-02T00:00:00Z", false), gone, false},
		"a deleted one, with 200":             {200, answer(`null`, "2026-05-02T00:00:00Z", false), gone, false},
		"a destroyed one":                     {404, answer(`null`, "", true), gone, false},
		"one that will be deleted":            {200, answer(`{"a":"b"}`, "2026-07-01T00:00:00Z", false), with(map[string]string{"a": "b"}), false},
		"a key that Kubernetes does not know": {200, answer(`{"a b":"c"}`, "", false), unfit(with(map[string]string{"a b": "c"}), "InvalidKey"), false},
		"a key of two dots":                   {200, answer(`{"..":"c"}`, "", false), unfit(with(map[string]string{"..": "c"}), "InvalidKey"), false},
		"too much":                            {200, answer(`{"a":"`+big+`","b":"x"}`, "", false), unfit(with(map[string]string{"a": big, "b": "x"}), "ValueTooLarge"), false},
		"just not too much":                   {200, answer(`{"a":"`+big+`"}`, "", false), with(map[string]string{"a": big}), false},
		"of KV version 1":                     {200, `{"data":{"a":"b"}}`, Value{}, true},
		"cut short":                           {200, `{"data":{"data":{"a":"b`, Value{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseValue(c.status, []byte(c.body), now)
			if (err != nil) != c.fails {
				t.Fatal(err)
			}
			if !maps.Equal(got.Data, c.want.Data) {
				t.Error("other data")
			}
			got.Data, c.want.Data, got.Parts = nil, nil, nil
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
