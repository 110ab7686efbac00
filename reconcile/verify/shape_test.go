package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"secretsync/gitstore/definition"
)

// shaped has a definition ask for more than its path, and everything be so that is
// asked for.
func shaped(t *testing.T) *facts {
	kind, err := definition.ParseSecretType("example.com/license")
	ca, failed := definition.ParseSecretPath("shared/ca")
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	f := right()
	f.definition.Shape = &definition.Shape{
		Type: kind, Labels: map[string]string{"team": "payments"}, Annotations: map[string]string{"reloader": "true"},
		Data: []definition.DataKey{
			{Key: "ca.crt", Path: ca, From: "pem"},
			{Key: "keystore", From: "store", Decode: definition.Base64},
			{Key: "port", From: "settings", Field: "server.ports.1"},
			{Key: "url", Template: "x{{ .store }}"},
		},
	}
	raw := map[string]json.RawMessage{"store": json.RawMessage(`"AAEC\nAw"`), "settings": json.RawMessage(`"{\"server\":{\"ports\":[80,443]}}"`)}
	f.value.Parts, f.value.Data = raw, Digest(map[string][]byte{"store": []byte("AAEC\nAw"), "settings": []byte(`{"server":{"ports":[80,443]}}`)})
	f.beside("shared/ca", Value{Found: true, Version: 7, Data: Digest(map[string][]byte{"pem": []byte("cert")})})
	f.secret.Type = kind.String()
	f.secret.Labels["team"], f.secret.Annotations["reloader"] = "payments", "true"
	f.secret.Annotations[annotationOthers] = "shared/ca@7@2026-01-01T00:00:00Z"
	f.secret.Data = Digest(map[string][]byte{"ca.crt": []byte("cert"), "keystore": {0, 1, 2, 3}, "port": []byte("443"), "url": []byte("whatever")})
	return f
}

func TestOfAShapedCopyEachLieIsFoundAndNoTruthIsOne(t *testing.T) {
	without := func(key string) func(*facts) {
		return func(f *facts) { delete(f.secret.Data, key) }
	}
	holds := func(key, text string) func(*facts) {
		return func(f *facts) { f.secret.Data[key] = Digest(map[string][]byte{"": []byte(text)})[""] }
	}
	says := func(reason string) func(*facts) {
		return func(f *facts) { f.claim.State, f.claim.Reason = "Error", reason }
	}
	lacking := func(f *facts) { delete(f.further["shared/ca"].Data, "pem") }
	merge := func(f *facts) {
		f.definition.Shape.Mode = definition.ModeMerge
		f.secret.Labels = map[string]string{"team": "payments"}
		f.secret.Annotations = map[string]string{"reloader": "true", "db.merge.secretsync.dev/stamp": `{"version":3,"commit":"` + aCommit + `"}`}
		f.secret.Type, f.originKnown = "Opaque", false
		holds("theirs", "x")(f)
	}
	for name, c := range map[string]struct {
		change func(*facts)
		want   string
	}{
		"all is right":                          {func(*facts) {}, ""},
		"a decoded key has another value":       {holds("keystore", "AAECAw"), "otherData"},
		"a field has another value":             {holds("port", "80"), "otherData"},
		"a key of a further path is lacking":    {without("ca.crt"), "otherData"},
		"a composed key is lacking":             {without("url"), "otherData"},
		"what a template makes is not judged":   {holds("url", "something else"), ""},
		"a key too many":                        {holds("settings", "x"), "otherData"},
		"it is opaque":                          {func(f *facts) { f.secret.Type = "Opaque" }, "otherType"},
		"a label is gone":                       {func(f *facts) { delete(f.secret.Labels, "team") }, "otherLabels"},
		"an annotation is another":              {func(f *facts) { f.secret.Annotations["reloader"] = "false" }, "otherLabels"},
		"an older version of a further path":    {func(f *facts) { f.secret.Annotations[annotationOthers] = "shared/ca@6@2026-01-01T00:00:00Z" }, "otherVersion"},
		"no versions of further paths":          {func(f *facts) { delete(f.secret.Annotations, annotationOthers) }, "otherVersion"},
		"synced, and a further path has none":   {func(f *facts) { f.beside("shared/ca", Value{}) }, "unfounded"},
		"synced, and a key is lacking":          {lacking, "unfounded"},
		"a key is lacking, and it is":           {all(says("KeyNotFound"), lacking), ""},
		"a template fails, which is not judged": {says("TemplateFailed"), ""},
		"it does not suit its type, neither":    {says("InvalidKey"), ""},
		"a key is lacking, and it is not": {all(says("KeyNotFound"), func(f *facts) {
			f.definition.Shape = &definition.Shape{Data: f.definition.Shape.Data[:3]}
		}), "causeGone"},
		"merged into somebody's Secret":  {merge, ""},
		"merged, and a key is lacking":   {all(merge, without("port")), "otherData"},
		"merged, and nothing records it": {all(merge, func(f *facts) { delete(f.secret.Annotations, "db.merge.secretsync.dev/stamp") }), "notBorne"},
		"to be merged, but suspended":    {all(says("Suspended"), func(f *facts) { f.definition.Shape.Mode = definition.ModeMerge }), ""},
		"suspended, whatever stands":     {all(says("Suspended"), without("port")), ""},
		"suspended, and there is no one": {all(unsynced("Pending", "Suspended"), func(f *facts) { f.claim.LastSync = f.value.Created }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := shaped(t)
			c.change(f)
			var kinds []string
			judgeTarget(f, func(kind Kind, _ finding) { kinds = append(kinds, string(kind)) })
			slices.Sort(kinds)
			if got := strings.Join(kinds, " "); got != c.want {
				t.Errorf("found %q; want %q", got, c.want)
			}
			if text := fmt.Sprintf("%v %+v %#v", f.value, f.value, f.value); strings.Contains(text, "AAEC") {
				t.Errorf("a value is shown: %s", text)
			}
		})
	}
}

func TestARegistrysCredentialIsNotTakenApart(t *testing.T) {
	kind, err := definition.ParseSecretType(typeRegistry)
	if err != nil {
		t.Fatal(err)
	}
	f := right()
	f.definition.Shape = &definition.Shape{Type: kind}
	f.value.Data = Digest(map[string][]byte{"server": nil, "username": nil, "password": nil})
	f.secret.Type, f.secret.Data = typeRegistry, Digest(map[string][]byte{".dockerconfigjson": []byte("{}")})
	judgeTarget(f, func(kind Kind, found finding) { t.Errorf("%s: %+v", kind, found) })
	f.secret.Data = Digest(map[string][]byte{"server": nil})
	var kinds []Kind
	judgeTarget(f, func(kind Kind, _ finding) { kinds = append(kinds, kind) })
	if !slices.Equal(kinds, []Kind{OtherData}) {
		t.Errorf("%q", kinds)
	}
}
