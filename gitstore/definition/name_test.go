package definition

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func FuzzIsLabel(f *testing.F) {
	for _, s := range []string{"", "a", "-a", "a-", "a-b", "A", "a.b", "0", "é", "a\n", strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if want := len(validation.IsDNS1123Label(s)) == 0; isLabel(s) != want {
			t.Errorf("isLabel(%q) = %v; Kubernetes says %v", s, !want, want)
		}
	})
}

func TestAFileNameCantForgeALineOfOutput(t *testing.T) {
	_, err := NameOfPath("secrets/a\nsecrets/good.yaml:1: all is well.yaml")
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
}

func TestATypeThatWasLikelyMistypedIsDoubted(t *testing.T) {
	for text, meant := range map[string]string{
		"Opaque": "", "kubernetes.io/tls": "", "example.com/license": "", "license": "", "kubernetes.io/something-of-its-own": "", "helm.sh/release.v1": "",
		"opaque": "Opaque", "OPAQUE": "Opaque", "Kubernetes.io/TLS": "kubernetes.io/tls", "kubernetes.io/tsl": "kubernetes.io/tls",
		"kubernetes.io/DockerConfigJson": "kubernetes.io/dockerconfigjson", "kubernetes.io/basicauth": "kubernetes.io/basic-auth", "bootstrap.kubernetes.io/Token": "bootstrap.kubernetes.io/token",
	} {
		kind, err := ParseSecretType(text)
		if err != nil {
			t.Fatal(err)
		}
		doubt := kind.Doubt()
		if meant == "" && doubt != "" || !strings.Contains(doubt, meant) || strings.Contains(doubt, "did you mean "+meant+"?") != (meant != "") {
			t.Errorf("%s: %q, not %q", text, doubt, meant)
		}
	}
}
