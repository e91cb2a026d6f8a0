package edge

import "net/http"

// SameOrigin refuses what another site's page makes a browser send: a request
// that is not a read and comes with a cookie, or with no credentials at all,
// but from another origin. Requests with an Authorization header pass, since no
// page can make a browser send one on its own; so do those that CORS has taken the
// cookie from. refuse answers those refused.
func SameOrigin(refuse http.Handler) func(http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(refuse)
	return func(next http.Handler) http.Handler {
		guarded := protection.Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" || isShared(r.Context()) {
				next.ServeHTTP(w, r)
				return
			}
			guarded.ServeHTTP(w, r)
		})
	}
}
