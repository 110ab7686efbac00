package compose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"secretsync/gitstore/definition"
	"secretsync/reconcile/fault"
)

// valueOf is a value at a path whose texts are written key=value; a key that ends
// in ':' holds JSON.
func valueOf(at string, version int, entries ...string) Value {
	v := Value{At: at, Version: version, Data: make(map[string][]byte)}
	raw := make(map[string]bool)
	for _, e := range entries {
		key, content, _ := strings.Cut(e, "=")
		if name, ok := strings.CutSuffix(key, ":"); ok {
			key = name
			raw[key] = true
		}
		v.Data[key] = []byte(content)
	}
	for key := range raw {
		if string(v.Data[key]) == "null" {
			v.Data[key] = []byte{} // as the vault's room has it
		}
	}
	v.JSON = func(key string) (json.RawMessage, bool) {
		content, ok := v.Data[key]
		if raw[key] || !ok {
			return json.RawMessage(content), ok
		}
		text, err := json.Marshal(string(content))
		return text, err == nil
	}
	return v
}

func pathOf(t testing.TB, s string) definition.SecretPath {
	t.Helper()
	p, err := definition.ParseSecretPath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pair makes a certificate and a key that belong together.
func pair(t testing.TB) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestDataOfACopy(t *testing.T) {
	path, ca := pathOf(t, "app/db"), pathOf(t, "shared/ca")
	values := map[definition.SecretPath]Value{
		path: valueOf("secret/acme/app/db", 3, "user=me", "n:=12345678901234567890", "empty:=null", `o:={"a":{"b":[1,{"c":"x"}],"z":null}}`,
			`text={"server":{"port":5432}}`, "b64=AAH/\n", "hex=00 01ff", "url=-_8"),
		ca: valueOf("secret/acme/shared/ca", 1, "pem=PEM"),
	}
	for _, test := range []struct {
		name string
		key  definition.DataKey
		want string
	}{
		{"a key by another name", definition.DataKey{From: "user"}, "me"},
		{"a number as it was written", definition.DataKey{From: "n"}, "12345678901234567890"},
		{"null is empty", definition.DataKey{From: "empty"}, ""},
		{"a field of an object", definition.DataKey{From: "o", Field: "a"}, `{"b":[1,{"c":"x"}],"z":null}`},
		{"an item of a list", definition.DataKey{From: "o", Field: "a.b.0"}, "1"},
		{"a text deep within", definition.DataKey{From: "o", Field: "a.b.1.c"}, "x"},
		{"a field that is null is empty", definition.DataKey{From: "o", Field: "a.z"}, ""},
		{"a field of a text that holds JSON", definition.DataKey{From: "text", Field: "server.port"}, "5432"},
		{"bytes from base64", definition.DataKey{From: "b64", Decode: definition.Base64}, "\x00\x01\xff"},
		{"bytes from hexadecimal digits", definition.DataKey{From: "hex", Decode: definition.Hex}, "\x00\x01\xff"},
		{"bytes from base64url without padding", definition.DataKey{From: "url", Decode: definition.Base64URL}, "\xfb\xff"},
		{"another path", definition.DataKey{Path: ca, From: "pem"}, "PEM"},
		{"a template", definition.DataKey{Template: "{{ .user }}@{{ .n }}"}, "me@12345678901234567890"},
		{"a template over another path", definition.DataKey{Path: ca, Template: "{{ .pem }}"}, "PEM"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.key.Key = "k"
			r := Of(definition.Definition{SecretPath: path, Shape: &definition.Shape{Data: []definition.DataKey{test.key}}})
			data, f := r.Data(values)
			if f != nil || len(data) != 1 || string(data["k"]) != test.want {
				t.Errorf("makes %q, %v; not %q", data, f, test.want)
			}
		})
	}
}

func TestWithoutDataAllKeysAreCopied(t *testing.T) {
	path := pathOf(t, "app/db")
	v := valueOf("secret/acme/app/db", 3, "a=1", "b=2")
	data, f := Of(definition.Definition{SecretPath: path}).Data(map[definition.SecretPath]Value{path: v})
	if f != nil || len(data) != 2 || &data["a"][0] != &v.Data["a"][0] {
		t.Errorf("%q, %v", data, f)
	}
}

