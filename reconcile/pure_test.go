package reconcile

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestParseData(t *testing.T) {
	const meta = `"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"","destroyed":false,"version":3}`
	tests := map[string]struct {
		body   string
		found  bool
		reason Reason // empty is a value
		says   string
	}{
		"a value":                                {body: `{"data":{"data":{"a":"b"},` + meta + `}}`, found: true},
		"a value cut short":                      {body: `{"data":{"data":{"a":"b`, found: true, reason: ReasonVaultUnavailable},
		"nothing":                                {body: ``, found: true, reason: ReasonVaultUnavailable},
		"version 1's form":                       {body: `{"data":{"a":"b"}}`, found: true, reason: ReasonVaultForbidden, says: "version 2"},
		"404 without a body":                     {body: ``, reason: ReasonValueNotFound},
		"404 with no errors":                     {body: `{"errors":[]}`, reason: ReasonValueNotFound},
		"404 with the body of a deleted version": {body: `{"data":{"data":null,"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"2026-01-02T03:04:06Z","destroyed":false,"version":3}}}`, reason: ReasonValueDeleted, says: "undelete"},
		"404 with the body of a destroyed one":   {body: `{"data":{"data":null,"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"","destroyed":true,"version":3}}}`, reason: ReasonValueDeleted, says: "destroyed"},
		"a key that is not allowed":              {body: `{"data":{"data":{"a/b":"b"},` + meta + `}}`, found: true, reason: ReasonInvalidKey, says: `"a/b"`},
		"1 MiB exactly":                          {body: `{"data":{"data":{"a":"` + strings.Repeat("x", maxSecretData) + `"},` + meta + `}}`, found: true},
		"one byte more":                          {body: `{"data":{"data":{"a":"` + strings.Repeat("x", maxSecretData) + `","b":"y"},` + meta + `}}`, found: true, reason: ReasonValueTooLarge, says: "1048577"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, f := parseData([]byte(test.body), test.found, "secret/acme/db")
			switch {
			case test.reason == "" && f != nil:
				t.Fatalf("fault %v", f)
			case test.reason == "" && (v.number != 3 || v.created != "2026-01-02T03:04:05Z"):
				t.Fatalf("version %v", v.version)
			case test.reason != "" && (f == nil || f.reason != test.reason):
				t.Fatalf("fault %+v, want %s", f, test.reason)
			case f != nil && !strings.Contains(f.message, test.says):
				t.Fatalf("message %q, want %q in it", f.message, test.says)
			}
		})
	}
}

func TestSecretBytes(t *testing.T) {
	for in, want := range map[string]string{
		`"text"`: "text", `""`: "", `null`: "", `true`: "true", `12345678901234567890123`: "12345678901234567890123",
		`1.10`: "1.10", `1e400`: "1e400", `{"b":9007199254740993, "a":"<&>"}`: `{"a":"<&>","b":9007199254740993}`,
		`[ 1 , 2.50 ]`: `[1,2.50]`, `"\u0000\n"`: "\x00\n", ` "padded" `: "padded",
	} {
		got, err := secretBytes(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzParseData(f *testing.F) {
	f.Add([]byte(`{"data":{"data":{"a":"b","n":1.50,"o":{"x":[null]}},"metadata":{"version":3,"created_time":"t"}}}`), true)
	f.Add([]byte(`{"data":{"data":null,"metadata":{"destroyed":true,"version":3}}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, found bool) {
		v, fault := parseData(body, found, "p")
		if fault == nil && (v == nil || !found) {
			t.Fatal("neither a value nor a fault, or a value from a 404")
		}
		if fault != nil && (fault.message == "" || fault.reason == "" || strings.ContainsAny(fault.message, "\n\r")) {
			t.Fatalf("fault %+v", fault)
		}
		m, fault := parseMetadata(body, "p", time.Unix(0, 0))
		if fault == nil && m == (version{}) && !strings.Contains(string(body), "versions") {
			t.Fatal("no version and no fault")
		}
	})
}

func TestRedact(t *testing.T) {
	sent := map[string][]byte{"a": []byte("hunter22"), "b": []byte("line one\nline two\n"), "c": []byte("x")}
	got := redact(`denied: "hunter22" and line two, x`, sent)
	if strings.Contains(got, "hunter22") || strings.Contains(got, "line two") {
		t.Errorf("%q", got)
	}
	for range 20 { // maps come in any order
		sent := map[string][]byte{"user": []byte("admin"), "password": []byte(`admin-S3"cret`)}
		for _, text := range []string{`no admin-S3"cret`, `no "admin-S3\"cret"`, "no " + base64.StdEncoding.EncodeToString(sent["password"])} {
			if got := redact(text, sent); got != "no …" && got != `no "…"` {
				t.Fatalf("%q", got)
			}
		}
	}
}

func TestNamespacesOfTheSystemAreGrantedOnlyByName(t *testing.T) {
	for _, test := range []struct {
		patterns  []string
		namespace string
		want      bool
	}{
		{[]string{"*"}, "payments", true},
		{[]string{"*"}, "kube-system", false},
		{[]string{"kube-*"}, "kube-public", false},
		{[]string{"kube-*"}, "kube-mine", true},
		{[]string{"*", "kube-system"}, "kube-system", true},
		{[]string{"team-?"}, "team-a", true},
		{[]string{"team-?"}, "team-ab", false},
		{nil, "payments", false},
	} {
		if got := (grant{namespaces: test.patterns}).allows(test.namespace); got != test.want {
			t.Errorf("%v, %s: %v", test.patterns, test.namespace, got)
		}
	}
}
