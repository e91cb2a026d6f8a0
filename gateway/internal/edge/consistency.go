package edge

import (
	"net/http"
	"time"

	"github.com/souk-shop/souk/services/chassis/consistency"
)

const (
	// consistencyCookie is where a browser keeps its consistency token.
	consistencyCookie = "souk_consistency"
	// consistencyAge is how long: longer than any replica may lag that answers.
	consistencyAge = 10 * time.Minute
)

// Consistent has who wrote read what was written, also where replicas of databases answer:
// the consistency token of a request goes with the calls of services, and the answer has what
// they wrote. A client of the API keeps it in the header Souk-Consistency, a browser in a cookie.
type Consistent struct {
	// Policy has the attributes of the cookie.
	Policy BrowserPolicy
	// API reports that a path is of the API.
	API func(path string) bool
	// Refuse answers a request whose header is no token. A cookie that is none is ignored.
	Refuse func(http.ResponseWriter, *http.Request, error)
}

// Follow puts the token into the request's context, also where there is none: a service answers
// who sends not even an empty token from its primary alone. What was gained goes into the answer.
func (c Consistent) Follow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var token consistency.Token
		if len(r.Header["Cookie"]) > 0 {
			if cookie, ok := c.Policy.Cookie(r, consistencyCookie); ok {
				token, _ = consistency.Parse(cookie.Value)
			}
		}
		api := c.API(r.URL.Path)
		if api {
			for _, text := range r.Header[consistency.Header] {
				sent, err := consistency.Parse(text)
				if err != nil {
					c.Refuse(w, r, err)
					return
				}
				token = token.Merge(sent)
			}
		}
		ctx, session := consistency.Begin(r.Context(), token)
		r = r.WithContext(ctx)
		next.ServeHTTP(&teller{ResponseWriter: w, request: r, session: session, policy: c.Policy, api: api}, r)
	})
}

// teller adds to an answer what its request has written.
type teller struct {
	http.ResponseWriter
	request *http.Request
	session *consistency.Session
	policy  BrowserPolicy
	api     bool
	wrote   bool
}

func (w *teller) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote = true
		w.tell()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *teller) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *teller) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *teller) tell() {
	if len(w.session.Gained()) == 0 {
		return
	}
	text := w.session.Token().String()
	if w.api {
		w.Header().Set(consistency.Header, text)
	}
	if !w.api || len(w.request.Header["Cookie"]) > 0 {
		w.policy.SetCookie(w, w.request, Cookie{Name: consistencyCookie, Value: text, Age: consistencyAge})
	}
}