func TestWhyThereAreNoData(t *testing.T) {
	path := pathOf(t, "app/db")
	certificate, key := pair(t)
	_, other := pair(t)
	large := strings.Repeat("x", MaxSize)
	kind := func(s string) definition.SecretType { return typeOf(t, s) }
	tls, registry := kind("kubernetes.io/tls"), kind("kubernetes.io/dockerconfigjson")
	for _, test := range []struct {
		name   string
		shape  *definition.Shape
		value  Value
		reason fault.Reason
		says   string
	}{
		{"a name that Kubernetes does not allow", nil, valueOf("p", 1, "a b=s3cr3t"), fault.ReasonInvalidKey, `"a b"`},
		{"a name that it does not allow is no matter where data leaves it out", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "a b"}}}, valueOf("p", 1, "a b=s3cr3t"), "", ""},
		{"too much", nil, valueOf("p", 1, "a="+large, "b=x"), fault.ReasonValueTooLarge, "1048577 bytes"},
		{"too much is no matter where data leaves it out", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "b"}}}, valueOf("p", 1, "a="+large, "b=x"), "", ""},
		{"a key that is missing", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "passwrd"}}}, valueOf("p", 1, "password=s3cr3t"), fault.ReasonKeyNotFound, `no key "passwrd", but "password"`},
		{"a field that is missing", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "o", Field: "a.c"}}}, valueOf("p", 1, `o:={"a":{"b":"s3cr3t"}}`), fault.ReasonKeyNotFound, `no "c" at "a"`},
		{"a field of what has none", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "o", Field: "a"}}}, valueOf("p", 1, `o=s3cr3t`), fault.ReasonKeyNotFound, "no JSON"},
		{"an item beyond the list", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "o", Field: "a.1"}}}, valueOf("p", 1, `o:={"a":["s3cr3t"]}`), fault.ReasonKeyNotFound, "a list of 1"},
		{"bytes that don't decode", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "b", Decode: definition.Base64}}}, valueOf("p", 1, "b=s3cr3t!"), fault.ReasonInvalidKey, "no base64"},
		{"padding that is wrong", &definition.Shape{Data: []definition.DataKey{{Key: "k", From: "b", Decode: definition.Base64}}}, valueOf("p", 1, "b=YQ="), fault.ReasonInvalidKey, "no base64"},
		{"a template over a key that is missing", &definition.Shape{Data: []definition.DataKey{{Key: "k", Template: "{{ .x }}"}}}, valueOf("p", 1, "y=s3cr3t"), fault.ReasonTemplateFailed, `no key "x"`},
		{"a pair that belongs together", &definition.Shape{Type: tls}, valueOf("p", 1, "tls.crt="+certificate, "tls.key="+key), "", ""},
		{"a pair without a key", &definition.Shape{Type: tls}, valueOf("p", 1, "tls.crt="+certificate), fault.ReasonInvalidKey, "needs the keys"},
		{"a pair that does not belong together", &definition.Shape{Type: tls}, valueOf("p", 1, "tls.crt="+certificate, "tls.key="+other), fault.ReasonInvalidKey, "not the key of"},
		{"a key in the place of a certificate", &definition.Shape{Type: tls}, valueOf("p", 1, "tls.crt="+key, "tls.key="+key), fault.ReasonInvalidKey, "no certificate"},
		{"a certificate in the place of a key", &definition.Shape{Type: tls}, valueOf("p", 1, "tls.crt="+certificate, "tls.key="+certificate), fault.ReasonInvalidKey, "no private key"},
		{"a docker configuration", &definition.Shape{Type: registry}, valueOf("p", 1, `.dockerconfigjson={"auths":{"r":{"auth":"YTpi"}}}`), "", ""},
		{"a docker configuration that is no JSON", &definition.Shape{Type: registry}, valueOf("p", 1, `.dockerconfigjson=s3cr3t`), fault.ReasonInvalidKey, "as docker writes it"},
		{"a docker configuration of another form", &definition.Shape{Type: registry}, valueOf("p", 1, `.dockerconfigjson={"r":{"auth":"s3cr3t"}}`), fault.ReasonInvalidKey, "as docker writes it"},
		{"half of a registry's credential", &definition.Shape{Type: registry}, valueOf("p", 1, "server=r", "password=s3cr3t"), fault.ReasonInvalidKey, "server, username and password"},
		{"a user without a name", &definition.Shape{Type: kind("kubernetes.io/basic-auth")}, valueOf("p", 1, "user=s3cr3t"), fault.ReasonInvalidKey, "username or password"},
		{"a key for SSH by another name", &definition.Shape{Type: kind("kubernetes.io/ssh-auth")}, valueOf("p", 1, "id_rsa=s3cr3t"), fault.ReasonInvalidKey, "ssh-privatekey"},
		{"a token that is too short", &definition.Shape{Type: kind("bootstrap.kubernetes.io/token")}, valueOf("p", 1, "token-id=abcdef", "token-secret=s3cr3t"), fault.ReasonInvalidKey, "token-secret"},
		{"a type of one's own takes anything", &definition.Shape{Type: kind("example.com/thing")}, valueOf("p", 1, "a=b"), "", ""},
		{"keys of a shared Secret need not fit its type", &definition.Shape{Type: tls, Mode: definition.ModeMerge, Data: []definition.DataKey{{Key: "k", From: "a"}}}, valueOf("p", 1, "a=b"), "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, f := Of(definition.Definition{SecretPath: path, Shape: test.shape}).Data(map[definition.SecretPath]Value{path: test.value})
			switch {
			case test.reason == "" && f != nil:
				t.Error(f)
			case test.reason == "":
			case f == nil || f.Reason != test.reason || f.State != fault.Error || !strings.Contains(f.Message, test.says):
				t.Errorf("%+v, not %s: …%s…", f, test.reason, test.says)
			case strings.Contains(f.Message, "s3cr3t"):
				t.Errorf("it tells a value: %s", f.Message)
			}
		})
	}
}

