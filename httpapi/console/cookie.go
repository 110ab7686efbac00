package console

import (
	"context"
	"net/http"

	"secretsync/httpapi/console/session"
)

// secureRequest marks a request whose cookies are for TLS alone.
type secureRequest struct{}

func withSecure(ctx context.Context) context.Context {
	return context.WithValue(ctx, secureRequest{}, true)
}

func isSecure(r *http.Request) bool { return r.Context().Value(secureRequest{}) != nil }

// cookieName has the prefix by which browsers hold a cookie to its host, to the
// whole of it and to TLS; without TLS it can't have it.
func cookieName(secure bool) string {
	if secure {
		return "__Host-secretsync"
	}
	return "secretsync"
}

// TenantOf returns the tenant whose session a request's cookie names, if there is such a
// session; empty without a cookie. It is not proven, and good for nothing but to find who
// could prove it.
func TenantOf(r *http.Request, secure bool) string {
	cookie, err := r.Cookie(cookieName(secure))
	if err != nil {
		return ""
	}
	return session.TenantOf(cookie.Value)
}

func setCookie(w http.ResponseWriter, secure bool, value string) {
	c := &http.Cookie{Name: cookieName(secure), Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
