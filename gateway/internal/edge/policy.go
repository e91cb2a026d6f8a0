package edge

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The content security policies. Every page gets the first, which lets it load
// what the shop serves and nothing else; a drawing gets the second, and an answer of
// the API the third: a browser that is led to it shows text that loads nothing.
const (
	pagePolicy    = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	PicturePolicy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
	dataPolicy    = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// cookieAge is how long a browser keeps the shop's cookies.
const cookieAge = 365 * 24 * time.Hour

// Header values that answers share; net/http does not change them.
var (
	contentPolicy   = []string{pagePolicy}
	dataOnly        = []string{dataPolicy}
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
	// FromProxy reports that a request comes from a trusted proxy, whose
	// X-Forwarded-Proto is believed; nil trusts none.
	FromProxy func(*http.Request) bool
}

// Protect sets the headers. Answers under /v1/ are no pages: they get those
// that data needs.
func (p BrowserPolicy) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"] = noSniff
		if p.Secure(r) {
			h["Strict-Transport-Security"] = transportPolicy
		}
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			h["Content-Security-Policy"] = dataOnly
		} else {
			h["Content-Security-Policy"] = contentPolicy
			h["Referrer-Policy"] = referrerPolicy
			h["X-Frame-Options"] = noFrames
			h["Cross-Origin-Opener-Policy"] = openerPolicy
		}
		next.ServeHTTP(w, r)
	})
}

// Secure reports that the browser sent the request by HTTPS.
func (p BrowserPolicy) Secure(r *http.Request) bool {
	if p.HTTPSOnly || r.TLS != nil {
		return true
	}
	lines := r.Header["X-Forwarded-Proto"]
	if len(lines) == 0 || p.FromProxy == nil || !p.FromProxy(r) {
		return false
	}
	// Of several the last is the proxy's own.
	proto := lines[len(lines)-1]
	return strings.EqualFold(strings.TrimSpace(proto[strings.LastIndexByte(proto, ',')+1:]), "https")
}

// Cookie is a cookie of the shop.
type Cookie struct {
	Name, Value string
	// Scripts says that the page's script may read it: it holds no identity.
	Scripts bool
	// Strict has browsers leave it out of what comes from another site's page, also where a link
	// is followed.
	Strict bool
	// Age is how long a browser keeps it; a year when 0.
	Age time.Duration
}

// hostPrefix begins the names of cookies that browsers take by HTTPS only, from this
// host only, for all of its paths (RFC 6265bis, section 4.1.3.2): another page of the
// domain cannot set them.
const hostPrefix = "__Host-"

// SetCookie sends a cookie, with the prefix of hosts where the browser uses HTTPS. Call
// it before the body is written.
func (p BrowserPolicy) SetCookie(w http.ResponseWriter, r *http.Request, c Cookie) {
	p.set(w, r, c, int(cmp.Or(c.Age, cookieAge)/time.Second))
}

// DeleteCookie has the browser forget a cookie, with and without the prefix.
func (p BrowserPolicy) DeleteCookie(w http.ResponseWriter, r *http.Request, c Cookie) {
	c.Value = ""
	p.set(w, r, c, -1)
	if p.Secure(r) {
		BrowserPolicy{}.set(w, &http.Request{}, c, -1)
	}
}

func (p BrowserPolicy) set(w http.ResponseWriter, r *http.Request, c Cookie, age int) {
	secure := p.Secure(r)
	if secure {
		c.Name = hostPrefix + c.Name
	}
	site := http.SameSiteLaxMode
	if c.Strict {
		site = http.SameSiteStrictMode
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure where the browser uses HTTPS; scripts read what is for them
		Name: c.Name, Value: c.Value, Path: "/", MaxAge: age,
		HttpOnly: !c.Scripts, SameSite: site, Secure: secure,
	})
}

// SentCookie is a cookie that a browser sent.
type SentCookie struct {
	Name, Value string
	// Unprefixed says that it lacks the prefix, although the browser uses HTTPS: it was
	// set before the shop did, or by another site or an attacker.
	Unprefixed bool
}

// Cookie returns a cookie of the shop from a request; false when there is none.
func (p BrowserPolicy) Cookie(r *http.Request, name string) (SentCookie, bool) {
	secure := p.Secure(r)
	if secure {
		if c, err := r.Cookie(hostPrefix + name); err == nil {
			return SentCookie{Name: name, Value: c.Value}, true
		}
	}
	c, err := r.Cookie(name)
	if err != nil {
		return SentCookie{}, false
	}
	return SentCookie{Name: name, Value: c.Value, Unprefixed: secure}, true
}

// Cookies returns those cookies of the shop in a request that have a name, or a name of
// its family: "name.more". Where the browser uses HTTPS and sent some with the prefix,
// those without it are left out.
func (p BrowserPolicy) Cookies(r *http.Request, name string) (sent []SentCookie) {
	secure := p.Secure(r)
	prefixed := false
	for _, c := range r.Cookies() {
		base, hasPrefix := strings.CutPrefix(c.Name, hostPrefix)
		if family, ok := strings.CutPrefix(base, name); !ok || family != "" && family[0] != '.' || hasPrefix && !secure {
			continue
		}
		prefixed = prefixed || hasPrefix
		sent = append(sent, SentCookie{Name: base, Value: c.Value, Unprefixed: secure && !hasPrefix})
	}
	if prefixed {
		sent = slices.DeleteFunc(sent, func(c SentCookie) bool { return c.Unprefixed })
	}
	return sent
}

// Sets reports that an answer sets a cookie of the shop already.
func (p BrowserPolicy) Sets(h http.Header, name string) bool {
	_, ok := p.SetValue(h, name)
	return ok
}

// SetValue returns the value that an answer sets a cookie of the shop to.
func (p BrowserPolicy) SetValue(h http.Header, name string) (string, bool) {
	for _, line := range h["Set-Cookie"] {
		if v, ok := strings.CutPrefix(strings.TrimPrefix(line, hostPrefix), name+"="); ok {
			v, _, _ = strings.Cut(v, ";")
			return v, true
		}
	}
	return "", false
}