func typeOf(t testing.TB, s string) definition.SecretType {
	t.Helper()
	kind, err := definition.ParseSecretType(s)
	if err != nil {
		t.Fatal(err)
	}
	return kind
}

// What a definition costs is bounded for all of its keys together: they are as many as
// its author likes.
func TestAllKeysOfACopyTogetherAreBounded(t *testing.T) {
	path := pathOf(t, "app/db")
	object := `{"a":"` + strings.Repeat("x", 10000) + `"}`
	v := valueOf("p", 1, "o:="+object)
	parsed := 0
	unparsed := v.JSON
	v.JSON = func(key string) (json.RawMessage, bool) { parsed++; return unparsed(key) }
	for name, test := range map[string]struct {
		key    definition.DataKey
		reason fault.Reason
		says   string
	}{
		"their size": {definition.DataKey{Template: `{{ repeat 100000 "x" }}`}, fault.ReasonValueTooLarge, "over 1048576 bytes"},
		"their work": {definition.DataKey{Template: `{{ range 50000 }}{{ end }}`}, fault.ReasonTemplateFailed, "too long"},
		"their JSON": {definition.DataKey{From: "o", Field: "a"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var data []definition.DataKey
			for i := range 100 {
				k := test.key
				k.Key = fmt.Sprintf("k%03d", i)
				data = append(data, k)
			}
			_, f := Of(definition.Definition{SecretPath: path, Shape: &definition.Shape{Data: data}}).Data(map[definition.SecretPath]Value{path: v})
			switch {
			case test.reason == "" && f != nil:
				t.Error(f)
			case test.reason != "" && (f == nil || f.Reason != test.reason || !strings.Contains(f.Message, test.says)):
				t.Errorf("%+v, not %s: …%s…", f, test.reason, test.says)
			}
		})
	}
	if parsed != 1 {
		t.Errorf("one JSON was parsed %d times", parsed)
	}
}

