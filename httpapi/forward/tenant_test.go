package forward

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestWhosePathItIs is the table of the package's comment.
func TestWhosePathItIs(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v1/tenants/acme":                  "acme",
		"/api/v1/tenants/acme/":                 "acme",
		"/api/v1/tenants/acme/secrets/db:batch": "acme",
		"/git/acme.git/info/refs":               "acme",
		"/git/acme/info/refs":                   "acme",
		"/hooks/git/acme":                       "acme",
		"/api/v1/tenants/":                      "",
		"/api/v1/tenants":                       "",
		"/api/v1/tenants//acme":                 "",
		"/api/v1/tenants/acme:release":          "",
		"/api/v1/tenants/Acme":                  "",
		"/api/v1/tenants/acme%2f..":             "",
		"/api/v1/tenants/../tenants/acme":       "",
		"/api/v1/tenants/acme\\..\\globex":      "",
		"/api/v1/tenants/acme/../globex":        "acme", // as its holder takes it
		"/API/v1/tenants/acme":                  "",
		"//api/v1/tenants/acme":                 "",
		"/api/v2/tenants/acme":                  "",
		"/git/acme.git.git/info/refs":           "",
		"/git/.git/info/refs":                   "",
		"/hooks/acme":                           "",
		"/healthz":                              "",
		"/readyz":                               "",
		"/metrics":                              "",
		"/api/v1/openapi.json":                  "",
		"/":                                     "",
		"/console/":                             "", // its cookie tells
		"":                                      "",
		"*":                                     "",
		"/api/v1/tenants/" + strings.Repeat("a", 300): "",
	} {
		name, ok := TenantOf(path)
		if got := name.String(); got != want || ok != (want != "") {
			t.Errorf("%q is of %q (%v); want %q", path, got, ok, want)
		}
	}
}

func TestWhatIsPassedOnIsReadBackAndNothingElse(t *testing.T) {
	for _, want := range []Origin{
		{Address: netip.MustParseAddr("192.0.2.7"), TLS: true, ID: "one"},
		{Address: netip.MustParseAddr("2001:db8::"), ID: "two"},
		{ID: "three"},
	} {
		h := http.Header{"X-Forwarded-For": {"6.6.6.6", "7.7.7.7"}, "X-Forwarded-Proto": {"ftp"}, "X-Request-Id": {"forged", "again"}}
		want.write(h)
		if got := take(h); got != want {
			t.Errorf("got %+v; want %+v", got, want)
		}
		if h.Get("X-Forwarded-For") != "" || h.Get("X-Forwarded-Proto") != "" {
			t.Errorf("what was read is still there: %v", h)
		}
	}
	if _, ok := OriginOf(&http.Request{Header: http.Header{"X-Forwarded-For": {"6.6.6.6"}}}); ok {
		t.Error("a header alone is believed")
	}
}
