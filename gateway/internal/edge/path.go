package edge

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// redacted takes the place of what may be a secret or personal, as in OpenTelemetry's
// conventions for URLs.
const redacted = "REDACTED"

// word is a segment of a path that tells who mistyped a link, and is neither an address, nor a
// number, nor a token: letters, and the version of the API.
var word = regexp.MustCompile(`^(?:v[0-9]|[A-Za-z][A-Za-z_.-]{0,31})$`)

// PathOf is a request's path for spans and log lines, which are kept longer and read by more
// people than requests: what a client puts into a path may be an e-mail address, the number of
// a card, or a token. Kept are what the route of the request spells out, ids, words, and the
// value of a parameter that was found, which is the shop's own.
func PathOf(r *http.Request, found bool) string {
	route := ""
	if c, ok := r.Context().Value(routeKey{}).(*requestContext); ok {
		route = c.route
	}
	return shown(r.URL.Path, route, found)
}

func shown(path, route string, found bool) string {
	segments, pattern := strings.Split(path, "/"), strings.Split(route, "/")
	for i, s := range segments {
		parameter := i < len(pattern) && strings.HasPrefix(pattern[i], "{")
		if s == "" || i < len(pattern) && s == pattern[i] || parameter && found || word.MatchString(s) {
			continue
		}
		if id, err := uuid.Parse(s); err == nil && id.String() == s {
			continue
		}
		segments[i] = redacted
	}
	return strings.Join(segments, "/")
}