func TestARegistrysCredentialIsComposed(t *testing.T) {
	path := pathOf(t, "registry")
	v := valueOf("p", 1, "server=registry.example.com", "username=robot$ci", `password=a"b:c`, "email=ci@example.com", "note=kept")
	data, f := Of(definition.Definition{SecretPath: path, Shape: &definition.Shape{Type: typeOf(t, "kubernetes.io/dockerconfigjson")}}).Data(map[definition.SecretPath]Value{path: v})
	if f != nil {
		t.Fatal(f)
	}
	const want = `{"auths":{"registry.example.com":{"auth":"cm9ib3QkY2k6YSJiOmM=","email":"ci@example.com","password":"a\"b:c","username":"robot$ci"}}}`
	if got := string(data[".dockerconfigjson"]); got != want || string(data["note"]) != "kept" || len(data) != 2 {
		t.Errorf("%q", data)
	}
	if _, changed := v.Data[".dockerconfigjson"]; changed || len(v.Data) != 5 {
		t.Error("the value itself was changed")
	}
}

func TestARecipeIsKnownByWhatItMakes(t *testing.T) {
	no, yes := false, true
	same := []*definition.Shape{nil, {}, {Type: typeOf(t, "Opaque"), Mode: definition.ModeOwn, DeletionPolicy: definition.Retain, Suspend: &no}, {Suspend: &yes}, {Labels: map[string]string{}}}
	for _, s := range same {
		if h := hashOf(s); h != "" {
			t.Errorf("%+v makes what a copy is by default, and is known by %s", s, h)
		}
	}
	seen := make(map[string]*definition.Shape)
	for _, s := range []*definition.Shape{
		{Type: typeOf(t, "kubernetes.io/tls")}, {Mode: definition.ModeMerge}, {DeletionPolicy: definition.Delete}, {Labels: map[string]string{"a": "b"}},
		{Annotations: map[string]string{"a": "b"}}, {Data: []definition.DataKey{{Key: "a", From: "b"}}}, {Data: []definition.DataKey{{Key: "a", From: "b", Decode: definition.Hex}}},
		{Data: []definition.DataKey{{Key: "a", Template: "b"}}}, {Data: []definition.DataKey{{Key: "a", From: "b", Path: pathOf(t, "p")}}},
	} {
		h := hashOf(s)
		if h == "" || seen[h] != nil {
			t.Errorf("%+v is known by %q, as %+v is", s, h, seen[h])
		}
		seen[h] = s
	}
}

// Whatever is decoded comes out as it went in, and nothing panics.
func FuzzExtract(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1]}}`), "a.b.0")
	f.Add([]byte(`"{\"a\":1}"`), "a")
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		at, err := fields(raw)
		var got []byte
		if err == nil {
			got, err = field(at, path)
		}
		if err != nil && len(raw) > 8 && bytes.Contains([]byte(err.Error()), raw) && !strings.Contains(path, string(raw)) {
			t.Fatalf("it tells a value: %v", err)
		}
		for _, d := range []definition.Decoding{definition.Base64, definition.Base64URL, definition.Hex} {
			decode(d, got)
		}
	})
}

// Whatever data are, they fit a type or are said not to, in words that hold none of
// them.
func FuzzMisfit(f *testing.F) {
	certificate, key := pair(f)
	f.Add([]byte(certificate), []byte(key))
	f.Add([]byte(`{"auths":{"r":{"auth":"YTpi"}}}`), []byte("x"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, kind := range []string{"kubernetes.io/tls", typeDockerConfigJSON, "kubernetes.io/dockercfg", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", typeBootstrapToken} {
			data := map[string][]byte{"tls.crt": a, "tls.key": b, ".dockerconfigjson": a, ".dockercfg": b, "token-id": a, "token-secret": b}
			if cause := misfit(kind, data); len(a) > 12 && strings.Contains(cause, string(a)) {
				t.Fatalf("it tells a value: %s", cause)
			}
		}
	})
}
