package kv

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"secretsync/reconcile/fault"
	"secretsync/reconcile/vault/access"
)

var parsedAt = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestParseData(t *testing.T) {
	const meta = `"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"","destroyed":false,"version":3}`
	const gone = `"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"2026-01-02T03:04:06Z","destroyed":false,"version":3}`
	const ahead = `"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"2999-01-02T03:04:06Z","destroyed":false,"version":3}`
	tests := map[string]struct {
		body   string
		found  bool
		reason fault.Reason // empty is a value
		says   string
	}{
		"a value":                                {body: `{"data":{"data":{"a":"b"},` + meta + `}}`, found: true},
		"a value without keys":                   {body: `{"data":{"data":{},` + meta + `}}`, found: true},
		"a value that will be deleted":           {body: `{"data":{"data":{"a":"b"},` + ahead + `}}`, found: true},
		"a value cut short":                      {body: `{"data":{"data":{"a":"b`, found: true, reason: fault.ReasonVaultUnavailable},
		"nothing":                                {body: ``, found: true, reason: fault.ReasonVaultUnavailable},
		"no data, though it is there":            {body: `{"data":{"data":null,` + meta + `}}`, found: true, reason: fault.ReasonVaultUnavailable},
		"no data at all":                         {body: `{"data":{` + meta + `}}`, found: true, reason: fault.ReasonVaultUnavailable},
		"no data, deleted":                       {body: `{"data":{"data":null,` + gone + `}}`, found: true, reason: fault.ReasonValueDeleted, says: "(3)"},
		"no data, deleted by a clock ahead":      {body: `{"data":{"data":null,` + ahead + `}}`, found: true, reason: fault.ReasonValueDeleted},
		"a version without a number":             {body: `{"data":{"data":{"a":"b"},"metadata":{}}}`, found: true, reason: fault.ReasonVaultUnavailable},
		"version 1's form":                       {body: `{"data":{"a":"b"}}`, found: true, reason: fault.ReasonVaultForbidden, says: "version 2"},
		"404 without a body":                     {body: ``, reason: fault.ReasonValueNotFound},
		"404 with no errors":                     {body: `{"errors":[]}`, reason: fault.ReasonValueNotFound},
		"404 with the body of a deleted version": {body: `{"data":{"data":null,` + gone + `}}`, reason: fault.ReasonValueDeleted, says: "undelete"},
		"404 with the body of a value":           {body: `{"data":{"data":{"a":"b"},` + meta + `}}`, reason: fault.ReasonValueDeleted},
		"404 with the body of a destroyed one":   {body: `{"data":{"data":null,"metadata":{"created_time":"2026-01-02T03:04:05Z","deletion_time":"","destroyed":true,"version":3}}}`, reason: fault.ReasonValueDeleted, says: "destroyed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v, _, f := parseData([]byte(test.body), test.found, "secret/acme/db")
			switch {
			case test.reason == "" && f != nil:
				t.Fatalf("fault %v", f)
			case test.reason == "" && (v.Number != 3 || v.Created != "2026-01-02T03:04:05Z"):
				t.Fatalf("version %v", v.Version)
			case test.reason != "" && (f == nil || f.Reason != test.reason):
				t.Fatalf("fault %+v, want %s", f, test.reason)
			case f != nil && !strings.Contains(f.Message, test.says):
				t.Fatalf("message %q, want %q in it", f.Message, test.says)
			}
		})
	}
}

