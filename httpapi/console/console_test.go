package console

import "testing"

func TestSignInLeadsToOurPagesAlone(t *testing.T) {
	for path, want := range map[string]string{
		"/console/d/db?wait=1":             "/console/d/db?wait=1",
		"":                                 home,
		"https://elsewhere.example":        home,
		"//elsewhere.example/console/":     home,
		"/console/\\elsewhere":             home,
		"/console/sign-in":                 home,
		"/api/v1/tenants/acme":             home,
		"/console/\r\nSet-Cookie: a=b":     home,
		"javascript:alert(1)//console/":    home,
		"/console/../api/v1/tenants/acme/": home,
	} {
		if got := nextPath(path); got != want {
			t.Errorf("%q leads to %q", path, got)
		}
	}
}
