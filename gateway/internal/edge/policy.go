package edge

import (
	"net/http"
	"strings"
	"time"
)

// The content security policies. Every page gets the first, which lets it load
// what the shop serves and nothing else; a drawing gets the second.
const (
	pagePolicy    = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	PicturePolicy = "default-src 'none'; sandbox"
)

// cookieAge is how long a browser keeps the shop's cookies.
const cookieAge = 365 * 24 * time.Hour

// Header values that answers share; net/http does not change them.
var (
	contentPolicy   = []string{pagePolicy}
	noSniff         = []string{"nosniff"}
	referrerPolicy  = []string{"same-origin"}
	noFrames        = []string{"DENY"}
	openerPolicy    = []string{"same-origin"}
	transportPolicy = []string{"max-age=31536000"} // a year
)

// BrowserPolicy is what browsers may do with the shop's answers: the headers of
// every answer and the attributes of every cookie.
type BrowserPolicy struct {
	// HTTPSOnly says that the shop is reached by HTTPS only, also where a proxy in
	// front ends TLS.
	HTTPSOnly bool
}

// Protect sets the headers. Answers under /v1/ are no pages: they get those
// that data needs.
func (p BrowserPolicy) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = noSniff
		if p.secure(r) {
			h["Strict-Transport-Security"] = transportPolicy
		}
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			h["Content-Security-Policy"] = contentPolicy
			h["Referrer-Policy"] = referrerPolicy
			h["X-Frame-Options"] = noFrames
			h["Cross-Origin-Opener-Policy"] = openerPolicy
		}
		next.ServeHTTP(w, r)
	})
}

func (p BrowserPolicy) secure(r *http.Request) bool { return p.HTTPSOnly || r.TLS != nil }

// Cookie is a cookie of the shop.
type Cookie struct {
	Name, Value string
	// Scripts says that the page's script may read it: it holds no identity.
	Scripts bool
}

// SetCookie sends a cookie. Call it before the body is written.
func (p BrowserPolicy) SetCookie(w http.ResponseWriter, r *http.Request, c Cookie) {
	http.SetCookie(w, &http.Cookie{
		Name: c.Name, Value: c.Value, Path: "/", MaxAge: int(cookieAge / time.Second),
		HttpOnly: !c.Scripts, SameSite: http.SameSiteLaxMode, Secure: p.secure(r),
	})
}