func TestParseMetadata(t *testing.T) {
	one := func(deletion string, destroyed bool) string {
		return fmt.Sprintf(`{"created_time":"2026-01-02T03:04:05Z","deletion_time":%q,"destroyed":%v}`, deletion, destroyed)
	}
	for name, test := range map[string]struct {
		body   string
		want   int
		reason fault.Reason
	}{
		"the newest of several":      {body: `{"data":{"custom_metadata":{"versions":"\"}"},"versions":{"1":` + one("", true) + `,"2":` + one("", false) + `},"current_version":2}}`, want: 2},
		"spread over lines":          {body: "{\n \"data\" : {\n \"current_version\" : 1 , \"versions\" : { \"1\" : " + one("", false) + " }\n}\n}", want: 1},
		"deleted":                    {body: `{"data":{"current_version":1,"versions":{"1":` + one("2026-01-02T03:04:06Z", false) + `}}}`, reason: fault.ReasonValueDeleted},
		"to be deleted later":        {body: `{"data":{"current_version":1,"versions":{"1":` + one("2026-01-02T13:04:06Z", false) + `}}}`, want: 1},
		"destroyed":                  {body: `{"data":{"current_version":1,"versions":{"1":` + one("", true) + `}}}`, reason: fault.ReasonValueDeleted},
		"no version yet":             {body: `{"data":{"current_version":0,"versions":{}}}`, reason: fault.ReasonValueNotFound},
		"a version that is not told": {body: `{"data":{"current_version":3,"versions":{"1":` + one("", false) + `}}}`, reason: fault.ReasonValueNotFound},
		"cut short":                  {body: `{"data":{"current_version":1,"versions":{"1":`, reason: fault.ReasonVaultUnavailable},
		"something else":             {body: `{"data":[1]}`, reason: fault.ReasonVaultUnavailable},
		"nothing":                    {body: ``, reason: fault.ReasonVaultUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v, f := parseMetadata([]byte(test.body), "secret/acme/db", parsedAt)
			if test.reason == "" && (f != nil || v.Number != test.want || v.Created != "2026-01-02T03:04:05Z") {
				t.Errorf("%v, %v", v, f)
			}
			if test.reason != "" && (f == nil || f.Reason != test.reason) {
				t.Errorf("%v, %+v", v, f)
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
		got, _, err := secretBytes(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestTheJSONOfAKeyIsAsTheVaultHoldsIt(t *testing.T) {
	v, _, f := parseData([]byte(`{"data":{"data":{"text":"<a>","empty":"","null":null,"number":1.50,"object":{"b":1,"a":[]},"json":"{\"x\":1}"},"metadata":{"version":1}}}`), true, "p")
	if f != nil {
		t.Fatal(f)
	}
	for key, want := range map[string]string{"text": `"<a>"`, "empty": `""`, "null": `null`, "number": `1.50`, "object": `{"a":[],"b":1}`, "json": `"{\"x\":1}"`} {
		if got, ok := v.JSON(key); !ok || string(got) != want {
			t.Errorf("%s: %s, %v", key, got, ok)
		}
	}
	if _, ok := v.JSON("none"); ok {
		t.Error("a key that is not there")
	}
}

func TestAValueIsNeverFormatted(t *testing.T) {
	v := &Value{Data: map[string][]byte{"a": []byte("hunter22")}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v, "w", *v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v, "w", *v)
	got := fmt.Sprintf("%v %+v %#v %s %d %x", v, *v, v, *v, *v, v) + log.String()
	if strings.Contains(got, "hunter") || strings.Contains(got, "104") || strings.Contains(got, "68756e") || strings.Contains(got, "aHVudGVy") {
		t.Error(got)
	}
}

func FuzzParseData(f *testing.F) {
	f.Add([]byte(`{"data":{"data":{"a":"b","n":1.50,"o":{"x":[null]}},"metadata":{"version":3,"created_time":"t"}}}`), true)
	f.Add([]byte(`{"data":{"data":null,"metadata":{"destroyed":true,"version":3}}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, found bool) {
		v, _, bad := parseData(body, found, "p")
		if bad == nil && (v == nil || !found || v.Data == nil || v.Number <= 0) {
			t.Fatal("neither a value nor a fault, or a value from a 404")
		}
		if bad != nil {
			fit(t, bad)
			return
		}
		size := 0
		for key, data := range v.Data {
			size += len(data)
			raw, ok := v.JSON(key)
			if !ok || !json.Valid(raw) {
				t.Fatalf("%s is no JSON", raw)
			}
			again, _, err := secretBytes(raw)
			if err != nil || string(again) != string(data) {
				t.Fatalf("%q becomes %q", data, again)
			}
		}
		if size != v.Size {
			t.Fatalf("size %d, counted %d", v.Size, size)
		}
	})
}

// FuzzParseMetadata compares what is taken out of the text with what
// encoding/json decodes.
func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"data":{"current_version":2,"versions":{"1":{},"2":{"created_time":"2026-01-02T03:04:05Z","deletion_time":""}}}}`))
	f.Add([]byte(`{"a":"\\\"{","d\u0061ta":{"versions":{"1":{"x":[{"}":"]"}]}},"current_version":1},"data":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, bad := parseMetadata(body, "p", parsedAt)
		if bad != nil {
			fit(t, bad)
		}
		object := func(raw json.RawMessage) (members map[string]json.RawMessage) {
			if json.Unmarshal(raw, &members) != nil {
				return nil
			}
			return members
		}
		data := object(object(body)["data"])
		var want kvVersion
		newest, ok := object(data["versions"])[strings.TrimSpace(string(data["current_version"]))]
		ok = ok && json.Unmarshal(newest, &want) == nil && json.Unmarshal(data["current_version"], &want.Version) == nil && want.Version > 0 && !want.gone(parsedAt)
		if ok != (bad == nil) || ok && v != want.version() {
			t.Fatalf("%v, %v; encoding/json finds %v, %+v", v, bad, ok, want)
		}
	})
}

func fit(t *testing.T, f *access.Failure) {
	t.Helper()
	if f.Message == "" || f.Reason == "" || strings.ContainsAny(f.Message, "\n\r") {
		t.Fatalf("fault %+v", f)
	}
}

func BenchmarkParseMetadata(b *testing.B) {
	var body strings.Builder
	body.WriteString(`{"request_id":"a","lease_id":"","renewable":false,"lease_duration":0,"data":{"cas_required":false,"created_time":"2026-11-25T18:44:05.796Z","current_version":10,"custom_metadata":null,"delete_version_after":"0s","max_versions":0,"oldest_version":0,"updated_time":"2026-11-25T18:44:05.796Z","versions":{`)
	for i := range 10 {
		fmt.Fprintf(&body, `"%d":{"created_time":"2026-11-25T18:44:05.796Z","deletion_time":"","destroyed":false},`, i+1)
	}
	text := []byte(strings.TrimSuffix(body.String(), ",") + `}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}`)
	b.ReportAllocs()
	for b.Loop() {
		if v, f := parseMetadata(text, "p", parsedAt); f != nil || v.Number != 10 {
			b.Fatal(v, f)
		}
	}
}
